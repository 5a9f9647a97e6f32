"""A run from its config to its final numbers."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.strategies import Strategy
from torch import nn

from adlx.data.datamodule import DataModule
from adlx.errors import RunFailed, UserError
from adlx.figures.curves import training_curves
from adlx.figures.style import save, save_film
from adlx.models.lora import merge
from adlx.runs.check import check
from adlx.runs.checkpoints import AtomicCheckpointIO, load_checkpoint
from adlx.runs.compose import Composition, compose
from adlx.runs.finetune import adopt, beside, prepare
from adlx.runs.folder import Run, versions, write_json
from adlx.runs.interruption import Interrupted, Interruptible
from adlx.runs.loggers import Curves, TensorBoard, hyperparameters, read_curves
from adlx.runs.parts import build_model, check_base, read_parts
from adlx.runs.progress import Unprofiled, peak_memory_mb, progress, quiet_lightning
from adlx.runs.report import report
from adlx.runs.score import score
from adlx.runs.threads import set_threads
from adlx.specs import told
from adlx.targets import build, parameters, resolve, trust
from adlx.tasks import Task, task_for

log = logging.getLogger("adlx")

# A process that Lightning starts for another device of the same run finds its folder here.
FOLDER_VARIABLE = "ADLX_RUN_FOLDER"


def train(words: Sequence[str]) -> Run:
    """Fits and tests what `adlx train WORDS...` would: `train(["model=seq2seq", "data=crypto"])`.

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


def assemble(
    config: dict[str, Any], pinned: dict[str, Any] | None = None, trained: bool = False
) -> tuple[DataModule, Task]:
    """Builds data and task: all that can be wrong with a config is found here, before a folder exists.

    Args:
        config: checked.
        pinned: `run.json`'s facts on the data of an earlier run, to load the same again.
        trained: a checkpoint will be read into the task afterwards.
    """
    data: DataModule = build(config["data"], DataModule, "data")
    if pinned is not None:
        for key, value in data.pinned(pinned).items():
            setattr(data, key, value)
    data.seed = config["seed"]
    model = resolve(config["model"].get("_target_"), nn.Module, "model")
    wanted = task_for(model).spec_kind
    if not issubclass(gives(data), wanted):  # before anything is loaded
        raise UserError(
            f"model and data do not fit: {model.__name__} is for {told(wanted)}, and {type(data).__name__} gives "
            f"{told(gives(data))}"
        )
    data.setup("fit")
    return data, build_task(config, data, trained)


def gives(data: DataModule) -> type:
    """The kind of spec that data have, known before they are loaded."""
    return get_type_hints(type(data).spec.fget)["return"]


def build_task(config: dict[str, Any], data: DataModule, trained: bool = False) -> Task:
    """The task of `config` around a model with fresh weights, drawn from the config's seed alone, or a base run's.

    Args:
        config: checked.
        data: loaded.
        trained: a checkpoint will be read into it afterwards.
    """
    pl.seed_everything(config["seed"], verbose=False)
    model_class = resolve(config["model"].get("_target_"), nn.Module, "model")
    kind = task_for(model_class)
    if config.get("finetune") and not kind.follows_gradient:
        raise UserError(f"finetune: {model_class.__name__} is solved, not trained; it starts from nothing")
    try:
        kind.check_trainer(config["trainer"])
        read = not trained and not config.get("finetune")  # a base run has the weights of the parts too
        spec = kind.model_spec(data.spec, config["loss"])
        if not trained:
            check_base(config, spec)
        model = build_model(config["model"], spec, read=read)
        finetune, adapters = prepare(model, config, trained)
        task = kind(model, config["loss"], config["optimizer"], data=data, seed=config["seed"])
    except ValueError as error:  # the own word of a model or a loss on arguments that do not go together
        raise UserError(str(error)) from None
    task.finetune, task.strict_loading = finetune, not adapters
    task.card = {"config": config, "spec": asdict(data.spec), "versions": versions()}
    return task


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
        run.update(threads=threads, status="running")
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
def own_environment() -> Iterator[None]:
    """Undoes what Lightning sets up to number a run's processes, so that the next run can start its own."""
    names = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", FOLDER_VARIABLE)
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        leave_processes()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def leave_processes() -> None:
    """Ends the group of a run's processes, so that what follows waits for none of the others."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


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
    facts = {
        "fit/seconds": task.seconds_before + seconds,
        "fit/steps_per_second": steps / seconds if steps else 0.0,
        "fit/peak_memory_mb": peak_memory_mb(trainer.strategy.root_device),
        "fit/checkpoint_kb": chosen.stat().st_size / 1000,
        **task.facts(),
    }
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
    ended = {"seconds": facts["fit/seconds"], "peak_memory_mb": facts["fit/peak_memory_mb"]}
    run.update(status="finished", **ended, **task.notes())
