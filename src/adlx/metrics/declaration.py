"""A metric, declared once: what it is called, which way is better, how it is written, and what it is held against.

Tables, verdicts, sorting, comparisons, TensorBoard and reports read declarations; none of them knows a metric by name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from adlx.metrics.text import Format


@dataclass(frozen=True)
class Metric:
    """One number by which runs are judged.

    Args:
        key: in `metrics.json`, such as `test/mase`. A metric of parts has the name of a part behind it, as in
            `test/mae/BTC`.
        label: what a table calls it, such as `MASE`.
        better: `up`, `down`, or the value that it should come near, such as 0.8 for the coverage of an 80 % interval.
        format: how it is written.
        baseline: key of the same score of the trivial baseline; None: there is none.
        skill: key of the skill that puts the score beside its baseline; None: there is none.
        zero: of a skill, what 0 stands for: `the mean image of the training part`.
        pvalue: key of the p-value of its significance test against the baseline; None: there is no such test.
        loss: from a result to (N,) losses of its samples, whose mean the metric is or follows from; runs are tested
            against each other on them. None: no single sample has one.
        parts: what the name behind the key says: `series`, `class`, `field`, `readout`; empty: there are no parts.
        headline: a run is judged by it at a glance. The first that all runs have is what they are compared by.
        in_table: has a row of its own in the table of a run. A skill and a p-value stand beside what they belong to.
        in_comparison: is a column of a comparison by another metric.
        only_beside: key of a metric; in a comparison the column is shown only if the two differ in some run.
        caveat: key and words: where `metrics.json` has the key, the words are the verdict on the score.
        requires_equal: name of a note in `run.json` in which runs must agree for the metric to compare.
    """

    key: str
    label: str
    better: Literal["up", "down"] | float
    format: Format = "number"
    baseline: str | None = None
    skill: str | None = None
    zero: str = ""
    pvalue: str | None = None
    loss: Callable[[Any], np.ndarray] | None = None
    parts: str = ""
    headline: bool = False
    in_table: bool = True
    in_comparison: bool = False
    only_beside: str | None = None
    caveat: tuple[str, str] | None = None
    requires_equal: str | None = None

    @property
    def name(self) -> str:
        """The key without its first word: `mase` of `test/mase`."""
        return self.key.partition("/")[2]

    def badness(self, value: float) -> float:
        """A number that is lower for a better value; NaN is the worst."""
        if np.isnan(value):
            return np.inf
        if self.better == "up":
            return -value
        return value if self.better == "down" else abs(value - self.better)


def find(metrics: Sequence[Metric], key: str) -> tuple[Metric, str] | None:
    """The declaration of a key and the name of the part, empty for the whole; None where nothing declares it.

    A part may have any name, with slashes too: the longest declared key that fits is the one.
    """
    fitting = [metric for metric in metrics if metric.key == key or (metric.parts and key.startswith(f"{metric.key}/"))]
    if not fitting:
        return None
    metric = max(fitting, key=lambda metric: len(metric.key))
    return metric, key[len(metric.key) + 1 :]
