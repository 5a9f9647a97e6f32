"""What a comparison rests on beside final numbers: the test predictions of each run, where all are of the same samples.

A kind of result says what a sample's loss is, which tables tell more, and what can be drawn.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from adlx.errors import UserError
from adlx.metrics.significance import confidence_set
from adlx.runs.folder import RunFolder as Run


class Evidence:
    """Test predictions of the same samples.

    Args:
        results: of each configuration's runs, by label.
    """

    kind: ClassVar[type]
    told_by: ClassVar[tuple[str, ...]]
    """Parts of a result that are equal where the samples are."""

    def __init__(self, results: dict[str, list[Any]]) -> None:
        self.results = results

    @classmethod
    def of(cls, groups: dict[str, list[Run]]) -> Self | None:
        """Reads what the runs predicted; None where that is of another kind, or not of the same samples."""
        try:
            results = {
                label: [cls.kind.load(run.path / "predictions.npz") for run in runs] for label, runs in groups.items()
            }
        except UserError:
            return None
        results = cls.aligned(results)
        every = [result for group in results.values() for result in group]
        return cls(results) if all(cls.same(every[0], other) for other in every[1:]) else None

    @classmethod
    def aligned(cls, results: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """The results, of what they have in common alone."""
        return results

    @property
    def first(self) -> Any:
        """One result, for what all share."""
        return next(iter(self.results.values()))[0]

    @classmethod
    def same(cls, one: Any, other: Any) -> bool:
        """Whether two results are of the same samples."""
        return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in cls.told_by)

    @staticmethod
    def loss(result: Any) -> np.ndarray:
        """(N,) the loss of each sample."""
        raise NotImplementedError

    def loss_of(self, metric: str) -> Callable[[Any], np.ndarray] | None:
        """The loss that goes with a metric; None where that is of no single sample, or the runs' do not compare."""
        return self.loss

    def losses(self, metric: str) -> dict[str, np.ndarray]:
        """(N,) loss of each sample by configuration, the mean over its seeds; empty where they do not compare."""
        if (loss := self.loss_of(metric)) is None:
            return {}
        return {label: np.mean([loss(one) for one in group], axis=0) for label, group in self.results.items()}

    def mean_errors(self, result: Any, metric: str) -> dict[str, float]:
        """Of one run, mean over samples: `all`, and by name what its parts are; empty where there is no loss."""
        return {} if (loss := self.loss_of(metric)) is None else {"all": float(loss(result).mean())}

    @property
    def block(self) -> int:
        """How many neighbouring samples have errors that go together."""
        return 1

    def confidence(self, metric: str) -> dict[str, float]:
        """p-values of the model confidence set."""
        losses = self.losses(metric)
        return confidence_set(losses, block=self.block) if losses else {}

    def details(self, labels: Sequence[str], metric: str) -> dict[str, pd.DataFrame]:
        """Further tables by name, a row a configuration."""
        return {}

    def figures(self, labels: Sequence[str], where: str, title: str) -> dict[str, Figure]:
        """Further figures by name.

        Args:
            labels: the configurations, best first.
            where: names the data.
            title: of the comparison.
        """
        return {}


def is_crps(metric: str) -> bool:
    return metric.startswith("test/crps")


def pooled(heading: str, rows: dict[str, np.ndarray], columns: Sequence[str]) -> pd.DataFrame:
    """Rows (runs, columns) by label as columns `NAME` and `NAME_std`: mean and deviation over runs."""
    frame = pd.DataFrame({heading: list(rows)})
    for place, name in enumerate(columns):
        values = [found[:, place] for found in rows.values()]
        frame[name] = [float(found.mean()) for found in values]
        frame[f"{name}_std"] = [deviation(found) for found in values]
    return frame


def deviation(values: np.ndarray) -> float:
    """Over runs; NaN of one, and of values that are not all finite."""
    return float(values.std(ddof=1)) if len(values) > 1 and np.isfinite(values).all() else float("nan")
