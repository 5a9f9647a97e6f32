"""The test predictions that a comparison uses for significance tests, tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from adlx.metrics.declaration import Metric
from adlx.metrics.result import Result, load_all
from adlx.metrics.significance import confidence_set
from adlx.metrics.tables import DataTable
from adlx.runs.declarations import result_kind
from adlx.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Evidence:
    """Test predictions of the same samples.

    Args:
        kind: the class of the results.
        results: the results of each configuration's runs, by label.
    """

    kind: type[Result]
    results: dict[str, list[Any]]

    @classmethod
    def of(cls, groups: dict[str, list[RunFolder]]) -> Self | None:
        """Reads the predictions of each configuration's runs; None if they are not of the same samples.

        Raises:
            UserError: predictions are missing or damaged.
        """
        kinds = {result_kind(run) for runs in groups.values() for run in runs}
        if len(kinds) > 1:
            return None
        (kind,) = kinds
        paths = {label: [run.path / "predictions.npz" for run in runs] for label, runs in groups.items()}
        results = load_all(kind, paths)
        return None if results is None else cls(kind, results)

    def baseline_pvalue(self, metric: Metric) -> dict[str, float]:
        """The p-value of a single configuration against its baseline, under the key of the test; empty without losses.

        It tests the losses averaged over seeds, since a mean of p-values is not a valid p-value.
        """
        losses = list(self.losses(metric).values())
        first = next(iter(self.results.values()))[0]
        baseline = None if metric.baseline_loss is None else metric.baseline_loss(first)
        if not losses or baseline is None or metric.pvalue is None:
            return {}
        key = metric.pvalue_of_means if first.tests_means(losses[0]) else metric.pvalue
        return {key or metric.pvalue: first.baseline_pvalue(losses[0], baseline)}

    def losses(self, metric: Metric) -> dict[str, np.ndarray]:
        """(N,) loss of each sample, mean over seeds, by configuration; empty if a run lacks finite losses."""
        if metric.loss is None:
            return {}
        losses: dict[str, np.ndarray] = {}
        for label, group in self.results.items():
            by_run = [loss for one in group if (loss := metric.loss(one)) is not None]
            if len(by_run) < len(group):
                return {}
            losses[label] = np.mean(by_run, axis=0)
        return losses if all(np.isfinite(loss).all() for loss in losses.values()) else {}

    def confidence(self, metric: Metric) -> dict[str, float]:
        """p-values of the model confidence set, by label; empty if there are no losses to compare."""
        losses = self.losses(metric)
        first = next(iter(self.results.values()))[0]
        return confidence_set(losses, block=first.block) if losses else {}

    def tables(self, labels: Sequence[str], metric: Metric) -> dict[str, DataTable]:
        """Further tables by name. Each has a row for each configuration, in the order of `labels`."""
        return self.kind.comparison_tables(self.results, labels, metric)

    def figures(self, labels: Sequence[str], where: str, title: str) -> "dict[str, Figure]":
        """Further figures by name.

        Args:
            labels: the configurations, best first.
            where: the names of the data.
            title: the title of the comparison.
        """
        if not self.kind.comparison_figures:
            return {}
        return import_module(self.kind.comparison_figures).compared(self.results, labels, where, title)
