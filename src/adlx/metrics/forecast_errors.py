"""Forecasts of a set of windows with their targets, and the errors.

Shapes: N windows, H horizon steps, S series, Q quantile levels.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from adlx.metrics.archive import read_arrays, write_arrays
from adlx.metrics.quantiles import crps
from adlx.metrics.skill import skill


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of a set of forecasts, in original units, float64.

    Args:
        levels: (Q,) increasing, 0.5 among them.
        values: (N, H, S, Q) non-decreasing along Q; at level 0.5 they are the prediction.
        naive: (N, H, S, Q) the baseline: the last value plus the quantiles of the naive forecast's training errors.
    """

    levels: np.ndarray
    values: np.ndarray
    naive: np.ndarray


@dataclass(frozen=True)
class Forecasts:
    """Forecasts and targets of a set of windows in original units, and statistics of the training part.

    All floats are float64.

    Args:
        prediction: (N, H, S) the forecasts.
        target: (N, H, S) the true values; NaN where they are not known, and so not scored. No window lacks all.
        last: (N, S) last value seen by each window, which the naive forecast repeats.
        origin: (N,) datetime64[ns], clock time of that last value, or whole numbers; windows are in time order.
        series: S names.
        mean, std: (S,) of the training part.
        step_mae: (S,) mean absolute one-step change of the training part, the denominator of MASE.
        stride: time steps between the origins of neighbouring windows. If it is below H, windows overlap and their
            errors are correlated, which the significance tests account for.
        quantiles: None for point forecasts.
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
                raise ValueError(
                    f"{name} has shape {getattr(self, name).shape}, the shape of the target requires {shape}"
                )
        if self.quantiles is not None:
            shape = (*self.target.shape, len(self.quantiles.levels))
            for name in ("values", "naive"):
                if (given := getattr(self.quantiles, name).shape) != shape:
                    raise ValueError(f"quantiles.{name} has shape {given}, target and levels require {shape}")
        if len(self.series) != count or windows == 0 or self.stride < 1:
            raise ValueError(f"{len(self.series)} names for {count} series, {windows} windows, stride {self.stride}")

    @property
    def naive(self) -> np.ndarray:
        """(N, H, S) the baseline: the last value of the context, repeated over the horizon. A read-only view."""
        return np.broadcast_to(self.last[:, None, :], self.target.shape)

    @property
    def scale(self) -> np.ndarray:
        """(S,) the denominator of MASE: `step_mae`, or 1 for a series that is constant in training."""
        return np.where(self.step_mae > 0, self.step_mae, 1.0)

    def save(self, path: str | Path) -> None:
        """Writes an .npz of plain arrays without pickled objects. A write that fails leaves no incomplete file."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        del arrays["quantiles"]
        if self.quantiles is not None:
            arrays |= {
                "levels": self.quantiles.levels,
                "quantiles": self.quantiles.values,
                "naive_quantiles": self.quantiles.naive,
            }
        arrays["series"] = np.asarray(self.series, dtype=np.str_)
        if self.origin.dtype.kind == "M":
            arrays["origin"] = self.origin.astype("datetime64[ns]")
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a file that `save` wrote.

        Raises:
            UserError: the file is missing or damaged, or holds no forecast result.
        """
        names = [field.name for field in fields(cls) if field.name != "quantiles"]
        with read_arrays(path, "forecast", text="series") as archive:
            arrays = {name: archive[name] for name in names}
            stored = [archive[name] for name in ("levels", "quantiles", "naive_quantiles") if name in archive]
            series = tuple(str(name) for name in arrays.pop("series"))
            quantiles = Quantiles(*stored) if len(stored) == 3 else None
            return cls(series=series, stride=int(arrays.pop("stride")), quantiles=quantiles, **arrays)


def window_losses(result: Forecasts) -> np.ndarray:
    """(N,) mean over horizon and series of |error| / step_mae: the loss that the significance tests use.

    Its mean over windows is `test/mase`.
    """
    return _window_means(result, np.abs(result.prediction - result.target))


def naive_window_losses(result: Forecasts) -> np.ndarray:
    """(N,) the loss of `window_losses` for the naive forecast; its mean is `baseline/mase`."""
    return _window_means(result, np.abs(result.naive - result.target))


def window_crps(result: Forecasts) -> np.ndarray:
    """(N,) mean over horizon and series of CRPS / step_mae; its mean over windows is `test/crps`.

    Raises:
        ValueError: the forecasts have no quantiles.
    """
    return _window_means(result, element_crps(result, quantiles_of(result).values))


def window_crps_if_any(result: Forecasts) -> np.ndarray | None:
    """`window_crps`; None if the forecasts have no quantiles."""
    return None if result.quantiles is None else window_crps(result)


def naive_window_crps(result: Forecasts) -> np.ndarray:
    """(N,) the loss of `window_crps` for the naive forecast; its mean is `baseline/crps`."""
    return _window_means(result, element_crps(result, quantiles_of(result).naive))


def naive_window_crps_if_any(result: Forecasts) -> np.ndarray | None:
    """`naive_window_crps`; None if the forecasts have no quantiles."""
    return None if result.quantiles is None else naive_window_crps(result)


def horizon_mase(result: Forecasts, forecast: np.ndarray) -> np.ndarray:
    """(H, S) mean over windows of |forecast - target| / step_mae, by step ahead and series."""
    return mean_of_known(result, np.abs(forecast - result.target), axis=0) / result.scale


def horizon_crps(result: Forecasts, values: np.ndarray) -> np.ndarray:
    """(H, S) mean over windows of CRPS / step_mae of quantiles (N, H, S, Q), by step ahead and series."""
    return mean_of_known(result, element_crps(result, values), axis=0) / result.scale


def skill_by_series(result: Forecasts) -> np.ndarray:
    """(S,) skill of each series: 1 - MAE / MAE of the naive forecast, both in units of `step_mae`."""
    model = horizon_mase(result, result.prediction).mean(axis=0)
    naive = horizon_mase(result, result.naive).mean(axis=0)
    return np.array([skill(*pair) for pair in zip(model, naive, strict=True)])


def inside(result: Forecasts, values: np.ndarray, low: int, high: int) -> np.ndarray:
    """(N, H, S) whether the target lies between two of the quantiles `values` (N, H, S, Q)."""
    return (values[..., low] <= result.target) & (result.target <= values[..., high])


def mean_of_known(result: Forecasts, values: np.ndarray, axis: int | tuple[int, ...] | None = None) -> Any:
    """The mean of values (N, H, S) over an axis, where the target is known. A forecast that is NaN makes it NaN."""
    known = ~np.isnan(result.target)
    return values.mean(axis=axis) if known.all() else values.mean(axis=axis, where=known)


def mean_of_series(result: Forecasts, values: np.ndarray, index: int) -> float:
    """The same for the values of one series."""
    known = ~np.isnan(result.target[..., index])
    return float(values[..., index].mean(where=True if known.all() else known))


def quantiles_of(result: Forecasts) -> Quantiles:
    """The quantiles of forecasts. Raises ValueError for point forecasts."""
    if result.quantiles is None:
        raise ValueError("these are point forecasts: they have no quantiles")
    return result.quantiles


def element_crps(result: Forecasts, values: np.ndarray) -> np.ndarray:
    """(N, H, S) CRPS of quantiles (N, H, S, Q), in original units."""
    return crps(values, result.target, quantiles_of(result).levels)


def _window_means(result: Forecasts, losses: np.ndarray) -> np.ndarray:
    return mean_of_known(result, losses / result.scale, axis=(1, 2))
