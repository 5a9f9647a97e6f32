"""All uses of private parts of Lightning.

Tests check each of them with the installed version; if an upgrade removes one, its test fails and names it.
"""

import os
import traceback
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytorch_lightning as pl

_LIBRARIES = ("pytorch_lightning", "lightning_fabric", "lightning_utilities", "torch", "packaging")

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


def is_restore_error(error: BaseException) -> bool:
    """Whether an error of `trainer.fit` comes from the state in a checkpoint, and not from the code of adlx or a user.

    That is an error while Lightning reads the state, or one in which only code of the libraries was running.
    """
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    first = next((n for n, file in enumerate(files) if _is_in_libraries(file)), len(files))
    inner = files[first:]
    is_reading = any(os.path.basename(file) == "checkpoint_connector.py" for file in inner)
    return is_reading or (bool(inner) and all(map(_is_in_libraries, inner)))


def _is_in_libraries(file: str) -> bool:
    _, _, installed = file.replace(os.sep, "/").rpartition("/site-packages/")
    if installed:
        return installed.startswith(tuple(f"{library}/" for library in _LIBRARIES))
    return os.path.dirname(os.__file__) in file  # Python's own modules
