"""The product of a trained run: a forecast, classes, samples, whatever its task makes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adlx.runs.folder import Run, new_folder
from adlx.runs.report import console
from adlx.runs.trained import open_trained


@dataclass(frozen=True)
class Prediction:
    """The product, and the folder inside the run where it was written."""

    product: Any
    path: Path


def predict(run: Run, words: Sequence[str] = ()) -> Prediction:
    """Makes the product of a run's task: the steps after the end of the data, a class for each sample, code maps.

    Args:
        run: trained.
        words: overrides; `data.path=new.csv` or `data.source=yahoo` forecasts from fresh data.

    Raises:
        UserError: the data do not fit the run.
    """
    trained = open_trained(run, words, "predict")
    path = new_folder(run.path / "predict")
    product = trained.task.predict_into(path, trained.data, trained.title)
    out = console()
    out.print(trained.task.shown(product))
    if trained.data.about().get("simulated"):
        out.print("data: simulated")
    out.print("files: " + ", ".join(sorted(file.name for file in path.iterdir())))
    out.print(f"predict: {path}")
    return Prediction(product, path)
