"""A run from its config to its final scores."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch

from adlx.config.compose import Composition, compose
from adlx.config.nodes import CheckedConfig
from adlx.config.targets import dotted, trust
from adlx.data.datamodule import DataModule
from adlx.errors import Interrupted, RunFailed, UserError, WriteFailed
from adlx.runs.build import build_data, check_pair
from adlx.runs.check_settings import check_limits, check_settings
from adlx.runs.checkpoints import Checkpoint, load_card, load_checkpoint
from adlx.runs.finish import finish
from adlx.runs.folder import RunFolder, check_output_dir
from adlx.runs.groups import checked
from adlx.runs.interruption import Interruptible
from adlx.runs.parts import identify_parts
from adlx.runs.processes import FOLDER_VARIABLE, leave_process_group, restored_environment
from adlx.runs.progress import quiet_lightning
from adlx.runs.restore import relative_path
from adlx.runs.start import follow_base, new_task, with_base_arguments
from adlx.runs.threads import set_threads
from adlx.runs.trainer import make_trainer
from adlx.tasks.lightning_internals import is_restore_error
from adlx.tasks.task import Task

log = logging.getLogger("adlx")

Notify = Callable[[RunFolder], None]


def ignore(run: RunFolder) -> None:
    """Does nothing; the default of `created` and `tested`."""


def train(words: Sequence[str]) -> RunFolder:
    """Trains and tests like `adlx train WORDS...`, for example `train(["model=NAME", "data=NAME"])`.

    Raises:
        UserError: a word, a file or the data are invalid; nothing was written.
        RunFailed: training had to stop; `run.json` in the folder contains the reason.
    """
    return start(compose(words, complete=False))


def start(composition: Composition, created: Notify = ignore, tested: Notify = ignore) -> RunFolder:
    """Trains a composed config in a new run folder.

    Args:
        composition: the composed config of a command.
        created: called with the run as soon as its folder exists.
        tested: called with the run as soon as its scores are written, before its figures are drawn.
    """
    config, data, task = build_run(composition)
    facts = data.about()
    log.info(f"data: {facts['source']}, {facts['detail']}")
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is not None:
        run = RunFolder.open(folder)
    else:
        run = RunFolder.create(composition, config.plain, facts, dotted(task.result_kind))
        created(run)
    return execute(run, config, data, task, tested=tested)


def build_run(composition: Composition) -> tuple[CheckedConfig, DataModule, Task]:
    """The config, the loaded data and the task of a new run; reports every mistake that is visible before training."""
    config, data = check_run(composition)
    config = checked(identify_parts(config), composition.origin)
    follow_base(data, config)
    data.setup("fit")
    data.check_training_part()
    check_limits(config.trainer.arguments, data)
    return config, data, new_task(config, data)


def check_run(composition: Composition) -> tuple[CheckedConfig, DataModule]:
    """The checked config of a new run and its data, not loaded; reports the mistakes that are visible without data."""
    config = prepare(composition)
    check_output_dir(config.plain["output_dir"])
    quiet_lightning()
    data = build_data(config)
    check_settings(config)
    return config, data


def prepare(composition: Composition) -> CheckedConfig:
    """The checked config of a new run; for fine-tuning, with the arguments of the base's model."""
    plain = composition.config
    # A config file can name packages too, but only those that the user typed are stored as trusted.
    trust(plain["allow"], store=any(word.lstrip("+").startswith("allow=") for word in composition.overrides))
    check_pair(plain)
    composition.require_values()
    config = checked(plain, composition.origin)
    if config.finetune is None:
        return config
    plain = with_base_arguments(config, composition.overrides)
    return checked(plain, lambda key: f"as the base run has it ({plain['finetune']['run']})")


def execute(
    run: RunFolder,
    config: CheckedConfig,
    data: DataModule,
    task: Task,
    resumed: bool = False,
    tested: Notify = ignore,
) -> RunFolder:
    """Trains, tests and finishes a run in its folder, from `last.ckpt` if it is resumed."""
    checkpoint = run.last if resumed and run.last.is_file() else None
    first_step = load_card(checkpoint)["steps"] if checkpoint else 0
    started_here = FOLDER_VARIABLE not in os.environ
    with run.locked() if started_here else nullcontext(), restored_environment():
        try:
            if checkpoint is None:  # else the checkpoint contains the statistics
                fit_statistics(task, data)
            trainer = make_trainer(run, config, task, first_step)
            threads = config.trainer.arguments.get("threads", "auto")
            if threads == "auto":  # a resumed run keeps its number, because another number rounds differently
                threads = run.info.get("threads", "auto")
            batch = next(iter(data.train_dataloader()))
            threads = set_threads(threads, task, batch, trainer.strategy.root_device, trainer.num_devices)
        except BaseException:
            if started_here and not resumed:
                run.discard()
            raise
        run.update(threads=threads, status="running")
        if task.finetune:  # also for a resumed run: its base may have been moved
            run.update(finetune={**task.finetune, "relative_path": relative_path(run, task.finetune["run"])})
        if resumed and config.plain != run.config:
            run.store(config.plain)
        with Interruptible(trainer) as interruptible, recorded(run):
            seconds = fit(run, interruptible, data, task, checkpoint)
            leave_process_group()
            if not started_here:  # the first process tests and reports
                sys.exit(0)
            finish(run, data, task, trainer, first_step, seconds, tested)
    return run


def fit_statistics(task: Task, data: DataModule) -> None:
    """Calls `task.fit_statistics`; a ValueError about the data becomes a UserError."""
    try:
        task.fit_statistics(data)
    except ValueError as error:
        raise UserError(str(error)) from None


@contextmanager
def recorded(run: RunFolder) -> Iterator[None]:
    """Writes to `run.json` that a run was interrupted or failed, and why."""
    os.environ[FOLDER_VARIABLE] = str(run.path.resolve())
    try:
        yield
    except Interrupted as stop:
        run.update(status="interrupted", reason=str(stop))
        stop.advice = f"go on with: adlx resume {run.path}"
        log.info(stop.line)
        raise
    except BaseException as error:
        with suppress(WriteFailed):  # the disk may be full; the error that is raised below reports this
            run.update(status="failed", reason=f"{type(error).__name__}: {error}".splitlines()[0])
        if isinstance(error, RunFailed):
            advice = f"last good checkpoint: {run.last}" if run.last.is_file() else "no checkpoint had been written"
            raise type(error)(f"{error}; {advice}") from None
        raise


@contextmanager
def readable_restore(task: Task, checkpoint: Path | None) -> Iterator[None]:
    """Turns an error of Lightning or PyTorch about the state in a damaged checkpoint into one line."""
    first_step = 0 if checkpoint is None else load_card(checkpoint)["steps"]
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        # The first step is the first use of the optimizer's state.
        if checkpoint is None or task.steps_done > first_step + 1 or not is_restore_error(error):
            raise
        detail = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"checkpoint {checkpoint} is damaged, and training cannot continue from it ({detail}): start a new run"
        ) from error


def fit(run: RunFolder, interruptible: Interruptible, data: DataModule, task: Task, checkpoint: Path | None) -> float:
    """Trains, and returns the number of seconds. A model without parameters is only validated."""
    trainer = interruptible.trainer
    started = time.perf_counter()
    if any(parameter.requires_grad for parameter in task.parameters()):
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        if checkpoint is None and any(isinstance(c, Checkpoint) and c.untrained for c in callbacks):
            trainer.validate(task, datamodule=data, verbose=False)
        with readable_restore(task, checkpoint):
            interruptible.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    else:
        log.info("nothing to train: the model has no parameters")
        if checkpoint is not None:
            task.load_weights(load_checkpoint(checkpoint))
        trainer.validate(task, datamodule=data, verbose=False)
        for path in (run.best, run.last):
            trainer.save_checkpoint(path)
    return time.perf_counter() - started
