"""The classes that each node of a config may name; also refuses settings that contradict each other."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.strategies import Strategy
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from adlx.config.check import check
from adlx.config.nodes import CheckedConfig, Group, Origin
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.ranges import PositiveInt
from adlx.runs.finetune import Finetune
from adlx.runs.library_ranges import CallbackRanges, LossRanges, OptimizerRanges, TrainerRanges, annotations
from adlx.tasks.task import Task

# Arguments that the run passes to callbacks and loggers that have them: its folders, and the first step of a resumed
# run. A config can set them too.
_OFFERED = frozenset({"dirpath", "folder", "save_dir", "first_step"})
# Arguments of the trainer that a config cannot set: the run or another group sets them, or they switch off what a run
# needs.
_TRAINER_FORBIDDEN = {
    "self",
    "barebones",
    "logger",
    "callbacks",
    "plugins",
    "default_root_dir",
    "enable_checkpointing",
    "max_time",
}

GROUPS: dict[str, Group] = {
    "model": Group(nn.Module, given=frozenset({"spec"})),
    "data": Group(DataModule),
    "task": Group(Task, given=frozenset({"model", "loss", "optimization", "data", "seed"})),
    "loss": Group(nn.Module, ranges=annotations(LossRanges)),
    "optimizer": Group(
        Optimizer,
        given=frozenset({"params"}),
        ranges=annotations(OptimizerRanges),
        nested={"schedule": Group(LRScheduler, given=frozenset({"optimizer", "total_steps"}))},
    ),
    "finetune": Group(Finetune),
    "callbacks": Group(pl.Callback, offered=_OFFERED, ranges=annotations(CallbackRanges)),
    "logger": Group(Logger, offered=_OFFERED),
    "trainer": Group(
        pl.Trainer,
        fixed=pl.Trainer,
        forbidden=frozenset(_TRAINER_FORBIDDEN),
        extra={"threads": Literal["auto"] | PositiveInt},
        ranges=annotations(TrainerRanges),
        nested={"strategy": Group(Strategy), "profiler": Group(Profiler)},
    ),
}


def checked(config: dict[str, Any], origin: Origin) -> CheckedConfig:
    """A run's config, checked against `GROUPS`.

    Raises:
        UserError: one line on the first mistake.
    """
    result = check(config, GROUPS, origin)
    _check_contradictions(config)
    return result


def checked_stored(config: dict[str, Any], file: Path, typed: Collection[str] = ()) -> CheckedConfig:
    """Like `checked`, for the config that a run stored: the message names the file.

    Args:
        config: the stored config, with the overrides of a command.
        file: where it is stored.
        typed: the keys of the overrides.
    """
    try:
        return checked(config, lambda key: "on the command line" if key in typed else f"in {file}")
    except UserError as error:
        text = str(error)  # whether a class is trusted depends on this machine, and is no mistake in the file
        if str(file) in text or " is refused" in text or any(key in text for key in typed):
            raise
        raise UserError(f"{file}: {error}") from None


def _check_contradictions(config: dict[str, Any]) -> None:
    """Raises UserError for settings that are valid alone but not together."""
    trainer, optimizer = config["trainer"], config["optimizer"]
    if str(trainer.get("precision")) == "16-mixed" and optimizer.get("fused") and trainer.get("gradient_clip_val"):
        raise UserError(
            "trainer.precision=16-mixed cannot clip gradients of a fused optimizer: "
            "set optimizer.fused=false, trainer.gradient_clip_val=null or trainer.precision=bf16-mixed"
        )
    monitored = {name for name, node in config["callbacks"].items() if node.get("monitor") == "val/loss"}
    if monitored and trainer.get("limit_val_batches") == 0:
        raise UserError(
            f"trainer.limit_val_batches=0 leaves no val/loss for callbacks.{sorted(monitored)[0]}: "
            "use a larger limit, or monitor another metric"
        )
