"""The result of a test of `locate`, and its metrics. adlx reads all that it shows of a run from these declarations.

Shapes: N signals.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from adlx.metrics.archive import read_arrays, write_arrays
from adlx.metrics.declaration import Metric
from adlx.metrics.result import Result


def distances(result: "Positions") -> np.ndarray:
    """(N,) the loss by which runs are compared: the distance of each predicted position from the true one."""
    return np.abs(result.predicted - result.actual)


@dataclass(frozen=True)
class Positions(Result):
    """Positions of a set of signals.

    Args:
        predicted, actual: (N,) from 0 to 1.
        index: (N,) int, indices of the signals in the data set.
        mean: of the training positions, whose constant guess is the baseline.
    """

    predicted: np.ndarray
    actual: np.ndarray
    index: np.ndarray
    mean: float

    metrics = (
        Metric("test/skill", "skill", "up", "skill", headline=True, in_table=False, in_comparison=True, loss=distances),
        Metric(
            "test/distance",
            "distance",
            "down",
            baseline="baseline/distance",
            skill="test/skill",
            zero="the mean position of the training part",
            headline=True,
            loss=distances,
        ),
        Metric("test/hits", "share within 0.05", "up", baseline="baseline/hits", in_comparison=True),
    )
    same_samples = ("index", "actual")

    def save(self, path: str | Path) -> None:
        write_arrays(path, {name: np.asarray(value) for name, value in vars(self).items()})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        with read_arrays(path, "position") as archive:
            return cls(archive["predicted"], archive["actual"], archive["index"], float(archive["mean"]))

    def scores(self) -> dict[str, float]:
        own, guess = distances(self), np.abs(self.mean - self.actual)
        return {
            "test/distance": float(own.mean()),
            "test/hits": float((own < 0.05).mean()),
            "baseline/distance": float(guess.mean()),
            "baseline/hits": float((guess < 0.05).mean()),
            "test/skill": float(1 - own.mean() / guess.mean()),
        }
