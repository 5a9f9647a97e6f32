"""Lightning's Trainer from a config."""

from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.strategies import Strategy

from adlx.config.targets import build, parameters, resolve
from adlx.errors import UserError
from adlx.runs.checkpoints import AtomicCheckpointIO
from adlx.runs.folder import Run
from adlx.runs.loggers import Curves
from adlx.runs.progress import Unprofiled, progress
from adlx.tasks.task import Task


def make_trainer(run: Run, config: dict[str, Any], task: Task, first_step: int = 0) -> pl.Trainer:
    """Lightning's Trainer from `config.trainer`, with adlx's callbacks, loggers and checkpoint files."""
    arguments = {key: value for key, value in config["trainer"].items() if key != "threads"}
    if not task.automatic_optimization:  # Lightning refuses to clip what it does not step
        arguments.pop("gradient_clip_val", None)
    for key, kind in (("strategy", Strategy), ("profiler", Profiler)):
        if isinstance(arguments.get(key), dict):
            arguments[key] = build(arguments[key], kind, f"trainer.{key}")
    callbacks = [progress()] if arguments.get("enable_progress_bar", True) else []
    arguments["enable_progress_bar"] = any(isinstance(c, ProgressBar) for c in callbacks)
    given = {"dirpath": str(run.path / "checkpoints")}
    callbacks += [_built(node, pl.Callback, f"callbacks.{name}", given) for name, node in config["callbacks"].items()]
    given = {
        "folder": str(run.path / "tensorboard"),
        "save_dir": str(run.path),
        "first_step": first_step,
    }
    loggers: list[Logger] = [Curves(run.path / "metrics.csv", first_step)]
    loggers += [_built(node, Logger, f"logger.{name}", given) for name, node in config["logger"].items()]
    defaults = {"num_sanity_val_steps": 0, "enable_model_summary": False, "profiler": Unprofiled()}
    try:
        return pl.Trainer(
            **{**defaults, **arguments},
            callbacks=callbacks,
            logger=loggers,
            plugins=[AtomicCheckpointIO()],
            default_root_dir=run.path,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise UserError(f"trainer ({config['trainer']}): {str(error).splitlines()[0]}") from None


def _built(node: dict[str, Any], kind: type, where: str, given: dict[str, Any]) -> Any:
    """Builds a callback or logger, telling it the run's folder if it asks and the config does not say."""
    accepted = parameters(resolve(node.get("_target_"), kind, where))
    return build({**{key: value for key, value in given.items() if key in accepted}, **node}, kind, where)
