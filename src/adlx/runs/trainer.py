"""Makes Lightning's Trainer from a config."""

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers.logger import Logger

from adlx.config.nodes import CheckedConfig, Node
from adlx.errors import UserError
from adlx.runs.checkpoints import AtomicCheckpointIO
from adlx.runs.devices import named_settings
from adlx.runs.folder import RunFolder
from adlx.runs.loggers import Curves
from adlx.runs.progress import Unprofiled, progress
from adlx.tasks.task import Task


def make_trainer(run: RunFolder, config: CheckedConfig, task: Task, first_step: int = 0) -> pl.Trainer:
    """Makes Lightning's Trainer from `config.trainer`, with the callbacks, loggers and checkpoint files of adlx."""
    arguments = {key: value for key, value in config.trainer.arguments.items() if key != "threads"}
    arguments |= {key: value.build() for key, value in arguments.items() if isinstance(value, Node)}
    if not task.automatic_optimization:  # Lightning refuses to clip gradients if it does not step the optimizer
        arguments.pop("gradient_clip_val", None)
    callbacks = [progress()] if arguments.get("enable_progress_bar", True) else []
    arguments["enable_progress_bar"] = any(isinstance(c, ProgressBar) for c in callbacks)
    callbacks += [node.build_with(dirpath=str(run.path / "checkpoints")) for node in config.callbacks.values()]
    folders = {"folder": str(run.path / "tensorboard"), "save_dir": str(run.path), "first_step": first_step}
    loggers: list[Logger] = [Curves(run.path / "metrics.csv", first_step)]
    loggers += [node.build_with(**folders) for node in config.logger.values()]
    defaults = {"num_sanity_val_steps": 0, "enable_model_summary": False, "profiler": Unprofiled()}
    try:
        return pl.Trainer(
            **{**defaults, **arguments},
            callbacks=callbacks,
            logger=loggers,
            plugins=[AtomicCheckpointIO()],
            default_root_dir=run.path,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{named_settings(reason, config.plain['trainer'])}: {reason}") from None
