"""Compares runs: mean and deviation over seeds, the baseline, and whether differences are significant."""

import logging
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adlx.comparison.columns import CONFIDENCE, further_columns, is_shown, missing_scores, tabulate
from adlx.comparison.comparison import Comparison
from adlx.comparison.evidence import Evidence
from adlx.comparison.labels import group_runs
from adlx.comparison.reduction import find_label, reductions
from adlx.comparison.selection import select
from adlx.config.nearest import nearest
from adlx.errors import UserError
from adlx.metrics.declaration import Metric, declaration
from adlx.metrics.tables import deviation
from adlx.runs.declarations import metrics_of, result_kind
from adlx.runs.folder import RunFolder
from adlx.runs.settings import flatten

log = logging.getLogger("adlx")


def compare(
    paths: Sequence[str | Path], metric: str | None = None, against: str | None = None, reference: str | None = None
) -> Comparison:
    """Compares runs. Runs that differ only in the seed are one row.

    Args:
        paths: run folders, multirun folders, or folders of runs, see `adlx.comparison.selection.select`.
        metric: key of `metrics.json` to sort by; None: the first headline that all runs have.
        against: key of the config or of `metrics.json` with a number, to draw the metric against.
        reference: words of the label of one configuration, to say how much lower the errors of the others are.

    Raises:
        UserError: a folder is no run, a run is unfinished or lacks the metric, the reference is not exactly one
            configuration, or the errors of the runs cannot be compared.
    """
    selection = select(paths)
    runs = selection.runs
    chosen = common_headline(runs) if metric is None else common_metric(runs, metric)
    check_comparable(runs, chosen)
    groups = group_runs(runs)
    base = None if reference is None else find_label(list(groups), reference)
    try:
        evidence = Evidence.of(groups)
    except UserError as error:
        log.warning(f"{error}; so the comparison has no tests of significance and no figures")
        evidence = None
    further = further_columns(runs, chosen)
    table = tabulate(groups, chosen, further)
    labels = list(table["label"])
    pvalues = evidence.confidence(chosen) if evidence else {}
    table[CONFIDENCE.name] = [pvalues.get(label, np.nan) for label in labels]
    details = evidence.tables(labels, chosen) if evidence else {}
    if base is not None:
        seeds = {label: [run.config["seed"] for run in group] for label, group in groups.items()}
        details["reduction"] = reductions(evidence, labels, chosen, base, seeds)
    curve = None if against is None else trace(runs, chosen.key, against)
    missing = missing_scores(groups, chosen, further)
    visible = tuple(column for column in further if is_shown(column, table, chosen, runs, missing))
    unfinished = tuple(run.path for run in selection.unfinished)
    return Comparison(chosen, data_names(runs), table, visible, evidence, details, curve, unfinished, missing)


def common_headline(runs: list[RunFolder]) -> Metric:
    """The first headline of their task that all runs have.

    Raises:
        UserError: there is none.
    """
    for metric in result_kind(runs[0]).metrics:
        if metric.headline and all(metric.key in run.metrics for run in runs):
            return metric
    raise UserError("these runs have no headline metric in common: name one with --metric")


def common_metric(runs: list[RunFolder], key: str) -> Metric:
    """The declaration of a key.

    Raises:
        UserError: a run lacks the key, or it is not declared.
    """
    for run in runs:
        if key not in run.metrics:
            raise UserError(f"{run.path} has no metric {key}{nearest(key, run.metrics)}; see its metrics.json")
    for run in runs:
        if (metric := declaration(metrics_of(run), key)) is not None:
            return metric
    raise UserError(f"{runs[0].path}: {result_kind(runs[0]).__name__} declares no metric {key}")


def check_comparable(runs: list[RunFolder], metric: Metric) -> None:
    """Raises UserError if `run.json` shows that the runs measured the metric in different ways."""
    if metric.requires_equal is None:
        return
    path = metric.requires_equal.split(".")
    values = {str(reduce(lambda note, name: (note or {}).get(name), path, run.info)) for run in runs}
    if len(values) > 1:
        raise UserError(f"{metric.key} cannot be compared between different {path[-1]}: {'; '.join(sorted(values))}")


def trace(runs: Sequence[RunFolder], metric: str, against: str) -> pd.DataFrame:
    """Columns `label`, `x`, `n`, `mean`, `std`: the metric at each value of `against`, mean and deviation over seeds.

    Raises:
        UserError: a run has no number under that key.
    """
    rows = []
    for label, group in group_runs(runs, against).items():
        values_at: dict[float, list[float]] = {}
        for run in group:
            values_at.setdefault(_number_at(run, against), []).append(run.metrics[metric])
        for x, values in sorted(values_at.items()):
            std = deviation(np.array(values))
            rows.append({"label": label, "x": x, "n": len(values), "mean": float(np.mean(values)), "std": std})
    return pd.DataFrame(rows).rename_axis(against, axis=1)


def _number_at(run: RunFolder, key: str) -> float:
    value: Any = run.metrics.get(key, flatten(run.config).get(key))
    if isinstance(value, bool) or not isinstance(value, int | float):
        known = nearest(key, [*run.metrics, *flatten(run.config)])
        raise UserError(f"{run.path} has no number {key} (it is {value}){known}: --against needs one")
    return float(value)


def data_names(runs: Sequence[RunFolder]) -> str:
    """The data sets of the runs, with `(simulated)` if any are simulated."""
    data = ", ".join(sorted({run.info["choices"]["data"] for run in runs}))
    return f"{data} (simulated)" if any(run.info["data"].get("simulated") for run in runs) else data
