"""Declarations of metrics: name, direction, number format, baseline, and tests.

Tables, verdicts, sorting, comparisons, TensorBoard and reports read these declarations, and name no metric themselves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from adlx.metrics import text
from adlx.metrics.text import Format

ROW = ("metric", "model", "baseline", "skill")
"""Headings of a table with a row for each metric."""


@dataclass(frozen=True)
class Metric:
    """The declaration of one score.

    Args:
        key: key in `metrics.json`, such as `test/mase`. If the metric has `parts`, the name of a part follows the key,
            as in `test/mae/BTC`, and also the keys of its baseline and its skill.
        label: heading of its column, such as `MASE`.
        better: which values are better: `up`, `down`, or the best value, such as 0.8 for the coverage of an 80 %
            interval; None: no value is better than another.
        format: the number format.
        baseline: key of the same score of the trivial baseline; None: there is none.
        skill: key of the skill that compares the score with its baseline; None: there is none.
        zero: the prediction whose skill is 0, in words: `the mean image of the training part`.
        pvalue: key of the p-value of its significance test against the baseline; None: there is no such test.
        pvalue_of_means: key of the p-value of the test for losses averaged over runs; None: it is the same test. No
            `metrics.json` has it, a comparison computes it.
        loss: a function from a result to the losses (N,) of its samples. The metric is their mean, or is computed from
            it, and significance tests between runs use them. It returns None for a result without such losses. None:
            single samples have no loss.
        baseline_loss: the same for the baseline; required for a metric with a `pvalue`.
        parts: the kind of name that follows the key: `series`, `class`, `field`, `readout`; empty: there are no parts.
        headline: whether it is one of the few main scores of a run. `adlx compare` sorts by the first one that all runs
            have.
        in_table: whether it has its own row in the table of a run. A skill is a column in the row of its metric.
        in_comparison: whether it is a column of a comparison that is sorted by another metric.
        where_differ: two keys; a comparison shows the column only if the two numbers differ in at least one run.
        caveat: a key and a sentence: if `metrics.json` has the key, the sentence replaces the verdict on the score.
        requires_equal: dotted key in `run.json`; runs are comparable by this metric only if its values are equal.
    """

    key: str
    label: str
    better: Literal["up", "down"] | float | None
    format: Format = "number"
    baseline: str | None = None
    skill: str | None = None
    zero: str = ""
    pvalue: str | None = None
    pvalue_of_means: str | None = None
    loss: Callable[[Any], np.ndarray | None] | None = None
    baseline_loss: Callable[[Any], np.ndarray | None] | None = None
    parts: str = ""
    headline: bool = False
    in_table: bool = True
    in_comparison: bool = False
    where_differ: tuple[str, str] | None = None
    caveat: tuple[str, str] | None = None
    requires_equal: str | None = None

    @property
    def name(self) -> str:
        """The key without its first word: `mase` of `test/mase`."""
        return self.key.partition("/")[2]

    @property
    def is_skill(self) -> bool:
        """Whether the score of the baseline is 0 by definition."""
        return self.format == "skill"

    def badness(self, value: float) -> float:
        """A number that is lower for a better value; NaN is the worst."""
        if np.isnan(value):
            return np.inf
        if self.better == "up":
            return -value
        return abs(value - self.better) if isinstance(self.better, int | float) else value

    def format_value(self, value: float | None) -> str:
        """One value in a sentence; see `adlx.metrics.text`."""
        return text.format_value(value, self.format)

    def format_column(self, values: Sequence[float | None]) -> list[str]:
        return text.format_column(values, self.format)

    def format_means(self, means: Sequence[float], deviations: Sequence[float]) -> list[str]:
        return text.format_means(means, deviations, self.format)

    def of_part(self, part: str) -> "Metric":
        """The metric of one part. It has no losses, test or verdict, since only the metric of the whole has them."""
        baseline, skill = (key and f"{key}/{part}" for key in (self.baseline, self.skill))
        without = {
            "loss": None,
            "baseline_loss": None,
            "pvalue": None,
            "pvalue_of_means": None,
            "parts": "",
            "headline": False,
            "in_comparison": False,
        }
        key, label = f"{self.key}/{part}", f"{self.label} {part}"
        return replace(self, key=key, label=label, baseline=baseline, skill=skill, **without)


def find(metrics: Sequence[Metric], key: str) -> tuple[Metric, str] | None:
    """The declaration of a key and the name of the part, empty for the whole; None if nothing declares it.

    A part may have any name, even with slashes, so the longest declared key that matches is used.
    """
    matches = [metric for metric in metrics if metric.key == key or (metric.parts and key.startswith(f"{metric.key}/"))]
    if not matches:
        return None
    metric = max(matches, key=lambda metric: len(metric.key))
    return metric, key[len(metric.key) + 1 :]


def declaration(metrics: Sequence[Metric], key: str) -> Metric | None:
    """The declaration of a key of `metrics.json` (of the whole, a part or a baseline); None if there is none."""
    if declared := find(metrics, key):
        metric, part = declared
        return metric.of_part(part) if part else metric
    return find_baseline(metrics, key)


def find_baseline(metrics: Sequence[Metric], key: str) -> Metric | None:
    """The declaration of a key that is the baseline of a metric; None if it is no such key."""
    baselines = [
        Metric(metric.baseline, f"{metric.label} of the baseline", metric.better, metric.format, parts=metric.parts)
        for metric in metrics
        if metric.baseline is not None
    ]
    if (declared := find(baselines, key)) is None:
        return None
    metric, part = declared
    return metric.of_part(part) if part else metric
