"""A moving average of the weights, which is what is validated, tested, drawn with and kept as the model.

At step n the decay is the lesser of `decay` and (1 + n) / (10 + n), so that the average does not cling to the weights
as they were drawn, which in a short run would be most of it.

Checkpoints hold the average where a model's weights are looked for, so that whoever opens one finds it; beside it, in
`adlx`, lie the weights as the optimizer left them, for a run that goes on.
"""

from typing import Any

import torch
from torch import Tensor

from adlx.tasks.task import Task


class Averaged(Task):
    """A task whose weights are averaged: average = decay average + (1 - decay) weights after every step."""

    decay: float
    others: dict[str, Tensor] | None = None
    """By name: the averages while the model holds the weights, the weights while it holds the averages."""
    swapped = False

    def trained(self) -> dict[str, Tensor]:
        """What is averaged: weights that are trained, and what normalisations have seen, which goes with them."""
        weights = {name: weight.data for name, weight in self.model.named_parameters() if weight.requires_grad}
        held = self.model.state_dict().keys()
        seen = {name: value for name, value in self.model.named_buffers() if value.is_floating_point()}
        return {**weights, **{name: value for name, value in seen.items() if name in held}}

    def on_fit_start(self) -> None:
        super().on_fit_start()
        own = self.trained()
        if self.others is None:
            self.others = {name: weight.clone() for name, weight in own.items()}
        else:  # from a checkpoint, which was read onto the CPU
            self.others = {name: value.to(own[name]) for name, value in self.others.items()}

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        assert self.others is not None
        averages, weights = list(self.others.values()), list(self.trained().values())
        decay = min(self.decay, self.steps_done / (9 + self.steps_done))
        torch._foreach_lerp_(averages, weights, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]

    def swap(self) -> None:
        """Lets averages and weights change places."""
        if self.others is not None:
            for name, weight in self.trained().items():
                held = weight.clone()
                weight.copy_(self.others[name])
                self.others[name].copy_(held)
            self.swapped = not self.swapped

    def on_validation_start(self) -> None:
        self.swap()

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.swap()  # before callbacks save anything

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.others is None:
            return
        own, others = self.trained(), self.others
        weights, averages = (others, own) if self.swapped else (own, others)
        checkpoint["adlx"]["weights"] = {name: value.clone() for name, value in weights.items()}
        checkpoint["state_dict"] |= {f"model.{name}": value.clone() for name, value in averages.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        state, weights = checkpoint["state_dict"], checkpoint["adlx"]["weights"]
        self.others = {name: state[f"model.{name}"].clone() for name in weights}
        state |= {f"model.{name}": value for name, value in weights.items()}

    def load_weights(self, checkpoint: dict[str, Any]) -> None:
        super().load_weights(checkpoint)
        self.others = None  # the model holds the averages now, for good
