"""Loggers of the curves: `metrics.csv` always, TensorBoard by default."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import OmegaConf
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import Logger

from adlx.atomic import replacing
from adlx.errors import WriteFailed
from adlx.metrics.training import TRAINING
from adlx.runs.curves import read_curves
from adlx.runs.declarations import result_kind
from adlx.runs.folder import RunFolder, is_main_process
from adlx.runs.settings import flatten

TRAINING_HEADLINES = tuple(metric for metric in TRAINING if metric.headline)
FINAL = ("test/", "baseline/", "insample/")  # these go to metrics.json


class Curves(Logger):
    """Appends rows to `metrics.csv`: `step`, `epoch` and one column for each metric, empty where it was not logged.

    Args:
        path: the file.
        first_step: the first step of a resumed run. Rows from this step on are removed, because the resumed run writes
            them again: a killed process wrote them after its last checkpoint.
    """

    def __init__(self, path: Path, first_step: int = 0) -> None:
        super().__init__()
        self.path = path
        self.columns = ["step", "epoch"]
        if is_main_process() and path.is_file() and path.stat().st_size:
            table = read_curves(path)
            self.columns = list(table.columns)
            self._rewrite(table.loc[table["step"] < first_step])

    @property
    def name(self) -> str:
        return "curves"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Does nothing: `config.yaml` contains the choices."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        row = {"step": step, **{key: value for key, value in metrics.items() if not key.startswith(FINAL)}}
        if len(row) < 3:  # only step and epoch
            return
        if new := [key for key in row if key not in self.columns]:
            table = read_curves(self.path) if self.path.is_file() else pd.DataFrame(columns=self.columns)
            self.columns += new
            self._rewrite(table.reindex(columns=self.columns))
        line = io.StringIO()
        csv.DictWriter(line, self.columns).writerow({key: _short(value) for key, value in row.items()})
        try:
            with open(self.path, "a", encoding="utf-8", newline="") as file:
                file.write(line.getvalue())
        except OSError as error:
            raise WriteFailed(f"{self.path} cannot be written: {error.strerror}") from error

    def _rewrite(self, table: pd.DataFrame) -> None:
        with replacing(self.path) as file:
            file.write(table.to_csv(index=False, lineterminator="\n").encode())


def _short(value: Any) -> Any:
    return int(value) if isinstance(value, float) and math.isfinite(value) and value == int(value) else value


class TensorBoard(TensorBoardLogger):
    """Lightning's logger, which writes directly into the run's `tensorboard/` folder.

    Args:
        folder: the run sets it.
        first_step: the first step of a resumed run; TensorBoard hides earlier entries from this step on.
    """

    def __init__(self, folder: str, first_step: int = 0) -> None:
        super().__init__(folder, name="", version="", default_hp_metric=False, purge_step=first_step or None)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics({key: value for key, value in metrics.items() if key != "epoch"}, step)

    @rank_zero_only
    def save(self) -> None:
        """Writes the events, but no `hparams.yaml`: `config.yaml` of the run has the same content."""
        self.experiment.flush()

    @rank_zero_only
    def log_run(self, run: RunFolder, metrics: dict[str, float], figures: dict[str, Any], step: int) -> None:
        """Adds the results of a finished run: its config as text, choices and metrics as hparams, its figures."""
        from adlx.figures.style import styled  # importing matplotlib takes 0.3 s

        writer = self.experiment
        writer.add_text("config", "```yaml\n" + OmegaConf.to_yaml(OmegaConf.create(run.config)) + "```")
        # Without metrics of single series and of the baseline: each would be a chart with one point.
        declared = {metric.key for metric in (*result_kind(run).metrics, *TRAINING_HEADLINES)}
        overall = {key: value for key, value in metrics.items() if key in declared}
        self.log_hyperparams(hyperparameters(run), overall, step)
        with styled():
            for name, figure in figures.items():
                writer.add_figure(name, figure, global_step=step, close=False)
        self.save()


def hyperparameters(run: RunFolder) -> dict[str, Any]:
    """The choices of a run, then the settings in which runs may differ, in a flat dictionary."""
    nodes = ("data", "loss", "model", "optimizer", "trainer")
    choices = {f"choice.{node}": run.info["choices"][node] for node in nodes}
    settings = {node: run.config[node] for node in nodes}
    flat = {key: value for key, value in flatten(settings).items() if not key.endswith("_target_")}
    return {**choices, "seed": run.config["seed"], **flat}
