"""What a forecast is scored from, and its scores.

Shapes: N windows, H horizon steps, S series, Q quantile levels.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from adlx.metrics.archive import reading, write
from adlx.metrics.quantiles import crps, intervals
from adlx.metrics.significance import diebold_mariano


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of a set of forecasts, in original units, float64.

    Args:
        levels: (Q,) increasing, 0.5 among them.
        values: (N, H, S, Q) non-decreasing along Q; at 0.5 the prediction.
        naive: (N, H, S, Q) last value and the quantiles of the naive forecast's errors in training: the baseline.
    """

    levels: np.ndarray
    values: np.ndarray
    naive: np.ndarray


@dataclass(frozen=True)
class ForecastResult:
    """Forecasts of a set of windows beside what happened, in original units, with the training part's statistics.

    All floats are float64.

    Args:
        prediction: (N, H, S) the forecasts.
        target: (N, H, S) what happened.
        last: (N, S) last value seen by each window, which the naive forecast repeats.
        origin: (N,) datetime64[ns], time of that last value (UTC); windows are in chronological order.
        series: S names.
        mean, std: (S,) of the training part.
        step_mae: (S,) mean absolute one-step change of the training part, the denominator of MASE.
        stride: time steps between the origins of neighbouring windows. Where it is below H, windows overlap and
            their errors are correlated, which the significance tests must know.
        quantiles: None for forecasts of a point alone.
    """

    prediction: np.ndarray
    target: np.ndarray
    last: np.ndarray
    origin: np.ndarray
    series: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    step_mae: np.ndarray
    stride: int = 1
    quantiles: Quantiles | None = None

    def __post_init__(self) -> None:
        windows, _, count = self.target.shape
        wanted = {
            "prediction": self.target.shape,
            "last": (windows, count),
            "origin": (windows,),
            "mean": (count,),
            "std": (count,),
            "step_mae": (count,),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, the target asks for {shape}")
        if self.quantiles is not None:
            shape = (*self.target.shape, len(self.quantiles.levels))
            for name in ("values", "naive"):
                if (found := getattr(self.quantiles, name).shape) != shape:
                    raise ValueError(f"quantiles.{name} has shape {found}, target and levels ask for {shape}")
        if len(self.series) != count or windows == 0 or self.stride < 1:
            raise ValueError(f"{len(self.series)} names for {count} series, {windows} windows, stride {self.stride}")

    @property
    def naive(self) -> np.ndarray:
        """(N, H, S) the last value seen, repeated over the horizon: the baseline. A read-only view."""
        return np.broadcast_to(self.last[:, None, :], self.target.shape)

    @property
    def scale(self) -> np.ndarray:
        """(S,) what errors are divided by in MASE: `step_mae`, or 1 for a series that is constant in training."""
        return np.where(self.step_mae > 0, self.step_mae, 1.0)

    def save(self, path: str | Path) -> None:
        """Writes an .npz of plain arrays (nothing pickled) that is whole or not there."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        del arrays["quantiles"]
        if self.quantiles is not None:
            arrays |= {
                "levels": self.quantiles.levels,
                "quantiles": self.quantiles.values,
                "naive_quantiles": self.quantiles.naive,
            }
        arrays["series"] = np.asarray(self.series, dtype=np.str_)
        arrays["origin"] = self.origin.astype("datetime64[ns]")
        write(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, or no forecast result.
        """
        names = [field.name for field in fields(cls) if field.name != "quantiles"]
        with reading(path, "forecast") as archive:
            arrays = {name: archive[name] for name in names}
            drawn = [archive[name] for name in ("levels", "quantiles", "naive_quantiles") if name in archive]
        series = tuple(str(name) for name in arrays.pop("series"))
        quantiles = Quantiles(*drawn) if len(drawn) == 3 else None
        return cls(series=series, stride=int(arrays.pop("stride")), quantiles=quantiles, **arrays)


def window_losses(result: ForecastResult) -> np.ndarray:
    """(N,) mean over horizon and series of |error| / step_mae: the loss that both significance tests compare.

    Its mean over windows is `test/mase`.
    """
    return _window_means(result, np.abs(result.prediction - result.target))


def naive_window_losses(result: ForecastResult) -> np.ndarray:
    """(N,) the same loss for the naive forecast; its mean is `baseline/mase`."""
    return _window_means(result, np.abs(result.naive - result.target))


def window_crps(result: ForecastResult) -> np.ndarray:
    """(N,) mean over horizon and series of CRPS / step_mae; its mean over windows is `test/crps`.

    Raises:
        ValueError: the forecasts have no quantiles.
    """
    return _window_means(result, _crps(result, _quantiles(result).values))


def naive_window_crps(result: ForecastResult) -> np.ndarray:
    """(N,) the same for the naive forecast; its mean is `baseline/crps`."""
    return _window_means(result, _crps(result, _quantiles(result).naive))


def horizon_mase(result: ForecastResult, forecast: np.ndarray) -> np.ndarray:
    """(H, S) mean over windows of |forecast - target| / step_mae, by step ahead and series."""
    return np.abs(forecast - result.target).mean(axis=0) / result.scale


def horizon_crps(result: ForecastResult, values: np.ndarray) -> np.ndarray:
    """(H, S) mean over windows of CRPS / step_mae of quantiles (N, H, S, Q), by step ahead and series."""
    return _crps(result, values).mean(axis=0) / result.scale


def skill_by_series(result: ForecastResult) -> np.ndarray:
    """(S,) skill of each series: 1 - MAE / MAE of the naive forecast, both in units of `step_mae`."""
    model = horizon_mase(result, result.prediction).mean(axis=0)
    naive = horizon_mase(result, result.naive).mean(axis=0)
    return np.array([skill(*pair) for pair in zip(model, naive, strict=True)])


def skill(mase: float, baseline: float) -> float:
    """1 - mase / baseline: 1 is a perfect forecast, 0 the baseline, below 0 is worse than the baseline.

    Where the baseline makes no error at all (a series that stands still in the test part) the ratio has no meaning, yet
    a forecast that moves is worse: then the skill is -mase, which is 0 for a forecast that stands still too and falls
    by 1 for each typical training step the forecast is off.
    """
    return float(1 - mase / baseline if baseline != 0 else 0.0 - mase)


def scores(result: ForecastResult) -> dict[str, float]:
    """Scores of a forecast and of the naive last value on the same windows, flat.

    - `test/mase`: mean over series of MAE / step_mae, after Hyndman & Koehler 2006, "Another look at measures of
      forecast accuracy", with the denominator taken from the training part.
    - `test/mse_scaled`, `test/mae_scaled`: errors divided by the training standard deviation, mean over series.
    - `test/mse/<series>`, `test/mae/<series>`: original units (squared, plain).
    - `baseline/...`: each of these for the naive forecast.
    - `test/skill`: 1 - test/mase / baseline/mase: 1 perfect, 0 the naive forecast, negative worse; see `skill` for a
      baseline without error. `test/skill/<series>` is the same for one series.
    - `test/dm_pvalue`: two-sided Diebold-Mariano against the naive forecast; left out where there are too few windows
      to tell.

    - `test/crps`, `test/coverage_80`, ...: see `quantile_scores`, for a forecast with quantiles.

    A series that is constant in the training part has no scale: its scaled errors stay in original units.
    """
    table = _errors("test", result, result.prediction) | _errors("baseline", result, result.naive)
    table["test/skill"] = skill(table["test/mase"], table["baseline/mase"])
    for name, value in zip(result.series, skill_by_series(result), strict=True):
        table[f"test/skill/{name}"] = float(value)
    table |= _pvalue("test/dm_pvalue", result, window_losses(result), naive_window_losses(result))
    return table if result.quantiles is None else table | quantile_scores(result)


def quantile_scores(result: ForecastResult) -> dict[str, float]:
    """Scores of the quantiles and of those of the naive forecast.

    - `test/crps`: mean over series of CRPS / step_mae (`adlx.metrics.quantiles.crps`), so in the unit of `test/mase`,
      which it would equal for a point without spread. `test/crps/<series>`: original units.
    - `test/coverage_80`, `test/width_80`: share of targets inside the central 80 % interval, and its mean width in
      units of step_mae; for every central interval that the levels bound.
    - `baseline/...`: each of these for the naive forecast: last value, quantiles of its errors in training.
    - `test/crps_skill`: 1 - test/crps / baseline/crps.
    - `test/crps_dm_pvalue`: Diebold-Mariano on the CRPS, as `test/dm_pvalue` is on absolute errors.

    Raises:
        ValueError: the forecasts have no quantiles.
    """
    held = _quantiles(result)
    table: dict[str, float] = {}
    for prefix, values in (("test", held.values), ("baseline", held.naive)):
        losses = _crps(result, values)
        table[f"{prefix}/crps"] = float((losses / result.scale).mean())
        for percent, (low, high) in intervals(held.levels).items():
            width = (values[..., high] - values[..., low]) / result.scale
            table[f"{prefix}/coverage_{percent}"] = float(inside(result, values, low, high).mean())
            table[f"{prefix}/width_{percent}"] = float(width.mean())
        for index, name in enumerate(result.series):
            table[f"{prefix}/crps/{name}"] = float(losses[..., index].mean())
    table["test/crps_skill"] = skill(table["test/crps"], table["baseline/crps"])
    return table | _pvalue("test/crps_dm_pvalue", result, window_crps(result), naive_window_crps(result))


def inside(result: ForecastResult, values: np.ndarray, low: int, high: int) -> np.ndarray:
    """(N, H, S) whether the target lies between two of the quantiles `values` (N, H, S, Q)."""
    return (values[..., low] <= result.target) & (result.target <= values[..., high])


def _pvalue(key: str, result: ForecastResult, losses: np.ndarray, naive: np.ndarray) -> dict[str, float]:
    """The p-value under its key, or nothing where there are too few windows to tell."""
    _, pvalue = diebold_mariano(losses, naive, result.target.shape[1], result.stride)
    return {key: pvalue} if np.isfinite(pvalue) else {}


def _quantiles(result: ForecastResult) -> Quantiles:
    if result.quantiles is None:
        raise ValueError("these are forecasts of a point: they have no quantiles")
    return result.quantiles


def _crps(result: ForecastResult, values: np.ndarray) -> np.ndarray:
    """(N, H, S) in original units."""
    return crps(values, result.target, _quantiles(result).levels)


def _window_means(result: ForecastResult, losses: np.ndarray) -> np.ndarray:
    return (losses / result.scale).mean(axis=(1, 2))


def _errors(prefix: str, result: ForecastResult, forecast: np.ndarray) -> dict[str, float]:
    error = forecast - result.target
    scaled = error / np.where(result.std > 0, result.std, 1.0)
    table = {
        f"{prefix}/mase": float(horizon_mase(result, forecast).mean()),
        f"{prefix}/mse_scaled": float((scaled**2).mean()),
        f"{prefix}/mae_scaled": float(np.abs(scaled).mean()),
    }
    for index, name in enumerate(result.series):
        table[f"{prefix}/mse/{name}"] = float((error[..., index] ** 2).mean())
        table[f"{prefix}/mae/{name}"] = float(np.abs(error[..., index]).mean())
    return table
