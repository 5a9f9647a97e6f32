"""A run from its config to its final numbers."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from adlx.config.check import check
from adlx.config.compose import Composition, compose
from adlx.config.targets import trust
from adlx.data.datamodule import DataModule
from adlx.errors import RunFailed
from adlx.figures.curves import training_curves
from adlx.figures.style import save, save_film
from adlx.metrics.training import training_scores
from adlx.models.lora import merge
from adlx.reporting.terminal import report
from adlx.runs.assembly import assemble
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.finetune import adopt, beside
from adlx.runs.folder import Run, write_json
from adlx.runs.interruption import Interrupted, Interruptible
from adlx.runs.loggers import Curves, TensorBoard, hyperparameters, read_curves
from adlx.runs.parts import read_parts
from adlx.runs.processes import FOLDER_VARIABLE, leave_processes, own_environment
from adlx.runs.progress import peak_memory_mb, quiet_lightning
from adlx.runs.score import score
from adlx.runs.threads import set_threads
from adlx.runs.trainer import make_trainer
from adlx.tasks.task import Task

log = logging.getLogger("adlx")


def train(words: Sequence[str]) -> Run:
    """Fits and tests what `adlx train WORDS...` would: `train(["model=NAME", "data=NAME"])`.

    Raises:
        UserError: a word, a file or the data are not as they must be; nothing was written.
        RunFailed: the run could not go on; its folder says why.
    """
    run = start(compose(words))
    report(run)
    return run


def start(composition: Composition, created: Callable[[Run], None] = lambda run: None) -> Run:
    """Trains a composed config in a new run folder, and calls `created` with it once it is there."""
    config = composition.config
    if config["data"].get("path"):  # the run will be evaluated from other folders
        config["data"]["path"] = str(Path(config["data"]["path"]).absolute())
    trust(config["allow"])
    check(config, composition.origin)
    if config["finetune"]:
        adopt(config, composition.overrides)
        check(config, lambda key: f"as the base run has it ({config['finetune']['run']})")
    read_parts(config)
    quiet_lightning()
    data, task = assemble(config)
    if task.finetune:
        config["finetune"]["sha256"] = task.finetune["sha256"]
    facts = data.about()
    log.info(f"data: {facts['source']}, {facts['detail']}")
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is not None:
        run = Run.open(folder)
    else:
        run = Run.create(composition, facts)
        created(run)
    return execute(run, config, data, task)


def execute(run: Run, config: dict[str, Any], data: DataModule, task: Task, resumed: bool = False) -> Run:
    """Fits, tests and finishes a run in its folder, from `last.ckpt` if it is resumed."""
    checkpoint = run.last if resumed and run.last.is_file() else None
    first_step = load_checkpoint(checkpoint)["adlx"]["steps"] if checkpoint else 0
    started_here = FOLDER_VARIABLE not in os.environ
    with run.locked() if started_here else nullcontext(), own_environment():
        try:
            trainer = make_trainer(run, config, task, first_step)
            threads = config["trainer"].get("threads", "auto")
            if threads == "auto":  # a resumed run keeps to what was found for it: another number rounds differently
                threads = run.info.get("threads", "auto")
            batch = next(iter(data.train_dataloader()))
            threads = set_threads(threads, task, batch, trainer.strategy.root_device, trainer.num_devices)
        except BaseException:
            if started_here and not resumed:
                run.discard()
            raise
        kind = task.result_kind
        run.update(threads=threads, status="running", result=f"{kind.__module__}.{kind.__qualname__}")
        if task.finetune:  # again where a run goes on: its base may have moved
            run.update(finetune={**task.finetune, "beside": beside(run, task.finetune["run"])})
        if resumed and config != run.config:
            run.store(config)
        with Interruptible(trainer) as interruptible, recorded(run):
            seconds = fit(run, interruptible, data, task, checkpoint)
            leave_processes()
            if not started_here:  # the first process tests and reports
                sys.exit(0)
            finish(run, data, task, trainer, first_step, seconds)
    return run


@contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Writes to `run.json` how the run ended, if not well."""
    os.environ[FOLDER_VARIABLE] = str(run.path.resolve())
    try:
        yield
    except Interrupted as stop:
        run.update(status="interrupted", reason=str(stop))
        log.info(f"stopped by {stop}; go on with: adlx resume {run.path}")
        raise
    except BaseException as error:
        run.update(status="failed", reason=f"{type(error).__name__}: {error}".splitlines()[0])
        if isinstance(error, RunFailed):
            kept = f"last good checkpoint: {run.last}" if run.last.is_file() else "no checkpoint had been written"
            raise type(error)(f"{error}; {kept}") from None
        raise


def fit(run: Run, interruptible: Interruptible, data: DataModule, task: Task, checkpoint: Path | None) -> float:
    """Trains; returns the seconds it took. A model without parameters is only validated."""
    trainer = interruptible.trainer
    started = time.perf_counter()
    if any(parameter.requires_grad for parameter in task.parameters()):
        interruptible.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    else:
        log.info("nothing to train: the model has no parameters")
        trainer.validate(task, datamodule=data, verbose=False)
        for path in (run.best, run.last):
            trainer.save_checkpoint(path)
    return time.perf_counter() - started


def finish(run: Run, data: DataModule, task: Task, trainer: pl.Trainer, first_step: int, seconds: float) -> None:
    """Tests the best checkpoint and writes the numbers, predictions and figures."""
    chosen = run.best if run.best.is_file() else run.last
    task.load_weights(load_checkpoint(chosen))
    steps = task.steps_done - first_step
    memory = peak_memory_mb(trainer.strategy.root_device)
    fitted = training_scores(seconds, steps, memory, chosen.stat().st_size, seconds_before=task.seconds_before)
    facts = {**fitted, **task.facts()}
    merge(task.model)
    accelerator = {"cpu": "cpu", "mps": "mps"}.get(trainer.strategy.root_device.type, "gpu")
    score(task, data, accelerator, trainer.precision)
    metrics = {**task.results, **facts}
    task.save_predictions(run.path / "predictions.npz")
    figures = task.figures(run.title)
    if (run.path / "metrics.csv").is_file():
        figures["training_curves"] = training_curves(read_curves(run.path / "metrics.csv"), run.title)
    for name, figure in figures.items():
        save(figure, run.path / "figures" / f"{name}.png")
    for name, frames in task.animations(run.title).items():
        save_film(frames, run.path / "figures" / f"{name}.gif")
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoard):
            logger.log_run(run, metrics, figures, task.steps_done)
        elif not isinstance(logger, Curves):  # a service of the user's
            logger.log_hyperparams(hyperparameters(run))
            logger.log_metrics(metrics, step=task.steps_done)
    write_json(run.path / "metrics.json", metrics)
    ended = {"seconds": task.seconds_before + seconds, "peak_memory_mb": memory}
    run.update(status="finished", **ended, **task.notes())
