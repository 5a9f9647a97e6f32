"""Builds everything that needs no data, to report a wrong setting before data are read and before a folder is made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from adlx.config.nodes import CheckedConfig
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.runs.build import build_loss, optimization
from adlx.runs.checkpoints import Checkpoint
from adlx.runs.devices import check_trainer

_MISTAKES = (ValueError, TypeError, RuntimeError, ImportError, MisconfigurationException)


def check_settings(config: CheckedConfig) -> None:
    """Checks the loss, the optimizer with its schedule, the callbacks and the trainer.

    Raises:
        UserError: one of them cannot be built, or does not fit the task.
    """
    task = config.task.target
    try:
        task.check_loss(build_loss(config))
        task.check_trainer(config.trainer.arguments)
    except ValueError as error:
        raise UserError(str(error)) from None
    check_optimizer(config)
    check_callbacks(config)
    check_trainer(config.trainer.arguments)


def check_optimizer(config: CheckedConfig) -> None:
    made = optimization(config)
    try:
        optimizer = made.make_optimizer([torch.nn.Parameter(torch.zeros(1))])
    except _MISTAKES as error:
        raise UserError(f"optimizer ({config.optimizer.target.__name__}): {first_line(error)}") from None
    try:
        if made.make_schedule is not None:
            made.make_schedule(optimizer, total_steps=100)
    except _MISTAKES as error:
        schedule = config.optimizer.arguments["schedule"]
        raise UserError(f"optimizer.schedule ({schedule.target.__name__}): {first_line(error)}") from None


def check_callbacks(config: CheckedConfig) -> None:
    if not any(issubclass(node.target, Checkpoint) for node in config.callbacks.values()):
        raise UserError("callbacks: a run needs checkpoints: use callbacks=checkpoint, which adds nothing else")
    folder = str(Path(config.plain["output_dir"]) / "checkpoints")
    for name, node in config.callbacks.items():
        try:
            node.build_with(dirpath=folder)
            if check_task := getattr(node.target, "check_task", None):
                check_task(config.task.target)
        except _MISTAKES as error:
            raise UserError(f"callbacks.{name} ({node.target.__name__}): {first_line(error)}") from None


def check_limits(settings: Mapping[str, Any], data: DataModule) -> None:
    """Raises UserError if a share such as `trainer.limit_train_batches=0.001` is less than one batch."""
    loaders = {"train": data.train_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}
    for part, loader in loaders.items():
        key = f"limit_{part}_batches"
        share = settings.get(key)
        if isinstance(share, float) and 0 < share < 1 and (count := len(loader())) * share < 1:
            raise UserError(f"trainer.{key}={share} leaves none of {count} batches: give at least {1 / count:.2g}")


def first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
