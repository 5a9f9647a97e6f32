"""The result of a test: predictions with their targets, their scores, and how runs are compared."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from adlx.metrics.declaration import Metric
from adlx.metrics.tables import DataTable


class Result:
    """Base of all results. A subclass is a dataclass of arrays that declares its metrics.

    Attributes:
        metrics: the declarations of all scores; `adlx compare` sorts by the first headline.
        same_samples: names of the fields that are equal in two results of the same samples.
        tables_by: kinds of parts (`Metric.parts`) that have their own table in the output of a run.
        sizes: keys of the metrics that a comparison shows as the size of a model.
        comparison_figures: dotted name of a module with a function `compared(results, labels, where, title)` that
            draws figures of several runs and returns them by name; empty: there are none.
    """

    metrics: ClassVar[tuple[Metric, ...]] = ()
    same_samples: ClassVar[tuple[str, ...]] = ()
    tables_by: ClassVar[tuple[str, ...]] = ()
    sizes: ClassVar[tuple[str, ...]] = ("model/parameters", "model/trainable_parameters", "fit/checkpoint_kb")
    comparison_figures: ClassVar[str] = ""

    def save(self, path: str | Path) -> None:
        """Writes an .npz of plain arrays without pickled objects. A write that fails leaves no incomplete file."""
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing or damaged, or holds a result of another kind.
        """
        raise NotImplementedError

    def scores(self) -> dict[str, float]:
        """The numbers of `metrics.json` by key. Each key is declared in `metrics`, as a metric or as its baseline."""
        raise NotImplementedError

    def frame(self) -> pd.DataFrame:
        """The predictions with their targets as a table, with a row for each sample.

        The columns are the fields of the dataclass that hold one value for each sample; the length of the first array
        is the number of samples. A subclass whose arrays have more dimensions overrides this.
        """
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray) and value.ndim}
        samples = len(next(iter(arrays.values()), ()))
        return pd.DataFrame({name: value for name, value in arrays.items() if value.shape == (samples,)})

    @classmethod
    def remarks(cls, scores: dict[str, float], notes: dict[str, Any]) -> list[str]:
        """Sentences that are printed under the table of a run.

        Args:
            scores: the run's metrics.
            notes: the content of `run.json`, to which a task can add how it computed the scores.
        """
        return []

    # Comparison of runs. `results` holds, by the label of each configuration, one result for each of its runs (seeds).

    @classmethod
    def on_common_samples(cls, results: dict[str, list[Any]]) -> dict[str, list[Any]] | None:
        """The results, reduced to what all of them have; None if they are not of the same samples."""
        first, *others = [one for group in results.values() for one in group]
        return results if all(first.is_of_same_samples(other) for other in others) else None

    def is_of_same_samples(self, other: Any) -> bool:
        return all(_are_equal(getattr(self, name), getattr(other, name)) for name in self.same_samples)

    @property
    def block(self) -> int:
        """The number of neighbouring samples whose errors are correlated."""
        return 1

    def baseline_pvalue(self, losses: np.ndarray, baseline: np.ndarray) -> float:
        """p-value of the test that model and baseline have the same expected loss; NaN if there is no test.

        Args:
            losses: (N,) losses of the samples of this result, or their averages over runs; see `tests_means`.
            baseline: (N,) losses of the baseline on the same samples.
        """
        return math.nan

    def tests_means(self, losses: np.ndarray) -> bool:
        """Whether `baseline_pvalue` uses the test whose p-value is `Metric.pvalue_of_means` for these losses."""
        return False

    def mean_errors(self, metric: Metric) -> dict[str, float]:
        """The mean loss of a metric over `all` parts, and of each part by its name; empty if the metric has no loss."""
        losses = None if metric.loss is None else metric.loss(self)
        return {} if losses is None else {"all": float(losses.mean())}

    @classmethod
    def comparison_tables(
        cls, results: dict[str, list[Any]], labels: Sequence[str], metric: Metric
    ) -> dict[str, DataTable]:
        """Further tables of a comparison by name. Each has a row for each configuration, in the order of `labels`."""
        return {}


def _are_equal(one: Any, other: Any) -> bool:
    """Whether arrays are equal; NaN equals NaN."""
    one, other = np.asarray(one), np.asarray(other)
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


def load_all(kind: type[Result], paths: dict[str, list[Path]]) -> dict[str, list[Any]] | None:
    """Loads the results of each configuration's runs, by label; None if the runs have no common samples.

    Raises:
        UserError: a file is missing or damaged, or holds a result of another kind.
    """
    results = {label: [kind.load(path) for path in group] for label, group in paths.items()}
    return kind.on_common_samples(results)
