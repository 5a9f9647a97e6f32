"""All uses of private parts of Lightning.

Tests check each of them with the installed version; if an upgrade removes one, its test fails and names it.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytorch_lightning as pl

CURRENT_HOOK = "_current_fx_name"
"""Attribute of a module in which Lightning stores the name of the running hook, 45 times per step."""


def batches_done(trainer: pl.Trainer) -> int:
    """Number of batches of this epoch whose step is complete; a step that failed does not count."""
    return trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]


def is_last_batch(trainer: pl.Trainer) -> bool:
    return trainer.fit_loop.epoch_loop.batch_progress.is_last_batch  # type: ignore[attr-defined]


def has_trainer(module: pl.LightningModule) -> bool:
    """Whether the module has a trainer; without one, `module.trainer` raises."""
    return module._trainer is not None


def forward_context(module: pl.LightningModule) -> AbstractContextManager[Any]:
    """Context with the precision of the module's trainer; Lightning enters it for steps, but not for sampling."""
    return module.trainer.precision_plugin.forward_context() if has_trainer(module) else nullcontext()  # type: ignore[union-attr]
