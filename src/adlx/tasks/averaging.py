"""An exponential moving average (EMA) of the weights. Validation, test and sampling use the average.

At step n the decay is min(`decay`, (1 + n) / (10 + n)). Without this, the initial random weights would dominate the
average in a short run.

Checkpoints store the average as the weights of the model. They store the raw weights, which the optimizer updates, as
`raw_weights` of `adlx`, for a resumed run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from adlx.tasks.task import Task


class Averaged(Task):
    """A task with averaged weights: average = decay average + (1 - decay) weights, after every step.

    Attributes:
        decay: at least 0 (no averaging) and below 1.
        ema_weights: the averages by name. Within `averaged()` the model holds the averages, and this holds the raw
            weights. None outside of training, where the model always holds the averages.
    """

    decay: float
    ema_weights: dict[str, Tensor] | None = None
    _holds_averages = False

    def raw_weights(self) -> dict[str, Tensor]:
        """The values to average: trainable weights, and the running statistics of normalization layers."""
        weights = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        stored = self.model.state_dict().keys()
        statistics = {name: value for name, value in self.model.named_buffers() if value.is_floating_point()}
        return {**weights, **{name: value for name, value in statistics.items() if name in stored}}

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Context in which the model holds the averages. Averages and raw weights are swapped, and not copied."""
        if self.ema_weights is None or self._holds_averages:
            yield
            return
        self._swap(self.ema_weights)
        try:
            yield
        finally:
            self._swap(self.ema_weights)

    def _swap(self, others: dict[str, Tensor]) -> None:
        for name, weight in self.raw_weights().items():
            weight.data, others[name] = others[name], weight.data
        self._holds_averages = not self._holds_averages

    def on_fit_start(self) -> None:
        super().on_fit_start()
        own = self.raw_weights()
        if self.ema_weights is None:
            self.ema_weights = {name: weight.data.clone() for name, weight in own.items()}
        else:  # from a checkpoint, which was loaded on the CPU
            self.ema_weights = {name: value.to(own[name]) for name, value in self.ema_weights.items()}

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        assert self.ema_weights is not None
        averages, weights = list(self.ema_weights.values()), [value.data for value in self.raw_weights().values()]
        decay = min(self.decay, self.steps_done / (9 + self.steps_done))
        torch._foreach_lerp_(averages, weights, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.ema_weights is None:
            return
        current = {name: value.data for name, value in self.raw_weights().items()}
        raw, averages = (self.ema_weights, current) if self._holds_averages else (current, self.ema_weights)
        checkpoint["adlx"]["raw_weights"] = {name: value.clone() for name, value in raw.items()}
        checkpoint["state_dict"] |= {f"model.{name}": value.clone() for name, value in averages.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        state, raw = checkpoint["state_dict"], checkpoint["adlx"]["raw_weights"]
        self.ema_weights = {name: state[f"model.{name}"].clone() for name in raw}
        state |= {f"model.{name}": value for name, value in raw.items()}

    def load_weights(self, checkpoint: dict[str, Any]) -> None:
        super().load_weights(checkpoint)
        self.ema_weights = None  # the model now holds the averages permanently
