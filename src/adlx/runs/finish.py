"""The end of a run: tests the best checkpoint and writes scores, predictions and figures."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from adlx.data.datamodule import DataModule
from adlx.figures.failures import reported
from adlx.metrics.training import training_scores
from adlx.models.lora import merge
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.folder import RunFolder, write_json
from adlx.runs.loggers import Curves, TensorBoard, hyperparameters, read_curves
from adlx.runs.progress import peak_memory_mb
from adlx.runs.score import score
from adlx.tasks.task import Task


def finish(
    run: RunFolder,
    data: DataModule,
    task: Task,
    trainer: pl.Trainer,
    first_step: int,
    seconds: float,
    tested: Callable[[RunFolder], None],
) -> None:
    """Tests the best checkpoint and marks the run finished. Writes the scores first and the figures last.

    Args:
        run, data, task, trainer: after training.
        first_step: the step at which this process started to train.
        seconds: how long this process trained.
        tested: called with the run as soon as its scores are written.
    """
    task.load_weights(load_checkpoint(run.checkpoint))
    steps, device = task.steps_done - first_step, trainer.strategy.root_device
    memory, size = peak_memory_mb(device), run.checkpoint.stat().st_size
    facts = training_scores(seconds, steps, memory, size, seconds_before=task.seconds_before) | task.facts()
    merge(task.model)  # after the sizes, which are those of the adapters; the scores are those of the merged model
    score(task, data, {"cpu": "cpu", "mps": "mps"}.get(device.type, "gpu"), trainer.precision)
    metrics = {**task.results, **facts}
    task.save_predictions(run.path / "predictions.npz")
    write_json(run.path / "metrics.json", metrics)
    run.update(**task.notes())
    tested(run)
    figures = draw(run, task)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoard):
            logger.log_run(run, metrics, figures, task.steps_done)
        elif not isinstance(logger, Curves):  # a logger that the user added
            logger.log_hyperparams(hyperparameters(run))
            logger.log_metrics(metrics, step=task.steps_done)
    run.update(status="finished", seconds=task.seconds_before + seconds, peak_memory_mb=memory)


def draw(run: RunFolder, task: Task) -> dict[str, Any]:
    """Draws and saves the figures of the last test and of the training. Returns those without errors, by name."""
    from adlx.figures.curves import training_curves  # imports matplotlib, so not before the scores are written
    from adlx.figures.style import save, save_film

    curves, folder = run.path / "metrics.csv", run.path / "figures"
    figures: dict[str, Any] = {}
    with reported("the figures"):
        figures |= task.figures(run.title)
    if curves.is_file():
        with reported("the figure training_curves"):
            figures["training_curves"] = training_curves(read_curves(curves), run.title)
    drawn = {}
    for name, figure in figures.items():
        with reported(f"the figure {name}"):
            save(figure, folder / f"{name}.png")
            drawn[name] = figure
    with reported("the films"):
        for name, frames in task.animations(run.title).items():
            save_film(frames, folder / f"{name}.gif")
    return drawn
