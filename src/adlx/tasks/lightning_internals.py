"""What adlx needs of Lightning beyond its public interface, in one place.

A test holds each of these against the installed version: where an upgrade removes one, it says which.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytorch_lightning as pl

CURRENT_HOOK = "_current_fx_name"
"""Attribute of a module in which Lightning notes which of its hooks runs, 45 times a step."""


def batches_done(trainer: pl.Trainer) -> int:
    """Batches of this epoch whose step is complete; one that failed half-way does not count."""
    return trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]


def is_last_batch(trainer: pl.Trainer) -> bool:
    return trainer.fit_loop.epoch_loop.batch_progress.is_last_batch  # type: ignore[attr-defined]


def has_trainer(module: pl.LightningModule) -> bool:
    """Whether a trainer holds the module; `module.trainer` raises where none does."""
    return module._trainer is not None


def forward_context(module: pl.LightningModule) -> AbstractContextManager[Any]:
    """The precision of the trainer that holds a module; Lightning enters it for steps, and drawing samples is none."""
    return module.trainer.precision_plugin.forward_context() if has_trainer(module) else nullcontext()  # type: ignore[union-attr]
