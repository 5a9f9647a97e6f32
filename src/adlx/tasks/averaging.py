"""A moving average of the weights (EMA), which is what is validated, tested, drawn with and kept as the model.

At step n the decay is the lesser of `decay` and (1 + n) / (10 + n), so that the average does not cling to the weights
as they were drawn, which in a short run would be most of it.

Checkpoints hold the average where a model's weights are looked for, so that whoever opens one finds it; beside it, in
`adlx`, lie the raw weights, as the optimizer left them, for a run that goes on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from adlx.tasks.task import Task


class Averaged(Task):
    """A task whose weights are averaged: average = decay average + (1 - decay) weights after every step.

    Attributes:
        decay: from 0, the weights themselves, to below 1.
        ema_weights: the averages by name; within `averaged()` the raw weights, whose place they have then. None where
            the model is not being trained: it holds the averages for good.
    """

    decay: float
    ema_weights: dict[str, Tensor] | None = None
    _holds_averages = False

    def raw_weights(self) -> dict[str, Tensor]:
        """What is averaged: weights that are trained, and what normalisations have seen, which goes with them."""
        weights = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        held = self.model.state_dict().keys()
        seen = {name: value for name, value in self.model.named_buffers() if value.is_floating_point()}
        return {**weights, **{name: value for name, value in seen.items() if name in held}}

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the model holds the averages. Nothing is copied: the two change places, and change back."""
        if self.ema_weights is None or self._holds_averages:
            yield
            return
        self._exchange(self.ema_weights)
        try:
            yield
        finally:
            self._exchange(self.ema_weights)

    def _exchange(self, others: dict[str, Tensor]) -> None:
        for name, weight in self.raw_weights().items():
            weight.data, others[name] = others[name], weight.data
        self._holds_averages = not self._holds_averages

    def on_fit_start(self) -> None:
        super().on_fit_start()
        own = self.raw_weights()
        if self.ema_weights is None:
            self.ema_weights = {name: weight.data.clone() for name, weight in own.items()}
        else:  # from a checkpoint, which was read onto the CPU
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
        held = {name: value.data for name, value in self.raw_weights().items()}
        raw, averages = (self.ema_weights, held) if self._holds_averages else (held, self.ema_weights)
        checkpoint["adlx"]["raw_weights"] = {name: value.clone() for name, value in raw.items()}
        checkpoint["state_dict"] |= {f"model.{name}": value.clone() for name, value in averages.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        state, raw = checkpoint["state_dict"], checkpoint["adlx"]["raw_weights"]
        self.ema_weights = {name: state[f"model.{name}"].clone() for name in raw}
        state |= {f"model.{name}": value for name, value in raw.items()}

    def load_weights(self, checkpoint: dict[str, Any]) -> None:
        super().load_weights(checkpoint)
        self.ema_weights = None  # the model holds the averages now, for good
