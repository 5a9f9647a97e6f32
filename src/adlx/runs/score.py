"""The test loop, for a run that has just been trained and for one that is evaluated."""

from typing import Any

import pytorch_lightning as pl

from adlx.data.datamodule import DataModule
from adlx.tasks.task import Task


def score(task: Task, data: DataModule, accelerator: str, precision: Any) -> None:
    """Tests on one device, even after a training on several, so that each sample counts once; sets `task.results`."""
    pl.Trainer(
        accelerator=accelerator,
        devices=1,
        precision=precision,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    ).test(task, datamodule=data, verbose=False)
