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
        metrics: the declarations of all that `scores` gives, headlines in their order.
        same_samples: names of the parts of a result that are equal where two are of the same samples.
        tables_by: kinds of parts (`Metric.parts`) that have a table of their own in the report of a run.
        sizes: keys of the metrics that a comparison shows as the size of a model.
        comparison_figures: dotted name of a module with a function `compared(results, labels, where, title)` that
            draws runs side by side, figures by name; empty: there is nothing to draw.
    """

    metrics: ClassVar[tuple[Metric, ...]] = ()
    same_samples: ClassVar[tuple[str, ...]] = ()
    tables_by: ClassVar[tuple[str, ...]] = ()
    sizes: ClassVar[tuple[str, ...]] = ("model/parameters", "model/trainable_parameters", "fit/checkpoint_kb")
    comparison_figures: ClassVar[str] = ""

    def save(self, path: str | Path) -> None:
        """Writes an .npz of plain arrays (nothing pickled) that is whole or not there."""
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, or a result of another kind.
        """
        raise NotImplementedError

    def scores(self) -> dict[str, float]:
        """The numbers of `metrics.json`, flat: each is declared in `metrics`, as itself or as a baseline."""
        raise NotImplementedError

    def frame(self) -> pd.DataFrame:
        """The predictions with their targets as a table, here a row for each sample.

        A subclass overrides this where its arrays have more dimensions. Here the columns are those fields of the
        dataclass that hold one value for each sample, as the first array field does.
        """
        arrays = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray) and value.ndim}
        samples = len(next(iter(arrays.values()), ()))
        return pd.DataFrame({name: value for name, value in arrays.items() if value.shape == (samples,)})

    @classmethod
    def remarks(cls, scores: dict[str, float], notes: dict[str, Any]) -> list[str]:
        """Sentences that belong under the table of a run.

        Args:
            scores: the run's metrics.
            notes: `run.json`, to which the task added how the scores came about.
        """
        return []

    # How runs compare. Results of several configurations come by label, each with one result a run (a seed).

    @classmethod
    def on_common_samples(cls, results: dict[str, list[Any]]) -> dict[str, list[Any]] | None:
        """The results, cut to what they have in common; None if they are not of the same samples."""
        first, *others = [one for group in results.values() for one in group]
        return results if all(first.is_of_same_samples(other) for other in others) else None

    def is_of_same_samples(self, other: Any) -> bool:
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in self.same_samples)

    @property
    def block(self) -> int:
        """How many neighbouring samples have errors that are correlated."""
        return 1

    def baseline_pvalue(self, losses: np.ndarray, baseline: np.ndarray) -> float:
        """p-value of the test that the baseline has the same expected loss; NaN if nothing can be tested.

        Args:
            losses: (N,) of the samples of this result, or their averages over runs; see `tests_means`.
            baseline: (N,) of the baseline on the same samples.
        """
        return math.nan

    def tests_means(self, losses: np.ndarray) -> bool:
        """Whether `baseline_pvalue` uses the test whose p-value is `Metric.pvalue_of_means` for these losses."""
        return False

    def mean_errors(self, metric: Metric) -> dict[str, float]:
        """The mean loss that goes with a metric: of `all`, and by name of its parts; empty if there is none."""
        losses = None if metric.loss is None else metric.loss(self)
        return {} if losses is None else {"all": float(losses.mean())}

    @classmethod
    def comparison_tables(
        cls, results: dict[str, list[Any]], labels: Sequence[str], metric: Metric
    ) -> dict[str, DataTable]:
        """Further tables of a comparison by name, a row a configuration, in the order of `labels`."""
        return {}


def load_all(kind: type[Result], paths: dict[str, list[Path]]) -> dict[str, list[Any]] | None:
    """The results of each configuration's runs on their common samples; None if there are none.

    Raises:
        UserError: a file is missing, damaged, or of another kind of result.
    """
    results = {label: [kind.load(path) for path in group] for label, group in paths.items()}
    return kind.on_common_samples(results)
