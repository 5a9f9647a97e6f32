"""How much lower the errors of configurations are than those of one of them, the reference."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from adlx.comparison.evidence import Evidence
from adlx.errors import UserError
from adlx.metrics.declaration import Metric
from adlx.metrics.tables import DataTable, means_and_deviations


def find_label(labels: Sequence[str], text: str) -> str:
    """The one label that equals the text, or contains all of its words.

    Raises:
        UserError: no label or several labels match, or there is no other label.
    """
    matches = [label for label in labels if label == text] or [
        label for label in labels if set(text.split()) <= set(label.split())
    ]
    if len(matches) != 1:
        what = "several labels have" if matches else "no label has"
        raise UserError(f"--reference {text}: {what} these words; choose one of: {'; '.join(matches or labels)}")
    if len(labels) == 1:
        raise UserError(f"--reference {text}: there is no other configuration to compare with {matches[0]}")
    return matches[0]


def reductions(
    evidence: Evidence | None, labels: Sequence[str], metric: Metric, reference: str, seeds: dict[str, list[Any]]
) -> DataTable:
    """1 - error / error of the reference, with a row for each other label.

    The columns are `NAME_reduction` and `NAME_reduction_std`, the deviation over runs. If both configurations have the
    same seeds, each once, runs are paired by seed; otherwise each run is compared with the mean error of the reference.
    A reduction is NaN if the error of the reference is zero or not finite.

    Args:
        evidence: the test predictions of each configuration's runs; None if they are not of the same samples.
        labels: the configurations, best first.
        metric: the metric whose losses are the errors.
        reference: one of the labels.
        seeds: the seeds of each configuration's runs.

    Raises:
        UserError: the errors of the runs cannot be compared.
    """
    if evidence is None:
        raise UserError(f"--reference {reference}: the runs were not tested on the same samples")
    rows = {label: [one.mean_errors(metric) for one in evidence.results[label]] for label in labels}
    names = list(rows[reference][0])
    if not names:
        raise UserError(f"--reference {reference}: {metric.key} has no losses of single samples that the runs share")
    errors = {label: np.array([list(one.values()) for one in group]) for label, group in rows.items()}
    lower = {}
    for label in labels:
        if label == reference:
            continue
        own, others = seeds[label], seeds[reference]
        if len(set(own)) == len(own) == len(others) and set(own) == set(others):
            base = errors[reference][[others.index(seed) for seed in own]]
        else:
            base = errors[reference].mean(axis=0)
        lower[label] = 1 - errors[label] / np.where(np.isfinite(base) & (base > 0), base, np.nan)
    return means_and_deviations(f"error lower than {reference}", lower, names, "share", "_reduction")
