"""Trains a notebook's model in Keras on TensorFlow: `keras_worker.py MODEL USAGE ROWS.npy CONTEXT HORIZON THREADS`.

MODEL is `seq2seq` (LSTM of 1000, dot attention, teacher forcing) or `encoder` (four blocks, eight heads of 64).
USAGE is how `fit` is called, at batch 1 either way:

- `epochs`, as in the notebooks: arrays of one window, with one step per epoch; each epoch makes a new iterator.
- `steps`: one long epoch over a `tf.data` pipeline that repeats. It was the fastest: XLA and unrolled LSTMs are not
  faster and need twice the memory; several steps per execution save at most 5 %.
"""

import os
import sys
from typing import Any

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}

import keras  # pyright: ignore[reportMissingImports]
import numpy as np
import tensorflow as tf  # pyright: ignore[reportMissingModuleSource]
from keras import layers  # pyright: ignore[reportMissingImports]
from turns import Turns

WINDOWS = 64
PARAMETERS = {"seq2seq": 8_078_007, "encoder": 549_319}


def seq2seq(context: int, horizon: int, width: int) -> Any:
    past, before = keras.Input((context, width)), keras.Input((horizon, width))
    memory, *state = layers.LSTM(1000, return_sequences=True, return_state=True)(past)
    hidden = layers.LSTM(1000, return_sequences=True)(before, initial_state=state)
    attended = layers.Attention()([hidden, memory])
    return keras.Model([past, before], layers.Dense(width)(layers.Concatenate()([attended, hidden])))


def encoder(context: int, horizon: int, width: int) -> Any:
    past = keras.Input((context, width))
    x = layers.Dense(64)(past) + positions(context, 64)
    for _ in range(4):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(num_heads=8, key_dim=64)(x, x))
        x = layers.LayerNormalization()(x + layers.Dense(64, activation="relu")(x))
    return keras.Model(past, layers.Dense(width)(x[:, -horizon:]))


def positions(length: int, width: int) -> np.ndarray:
    angle = np.arange(length)[:, None] / 10000 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(1, length, width).astype(np.float32)


class Step(keras.callbacks.Callback):
    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self.turns = turns

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.turns.step()


def main() -> None:
    name, usage, rows = sys.argv[1:4]
    context, horizon, threads = map(int, sys.argv[4:])
    step = Step(Turns())
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    series = np.load(rows)[: WINDOWS + context + horizon - 1]
    windows = np.lib.stride_tricks.sliding_window_view(series, context + horizon, axis=0).transpose(0, 2, 1)
    past, future, before = windows[:, :context], windows[:, context:], windows[:, context - 1 : -1]
    inputs = (past, before) if name == "seq2seq" else (past,)
    model = {"seq2seq": seq2seq, "encoder": encoder}[name](context, horizon, series.shape[1])
    assert model.count_params() == PARAMETERS[name], model.count_params()
    model.compile("adam", "mse")
    if usage == "epochs":
        one = [part[:1] for part in inputs]
        model.fit(one, future[:1], batch_size=1, epochs=10**7, verbose=0, callbacks=[step])
    else:
        pipeline = tf.data.Dataset.from_tensor_slices((inputs, future)).batch(1).repeat().prefetch(2)
        model.fit(pipeline, steps_per_epoch=10**7, verbose=0, callbacks=[step])


main()
