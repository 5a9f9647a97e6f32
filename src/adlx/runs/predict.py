"""Makes the product of a trained run: a forecast, classes or samples, as its task defines it."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd
from omegaconf import OmegaConf

from adlx.config.nearest import nearest
from adlx.config.values import describe, fits
from adlx.errors import UserError
from adlx.metrics.html import notebook_html
from adlx.metrics.tables import DataTable
from adlx.runs.folder import RunFolder, new_folder_in_run
from adlx.runs.trained import load_trained
from adlx.tasks.task import Task


@dataclass(frozen=True)
class Prediction:
    """The product of a run's task.

    Args:
        product: a forecast, classes or samples, as the task defines it.
        path: the folder inside the run where it was written.
        summary: a description of the product in a few lines.
        simulated: whether the data are simulated.
    """

    product: Any
    path: Path
    summary: str
    simulated: bool

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in self.path.iterdir())

    @property
    def table(self) -> pd.DataFrame:
        """The product if it is a table; else a table of its files, with the columns `file` and `bytes`."""
        if isinstance(self.product, pd.DataFrame):
            return self.product
        return pd.DataFrame({"file": self.files, "bytes": [(self.path / name).stat().st_size for name in self.files]})

    def __repr__(self) -> str:
        return f"Prediction({', '.join(self.files)} in {str(self.path)!r})"

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        frame = self.table if isinstance(self.table.index, pd.RangeIndex) else self.table.reset_index()
        lines = [f"predict: {self.path}"]
        if self.simulated:
            lines.insert(0, "data: simulated")
        return notebook_html("prediction", DataTable.of_data(frame).texts, lines)


def predict(run: RunFolder, words: Sequence[str] = ()) -> Prediction:
    """Makes the product of a run's task: the steps after the end of the data, a class for each sample, code maps.

    Args:
        run: a trained run.
        words: overrides; `data.path=new.csv` or `data.source=yahoo` forecasts from new data.

    Raises:
        UserError: the data do not fit the run.
    """
    own = [word for word in words if word.startswith(("predict.", "seed="))]
    trained = load_trained(run, [word for word in words if word not in own], "predict")
    options = product_options(trained.task, own)
    path = new_folder_in_run(run, "predict")
    try:
        product = trained.task.predict_into(path, trained.data, trained.title, **options)
    except UserError:
        if not any(path.iterdir()):
            path.rmdir()
        raise
    simulated = bool(trained.data.about().get("simulated"))
    return Prediction(product, path, trained.task.describe_product(product), simulated)


def product_options(task: Task, words: Sequence[str]) -> dict[str, Any]:
    """The options of a task's product from words such as `predict.n=64` and `seed=1`.

    Raises:
        UserError: the product has no such option, or its value has the wrong type.
    """
    method = type(task).predict_into
    parameters = inspect.signature(method).parameters.values()
    known = [option.name for option in parameters if option.kind is option.KEYWORD_ONLY]
    hints, options = get_type_hints(method), {}
    for word in words:
        key, _, text = word.partition("=")
        name = key.removeprefix("predict.")
        if name not in known:
            there = f"{nearest(name, known)}; there is {', '.join(known)}" if known else "; this run's product has none"
            raise UserError(f"{key}: no such option{there}")
        value = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]  # type: ignore[index,call-overload]
        if not fits(value, hints[name]):
            raise UserError(f"{word} must be {describe(hints[name])}")
        options[name] = value
    return options
