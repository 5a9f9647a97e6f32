"""Scores a trained run on the test part of its own data, or of other data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adlx.atomic import replacing
from adlx.metrics.html import notebook_html
from adlx.metrics.result import Result
from adlx.metrics.score_table import score_table, score_texts
from adlx.metrics.tables import DataTable
from adlx.runs.devices import check_accelerator
from adlx.runs.folder import RunFolder, new_folder_in_run, write_json, write_yaml
from adlx.runs.score import score
from adlx.runs.trained import load_trained


@dataclass(frozen=True)
class Evaluation:
    """The scores of a test, and what was tested.

    Args:
        metrics: as in `metrics.json`.
        path: the folder inside the run where they were written.
        title: model and data, with `simulated` for simulated data.
        result: the class of the result, which declares the metrics.
        notes: `run.json` of the run, which contains how the scores are computed.
        tables: further tables by name; the folder contains them as CSV files.
        tested: the size of the test part, in a few words.
        simulated: whether the data are simulated.
    """

    metrics: dict[str, float]
    path: Path
    title: str
    result: type[Result]
    notes: dict[str, Any]
    tables: dict[str, DataTable]
    tested: str
    simulated: bool

    @property
    def table(self) -> pd.DataFrame:
        """The scores as numbers: columns `metric`, `model`, `baseline`, `skill`."""
        return score_table(self.metrics, self.result)

    @property
    def predictions(self) -> pd.DataFrame:
        """The test predictions with their targets; the docstring of `frame` of the result lists the columns."""
        return self.result.load(self.path / "predictions.npz").frame()

    def __repr__(self) -> str:
        return f"Evaluation({self.title}, {str(self.path)!r})"

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        remarks = self.result.remarks(self.metrics, self.notes)
        texts = score_texts(self.metrics, self.result)
        return notebook_html(f"{self.title}: test", texts, [*remarks, self.tested, f"evaluation: {self.path}"])


def evaluate(run: RunFolder, words: Sequence[str] = ()) -> Evaluation:
    """Scores the best checkpoint of a run with its own saved config; without overrides, as in `metrics.json`.

    Args:
        run: the run to score.
        words: overrides such as `data.path=new.csv`, `data.stride=5`, `data=NAME`.

    Raises:
        UserError: the data do not fit the run.
    """
    trained = load_trained(run, words, "test")
    task, trainer = trained.task, trained.config.trainer.arguments
    check_accelerator(trainer.get("accelerator", "auto"))
    score(task, trained.data, trainer.get("accelerator", "auto"), trainer.get("precision"))
    path = new_folder_in_run(run, "evaluations")
    write_json(path / "metrics.json", task.results)
    write_yaml(path / "config.yaml", trained.config.plain)
    task.save_predictions(path / "predictions.npz")
    tables = task.tables()
    for name, table in tables.items():
        with replacing(path / f"{name}.csv") as file:
            file.write(table.frame.to_csv(index=False, lineterminator="\n").encode())
    return Evaluation(
        metrics=task.results,
        path=path,
        title=trained.title,
        result=task.result_kind,
        notes=run.info,
        tables=tables,
        tested=trained.data.tested(),
        simulated=bool(trained.data.about().get("simulated")),
    )
