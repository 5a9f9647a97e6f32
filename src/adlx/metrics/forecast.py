"""The test result of a forecaster, its scores, and how runs are compared.

Shapes: N windows, H horizon steps, S series, Q quantile levels.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from adlx.metrics.declaration import Metric
from adlx.metrics.forecast_errors import (
    Forecasts,
    element_crps,
    horizon_crps,
    horizon_mase,
    inside,
    mean_of_known,
    mean_of_series,
    naive_window_crps,
    naive_window_crps_if_any,
    naive_window_losses,
    quantiles_of,
    skill_by_series,
    window_crps,
    window_crps_if_any,
    window_losses,
)
from adlx.metrics.quantiles import intervals
from adlx.metrics.result import Result
from adlx.metrics.significance import block_length, diebold_mariano
from adlx.metrics.skill import skill
from adlx.metrics.tables import DataTable, means
from adlx.metrics.text import format_value

_NAIVE = "the naive forecast"
_IN_SAMPLE = ("insample/mse", "in-sample, so it says nothing about data that the model has not seen")
_BY_MASE: dict[str, Any] = {"pvalue": "test/dm_pvalue", "loss": window_losses, "baseline_loss": naive_window_losses}
_BY_CRPS: dict[str, Any] = {
    "pvalue": "test/crps_dm_pvalue",
    "loss": window_crps_if_any,
    "baseline_loss": naive_window_crps_if_any,
}
_COLUMN_ONLY: dict[str, Any] = {"in_table": False, "in_comparison": True}
_SKILL: dict[str, Any] = {"format": "skill", "headline": True, **_COLUMN_ONLY}
_IN_REMARKS: dict[str, Any] = {"in_table": False}

METRICS = (
    Metric("test/skill", "skill", "up", parts="series", **_SKILL, **_BY_MASE),
    Metric("test/crps_skill", "CRPS skill", "up", **_SKILL, **_BY_CRPS),
    Metric(
        "test/mase",
        "MASE",
        "down",
        baseline="baseline/mase",
        skill="test/skill",
        zero=_NAIVE,
        headline=True,
        caveat=_IN_SAMPLE,
        **_BY_MASE,
    ),
    Metric("test/mse_scaled", "scaled MSE", "down", baseline="baseline/mse_scaled"),
    Metric("test/mae_scaled", "scaled MAE", "down", baseline="baseline/mae_scaled"),
    Metric("test/mse", "MSE", "down", baseline="baseline/mse", parts="series"),
    Metric("test/mae", "MAE", "down", baseline="baseline/mae", skill="test/skill", parts="series"),
    Metric("test/dm_pvalue", "DM p", None, "pvalue", in_table=False),
    Metric(
        "test/crps",
        "CRPS",
        "down",
        baseline="baseline/crps",
        skill="test/crps_skill",
        zero=f"{_NAIVE} with the quantiles of its training errors",
        parts="series",
        caveat=_IN_SAMPLE,
        **_BY_CRPS,
    ),
    Metric("test/crps_dm_pvalue", "DM p", None, "pvalue", in_table=False),
    *(
        metric
        for percent in range(101)  # all central intervals that quantile levels can bound
        for metric in (
            Metric(
                f"test/coverage_{percent}",
                f"coverage {percent}",
                percent / 100,
                baseline=f"baseline/coverage_{percent}",
                in_comparison=percent == 80,
            ),
            Metric(f"test/width_{percent}", f"width {percent}", "down", baseline=f"baseline/width_{percent}"),
        )
    ),
    Metric("insample/mse", "in-sample MSE", "down", baseline="insample/mse_naive", **_IN_REMARKS),
    Metric("insample/mse_autoregressive", "in-sample MSE, autoregressive", "down", **_IN_REMARKS),
    Metric("unseen/skill", "skill on unseen windows", "up", "skill", **_IN_REMARKS),
    Metric("unseen/mase", "MASE on unseen windows", "down", baseline="unseen/naive_mase", **_IN_REMARKS),
    Metric("unseen/windows", "unseen windows", None, "count", **_IN_REMARKS),
)


class ForecastResult(Forecasts, Result):
    """Forecasts that are scored against the naive last value; arguments as `Forecasts`."""

    metrics = METRICS
    same_samples = ("series", "origin", "target")
    comparison_figures = "adlx.figures.forecast"

    def scores(self) -> dict[str, float]:
        """Scores of the forecast and of the naive last value on the same windows, by key.

        - `test/mase`: mean over series of MAE / step_mae, after Hyndman & Koehler 2006, "Another look at measures of
          forecast accuracy", with the denominator of the training part.
        - `test/mse_scaled`, `test/mae_scaled`: errors divided by the training standard deviation, mean over series.
        - `test/mse/<series>`, `test/mae/<series>`: original units (squared, plain).
        - `baseline/...`: each of these for the naive forecast.
        - `test/skill`: 1 - test/mase / baseline/mase: 1 is perfect, 0 is the naive forecast, negative is worse; see
          `skill` for a baseline without error. `test/skill/<series>` is the same for one series.
        - `test/dm_pvalue`: two-sided Diebold-Mariano against the naive forecast; left out if there are too few
          windows for the test.
        - `test/crps`, `test/coverage_80`, ...: see `quantile_scores`, for a forecast with quantiles.

        A series that is constant in the training part has no scale, so its scaled errors are in original units.
        """
        table = _errors("test", self, self.prediction) | _errors("baseline", self, self.naive)
        table["test/skill"] = skill(table["test/mase"], table["baseline/mase"])
        for name, value in zip(self.series, skill_by_series(self), strict=True):
            table[f"test/skill/{name}"] = float(value)
        table |= self._pvalue("test/dm_pvalue", window_losses(self), naive_window_losses(self))
        return table if self.quantiles is None else table | self.quantile_scores()

    def frame(self) -> pd.DataFrame:
        """A row for each window, step ahead and series: `origin`, `step`, `series`, `target`, `prediction`, `baseline`.

        `origin` is the time (UTC) of the last value before the forecast, and `step` counts from 1. Values are in
        original units. With quantiles there is a column for each level, such as `quantile_0.1`.
        """
        windows, horizon, count = self.target.shape
        columns: dict[str, Any] = {
            "origin": np.repeat(self.origin, horizon * count),
            "step": np.tile(np.repeat(np.arange(1, horizon + 1), count), windows),
            "series": pd.Categorical.from_codes(np.tile(np.arange(count), windows * horizon), list(self.series)),
            "target": self.target.ravel(),
            "prediction": self.prediction.ravel(),
            "baseline": self.naive.ravel(),
        }
        if self.quantiles is not None:
            for position, level in enumerate(self.quantiles.levels):
                columns[f"quantile_{level:g}"] = self.quantiles.values[..., position].ravel()
        return pd.DataFrame(columns)

    def quantile_scores(self) -> dict[str, float]:
        """Scores of the quantiles, and of the quantiles of the naive forecast.

        - `test/crps`: mean over series of CRPS / step_mae (`adlx.metrics.quantiles.crps`). It has the unit of
          `test/mase`, and equals it if all quantiles are equal. `test/crps/<series>`: original units.
        - `test/coverage_80`, `test/width_80`: share of targets inside the central 80 % interval, and its mean width in
          units of step_mae; the same for every central interval that two levels bound.
        - `baseline/...`: each of these for the naive forecast: last value, quantiles of its errors in training.
        - `test/crps_skill`: 1 - test/crps / baseline/crps.
        - `test/crps_dm_pvalue`: the Diebold-Mariano test of the CRPS; `test/dm_pvalue` tests absolute errors.

        Raises:
            ValueError: the forecasts have no quantiles.
        """
        quantiles = quantiles_of(self)
        table: dict[str, float] = {}
        for prefix, values in (("test", quantiles.values), ("baseline", quantiles.naive)):
            losses = element_crps(self, values)
            table[f"{prefix}/crps"] = float(mean_of_known(self, losses / self.scale))
            for percent, (low, high) in intervals(quantiles.levels).items():
                width = (values[..., high] - values[..., low]) / self.scale
                table[f"{prefix}/coverage_{percent}"] = float(mean_of_known(self, inside(self, values, low, high)))
                table[f"{prefix}/width_{percent}"] = float(width.mean())
            for index, name in enumerate(self.series):
                table[f"{prefix}/crps/{name}"] = mean_of_series(self, losses, index)
        table["test/crps_skill"] = skill(table["test/crps"], table["baseline/crps"])
        return table | self._pvalue("test/crps_dm_pvalue", window_crps(self), naive_window_crps(self))

    def _pvalue(self, key: str, losses: np.ndarray, naive: np.ndarray) -> dict[str, float]:
        """The p-value under its key; empty if there are too few windows for the test."""
        pvalue = self.baseline_pvalue(losses, naive)
        return {key: pvalue} if np.isfinite(pvalue) else {}

    def baseline_pvalue(self, losses: np.ndarray, baseline: np.ndarray) -> float:
        return diebold_mariano(losses, baseline, self.target.shape[1], self.stride)[1]

    @classmethod
    def remarks(cls, scores: dict[str, float], notes: dict[str, Any]) -> list[str]:
        """How an in-sample score was computed, and the score on unseen windows."""
        lines = []
        if "insample/mse" in scores:
            forced, own, naive = (format_value(scores[f"insample/mse{of}"]) for of in ("", "_autoregressive", "_naive"))
            both = f"{forced} from the truth at every step, as the notebook scored it; {own} from its own output"
            lines.append(
                "in-sample: trained and scored on the same window. MSE in the model's units: "
                f"{own if own == forced else both}; {naive} naive"
            )
        if "unseen/skill" in scores:
            windows = format_value(scores["unseen/windows"], "count")
            gain = format_value(scores["unseen/skill"], "skill")
            mase, naive = (format_value(scores[f"unseen/{of}"]) for of in ("mase", "naive_mase"))
            lines.append(
                f"unseen data: on the {windows} windows before that window the skill is {gain} "
                f"(MASE {mase}, naive {naive})"
            )
        return lines

    @classmethod
    def on_common_samples(cls, results: dict[str, list[Any]]) -> dict[str, list[Any]] | None:
        """The results with one common scale, which depends on the training part; quantiles stay if levels are equal."""
        if super().on_common_samples(results) is None:
            return None
        every = [one for group in results.values() for one in group]
        levels = [None if one.quantiles is None else list(one.quantiles.levels) for one in every]
        changes: dict[str, Any] = {"step_mae": every[0].step_mae}
        if any(other != levels[0] for other in levels):
            changes["quantiles"] = None
        return {label: [replace(one, **changes) for one in group] for label, group in results.items()}

    @property
    def block(self) -> int:
        windows, horizon, _ = self.target.shape
        return block_length(windows, horizon, self.stride)

    @classmethod
    def comparison_tables(
        cls, results: dict[str, list[Any]], labels: Sequence[str], metric: Metric
    ) -> dict[str, DataTable]:
        """Errors by `series` and by `steps` ahead, in units of the training part's mean one-step change.

        The last row is the naive forecast. The errors are the CRPS if the runs are compared by it and have quantiles at
        the same levels; otherwise they are absolute errors.
        """
        first = results[labels[0]][0]
        by_crps = metric.key.startswith("test/crps") and first.quantiles is not None

        def error(result: Forecasts, naive: bool = False) -> np.ndarray:
            if by_crps:
                quantiles = quantiles_of(result)
                return horizon_crps(result, quantiles.naive if naive else quantiles.values)
            return horizon_mase(result, result.naive if naive else result.prediction)

        rows = {label: np.mean([error(one) for one in results[label]], axis=0) for label in labels}  # (H, S)
        rows["naive (last value)"] = error(first, naive=True)
        name = "CRPS" if by_crps else "MASE"
        steps = [str(step) for step in range(1, first.target.shape[1] + 1)]
        by_series = {label: errors.mean(axis=0) for label, errors in rows.items()}
        by_step = {label: errors.mean(axis=1) for label, errors in rows.items()}
        return {
            "series": means(f"{name} by series", by_series, first.series),
            "steps": means(f"{name} by steps ahead", by_step, steps),
        }


def _errors(prefix: str, result: Forecasts, forecast: np.ndarray) -> dict[str, float]:
    error = forecast - result.target
    scaled = error / np.where(result.std > 0, result.std, 1.0)
    table = {
        f"{prefix}/mase": float(horizon_mase(result, forecast).mean()),
        f"{prefix}/mse_scaled": float(mean_of_known(result, scaled**2)),
        f"{prefix}/mae_scaled": float(mean_of_known(result, np.abs(scaled))),
    }
    for index, name in enumerate(result.series):
        table[f"{prefix}/mse/{name}"] = mean_of_series(result, error**2, index)
        table[f"{prefix}/mae/{name}"] = mean_of_series(result, np.abs(error), index)
    return table
