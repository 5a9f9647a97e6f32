"""The kinds of results that runs leave, as evidence of a comparison."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from adlx.comparison.evidence import Evidence, is_crps, pooled
from adlx.figures.classification import confusion
from adlx.figures.comparison import panels
from adlx.figures.denoising import grid
from adlx.figures.fields import errors_by_field, errors_by_time
from adlx.metrics.classification import ClassResult, errors, recalls
from adlx.metrics.denoising import DenoisingResult
from adlx.metrics.denoising import losses as noise_errors
from adlx.metrics.fields import FieldResult, vrmse
from adlx.metrics.fields import losses as field_losses
from adlx.metrics.forecast import ForecastResult, horizon_crps, horizon_mase, window_crps, window_losses
from adlx.metrics.reconstruction import ReconstructionResult, losses
from adlx.metrics.significance import block_length
from adlx.runs.folder import RunFolder as Run


class Forecasts(Evidence):
    kind = ForecastResult
    told_by = ("series", "origin", "target")
    results: dict[str, list[ForecastResult]]

    def __init__(self, results: dict[str, list[ForecastResult]]) -> None:
        # Other training parts have other scales, and losses compare on one alone.
        scale = next(iter(results.values()))[0].step_mae
        super().__init__({name: [replace(one, step_mae=scale) for one in group] for name, group in results.items()})

    @property
    def block(self) -> int:
        windows, horizon, _ = self.first.target.shape
        return block_length(windows, horizon, self.first.stride)

    def loss_of(self, metric: str) -> Callable[[ForecastResult], np.ndarray] | None:
        """The CRPS where that is what the runs are compared by; none then unless they share their levels."""
        if is_crps(metric):
            return window_crps if self.share_levels else None
        return window_losses

    @property
    def share_levels(self) -> bool:
        every = [result for group in self.results.values() for result in group]
        levels = [None if result.quantiles is None else list(result.quantiles.levels) for result in every]
        return levels[0] is not None and all(other == levels[0] for other in levels)

    def details(self, labels: Sequence[str], metric: str) -> dict[str, pd.DataFrame]:
        """Errors in units of the training part's one-step change, by `series` and by `steps` ahead, naive last.

        CRPS where the runs are compared by it and have quantiles at the same levels, else absolute errors.
        """
        by_crps = is_crps(metric) and self.share_levels

        def error(result: ForecastResult, naive: bool = False) -> np.ndarray:
            if by_crps and result.quantiles is not None:
                return horizon_crps(result, result.quantiles.naive if naive else result.quantiles.values)
            return horizon_mase(result, result.naive if naive else result.prediction)

        rows = {label: np.mean([error(result) for result in self.results[label]], axis=0) for label in labels}  # (H, S)
        rows["naive (last value)"] = error(self.first, naive=True)
        name = "CRPS" if by_crps else "MASE"
        steps = [str(step) for step in range(1, self.first.target.shape[1] + 1)]
        by_series = {label: found.mean(axis=0) for label, found in rows.items()}
        by_step = {label: found.mean(axis=1) for label, found in rows.items()}
        return {
            "series": _frame(f"{name} by series", by_series, self.first.series),
            "steps": _frame(f"{name} by steps ahead", by_step, steps),
        }

    def figures(self, labels: Sequence[str], where: str, title: str) -> dict[str, Figure]:
        return {"panels": panels({label: group[0] for label, group in self.results.items()}, title)}


class Classifications(Evidence):
    kind = ClassResult
    told_by = ("classes", "index", "label")
    loss = staticmethod(errors)
    results: dict[str, list[ClassResult]]

    def details(self, labels: Sequence[str], metric: str) -> dict[str, pd.DataFrame]:
        found = {label: np.mean([recalls(result) for result in self.results[label]], axis=0) for label in labels}
        return {"classes": _frame("recall by class", found, self.first.classes)}

    def figures(self, labels: Sequence[str], where: str, title: str) -> dict[str, Figure]:
        """The confusion matrix of the best, its first run."""
        return {"confusion": confusion(self.results[labels[0]][0], f"{labels[0]} on {where}")}


class Reconstructions(Evidence):
    kind = ReconstructionResult
    told_by = ("index", "baseline_error")
    loss = staticmethod(losses)
    results: dict[str, list[ReconstructionResult]]


class Denoisings(Evidence):
    kind = DenoisingResult
    told_by = ("index", "time")
    loss = staticmethod(noise_errors)
    results: dict[str, list[DenoisingResult]]

    def loss_of(self, metric: str) -> Callable[[DenoisingResult], np.ndarray] | None:
        """None where runs are compared by a distance of sets, to which no single image has a loss."""
        return None if "kid" in metric else noise_errors

    def figures(self, labels: Sequence[str], where: str, title: str) -> dict[str, Figure]:
        """What the best draws, its first run."""
        return {"samples": grid(self.results[labels[0]][0].samples, f"{labels[0]} on {where}")}


class Rollouts(Evidence):
    """Of fields: rolled out in time, or of an autoencoder."""

    kind = FieldResult
    told_by = ("names", "index")
    loss = staticmethod(field_losses)
    results: dict[str, list[FieldResult]]

    @classmethod
    def aligned(cls, results: dict[str, list[FieldResult]]) -> dict[str, list[FieldResult]]:
        """From the first time step on that all of them predict: some are given more frames than others."""
        start = max(one.start for group in results.values() for one in group)
        shortest = min(one.start + one.error.shape[1] for group in results.values() for one in group)
        if start >= shortest:
            return results
        return {label: [one.after(start) for one in group] for label, group in results.items()}

    @classmethod
    def same(cls, one: FieldResult, other: FieldResult) -> bool:
        """The truth's variance, which is computed, need not agree to the last bit."""
        shapes = one.variance.shape == other.variance.shape
        return super().same(one, other) and shapes and np.allclose(one.variance, other.variance, equal_nan=True)

    def losses(self, metric: str) -> dict[str, np.ndarray]:
        """Empty where a rollout has left all bounds: a test of means says nothing then."""
        found = super().losses(metric)
        return found if all(np.isfinite(loss).all() for loss in found.values()) else {}

    def mean_errors(self, result: FieldResult, metric: str) -> dict[str, float]:
        """VRMSE by field, and of `all`."""
        by_field = _by_field(result, result.error)
        return dict(zip(result.names, by_field.tolist(), strict=True)) | super().mean_errors(result, metric)

    def by_field(self, labels: Sequence[str]) -> dict[str, np.ndarray]:
        """(runs, F) VRMSE by configuration; last, (1, F), that of the frozen last seed frame, or of the mean frame."""
        rows = {label: np.stack([_by_field(one, one.error) for one in self.results[label]]) for label in labels}
        baseline = "mean frame" if self.first.onestep_error is None else "frozen"
        return rows | {baseline: _by_field(self.first, self.first.baseline_error)[None]}

    def details(self, labels: Sequence[str], metric: str) -> dict[str, pd.DataFrame]:
        return {"fields": pooled("VRMSE by field", self.by_field(labels), self.first.names)}

    def figures(self, labels: Sequence[str], where: str, title: str) -> dict[str, Figure]:
        """Error by field, mean and deviation over the runs of each configuration, and their mean against time."""
        return {
            "fields": errors_by_field(self.by_field(labels), self.first.names, title),
            "error_by_time": errors_by_time({label: self.results[label] for label in labels}, title),
        }


def _by_field(result: FieldResult, error: np.ndarray) -> np.ndarray:
    return vrmse(error, result.variance).mean(axis=0)


KINDS: tuple[type[Evidence], ...] = (Forecasts, Classifications, Reconstructions, Denoisings, Rollouts)


def evidence(groups: dict[str, list[Run]]) -> Evidence | None:
    """The test predictions of each group's runs; None where they are not of the same samples."""
    return next((found for kind in KINDS if (found := kind.of(groups)) is not None), None)


def _frame(heading: str, rows: dict[str, np.ndarray], columns: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows.values()), columns=list(columns))
    frame.insert(0, heading, list(rows))
    return frame
