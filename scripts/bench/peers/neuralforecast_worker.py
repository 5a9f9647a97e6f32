"""Trains a model of neuralforecast by its own `fit`: `neuralforecast_worker.py MODEL ROWS.npy CONTEXT HORIZON THREADS`.

Progress bar, logger, checkpoints and window scaler are off. Depth, heads and dropout are those of the model of adlx, if
the model has them; everything else is the default of the library.
"""

import logging
import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from neuralforecast import NeuralForecast, models  # pyright: ignore[reportMissingImports]
from turns import Turns

HIDDEN = 64
TWINS: dict[str, dict[str, Any]] = {
    "LSTM": {"encoder_hidden_size": HIDDEN, "decoder_hidden_size": HIDDEN, "encoder_n_layers": 1, "decoder_layers": 1},
    # It has two encoder layers and one decoder layer; the model of adlx has three blocks.
    "VanillaTransformer": {"hidden_size": HIDDEN, "n_head": 8, "dropout": 0.0},
    "PatchTST": {"hidden_size": HIDDEN, "n_heads": 8, "dropout": 0.0, "fc_dropout": 0.0},
    "NLinear": {},
}

turns = Turns()


class Step(pl.Callback):
    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        turns.step()


def main() -> None:
    name, rows, context, horizon, threads = sys.argv[1:]
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    torch.set_num_threads(int(threads))
    series = np.load(rows)
    times = pd.date_range("2021-01-01", periods=len(series), freq="h")
    table = pd.concat(
        pd.DataFrame({"unique_id": str(number), "ds": times, "y": values}) for number, values in enumerate(series.T)
    )
    model = getattr(models, name)(
        h=int(horizon),
        input_size=int(context),
        windows_batch_size=32,
        max_steps=10**7,
        scaler_type="identity",
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Step()],
        **TWINS[name],
    )
    NeuralForecast(models=[model], freq="h").fit(table)


main()
