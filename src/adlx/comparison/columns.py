"""The further columns of a comparison: other scores, p-values, sizes and costs."""

import math
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from adlx.comparison.evidence import Evidence
from adlx.errors import UserError
from adlx.metrics.declaration import Metric, declaration
from adlx.metrics.tables import deviation
from adlx.metrics.training import TRAINING
from adlx.runs.declarations import result_kind
from adlx.runs.folder import RunFolder

BASELINE = Metric("comparison/baseline", "baseline", None)
CONFIDENCE = Metric("comparison/mcs_pvalue", "MCS p", None, "pvalue")
"""The p-value of the model confidence set."""


def further_columns(runs: Sequence[RunFolder], metric: Metric) -> list[Metric]:
    """The further columns in their order: baseline, other scores, p-values, size of the models, cost of the training.

    At least one of the runs declares each of them. The table has a column with the `name` of each.
    """
    kinds = list(dict.fromkeys(result_kind(run) for run in runs))
    declared = [one for kind in kinds for one in kind.metrics]
    scores = [one for one in declared if one.in_comparison]
    tests = [declaration(declared, key) for key in _test_keys(metric)]
    sizes = [declaration([*declared, *TRAINING], key) for kind in kinds for key in kind.sizes]
    costs = [one for one in TRAINING if one.in_comparison]
    ordered = [one for one in (BASELINE, *scores, *tests, CONFIDENCE, *sizes, *costs) if one is not None]
    return list({one.key: one for one in ordered if one.key != metric.key}.values())


def tabulate(groups: dict[str, list[RunFolder]], metric: Metric, further: Sequence[Metric]) -> pd.DataFrame:
    """A row for each group, best first: `label`, `n` runs, `mean`, `std`, `baseline`, and means of `further`.

    A p-value is not a mean: it is of the test of the losses averaged over the seeds. A number that no run has is NaN.
    `mcs_pvalue` is also NaN, until `compare` sets it.
    """
    rows = []
    for label, runs in groups.items():
        scores = [run.metrics for run in runs]
        values = np.array([one[metric.key] for one in scores])
        baseline = 0.0 if metric.is_skill else _mean(scores, metric.baseline)
        row = {"label": label, "n": len(runs), "mean": values.mean(), "std": deviation(values)}
        others = {one.name: _mean(scores, one.key) for one in further}
        if len(runs) > 1:
            tested = all(metric.pvalue in one for one in scores)
            pvalues = _pvalue(label, runs, metric) if tested else {}
            others |= {one.name: pvalues.get(one.key, math.nan) for one in further if one.key in _test_keys(metric)}
        rows.append({**row, **others, BASELINE.name: baseline})
    badness = [metric.badness(row["mean"]) for row in rows]
    order = np.argsort(badness, kind="stable")
    return pd.DataFrame([rows[position] for position in order])


def missing_scores(
    groups: dict[str, list[RunFolder]], metric: Metric, further: Sequence[Metric]
) -> frozenset[tuple[str, str]]:
    """Label and column of each score that no run of a configuration has. Any other NaN in the table is a score."""
    keys = {one.name: one.key for one in further if one.format != "pvalue"} | {BASELINE.name: metric.baseline}
    return frozenset(
        (label, name)
        for label, runs in groups.items()
        for name, key in keys.items()
        if not any(key in run.metrics for run in runs)
    )


def is_shown(
    column: Metric, table: pd.DataFrame, metric: Metric, runs: Iterable[RunFolder], missing: Collection[tuple[str, str]]
) -> bool:
    """Whether a column is informative for these runs; `missing` is the result of `missing_scores`."""
    if column is BASELINE and metric.is_skill:  # the skill of the baseline is 0 by definition
        return False
    if column.where_differ and not any(_differ(run.metrics, *column.where_differ) for run in runs):
        return False
    if column.format == "pvalue":
        return bool(np.isfinite(table[column.name]).any())
    return any((label, column.name) not in missing for label in table["label"])


def _differ(scores: dict[str, float], first: str, second: str) -> bool:
    return first in scores and second in scores and scores[first] != scores[second]


def _test_keys(metric: Metric) -> list[str]:
    """The keys of the tests against the baseline. Each has its own column, and the heading names the test."""
    return [key for key in (metric.pvalue, metric.pvalue_of_means) if key is not None]


def _pvalue(label: str, runs: list[RunFolder], metric: Metric) -> dict[str, float]:
    """The p-value of several seeds together, under the key of the test.

    Empty if the seeds have different test samples, or their predictions cannot be read.
    """
    try:
        evidence = Evidence.of({label: runs})
    except UserError:  # `compare` reports it once
        return {}
    return {} if evidence is None else evidence.baseline_pvalue(metric)


def _mean(scores: list[dict[str, float]], key: str | None) -> float:
    values = [value for one in scores if key and (value := one.get(key)) is not None]
    return float(np.mean(values)) if values else float("nan")
