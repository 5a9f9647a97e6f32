"""A figure with one panel per series, and the windows that fill its time axis without overlap."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adlx.figures import style
from adlx.metrics.forecast import ForecastResult

MAX_PANELS = 12
"""Largest number of panels in a figure."""

POINTS = 150
"""Number of time steps in a panel; a reader cannot distinguish more."""

FEW = 30
"""Up to this number of points, lines have markers."""


def panel_grid(series: tuple[str, ...], title: str, xlabel: str, dated: bool) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each of the first MAX_PANELS series, and the panels."""
    shown = series[:MAX_PANELS]
    if len(shown) < len(series):
        title = f"{title} (first {MAX_PANELS} of {len(series)} series)"
    columns = 1 if len(shown) <= 3 else 2 if len(shown) <= 8 else 3
    rows = math.ceil(len(shown) / columns)
    figure = style.blank(title, height=1.2 + (2.2 if rows == 1 else 1.8) * rows)
    axes: list[Axes] = []
    for index, name in enumerate(shown):
        panel = figure.add_subplot(rows, columns, index + 1, sharex=axes[0] if axes else None)
        panel.set_title(name)
        panel.yaxis.set_major_formatter(style.NumberFormatter())
        panel.locator_params(axis="y", nbins=5)
        axes.append(panel)
    if dated:
        # at least 7 ticks: with fewer, the locator has no choice for a range of three days (6 half days)
        locator = AutoDateLocator(minticks=3, maxticks=7)
        axes[0].xaxis.set_major_locator(locator)
        axes[0].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axes[0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for panel in axes[:-columns]:
        panel.tick_params(labelbottom=False)
        panel.xaxis.get_offset_text().set_visible(False)
    for panel in axes[-columns:]:  # the lowest panel of each column; the last row may be incomplete
        panel.set_xlabel(xlabel)
    return figure, axes


@dataclass(frozen=True)
class Tiles:
    """Windows at the end of a result that do not overlap, in order of time.

    Args:
        windows: (W,) the indices of the windows.
        x: (W, H) the target times, datetime64[ns]; for a single window, whose time step is unknown, the steps ahead.
        gapless: whether each window starts at the end of the previous window.
        xlabel: label of the axis of `x`.
    """

    windows: np.ndarray
    x: np.ndarray
    gapless: bool
    xlabel: str

    @classmethod
    def of(cls, result: ForecastResult) -> "Tiles":
        """The last windows of the result: as many as fit into POINTS time steps, and at least one."""
        total, horizon, _ = result.target.shape
        hop = math.ceil(horizon / result.stride)
        windows = np.arange(total - 1, -1, -hop)[: max(1, POINTS // horizon)][::-1]
        gapless = hop * result.stride == horizon
        if total == 1:
            origin = np.datetime_as_string(result.origin[0], unit="m").replace("T", " ")
            return cls(windows, np.arange(1, horizon + 1)[None], gapless, f"steps after {origin} UTC")
        return cls(windows, target_times(result)[windows], gapless, "time (UTC)")

    @property
    def dated(self) -> bool:
        return self.x.dtype.kind == "M"

    def line(self, values: np.ndarray, index: int, joined: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """x and y of one series of (N, H, S) values, with a gap between windows unless `joined` and gapless.

        Forecasts of two windows start from different values, so a line from one to the next would be misleading.
        """
        x, y = self.x, values[self.windows, :, index]
        if y.shape[1] > 1 and not (joined and self.gapless):
            x = np.concatenate([x, x[:, -1:]], axis=1)
            y = np.concatenate([y, np.full((len(y), 1), np.nan)], axis=1)
        return x.ravel(), y.ravel()

    @property
    def is_single_point(self) -> bool:
        """Whether there is only one point, for which lines and areas are invisible."""
        return self.x.size == 1

    @property
    def marker(self) -> str:
        return "o" if self.x.size <= FEW else ""


def target_times(result: ForecastResult) -> np.ndarray:
    """Times (N, H), datetime64[ns], of the targets, from the origins of later windows.

    Series have pauses (nights, weekends), so the time of a target is not always its origin plus a multiple of the
    step. Only after the last origin, where no later window exists, times continue with the usual step.
    """
    count, horizon, _ = result.target.shape
    start = result.origin[0]
    known = (result.origin - start).astype("timedelta64[ns]").astype(np.int64).astype(float)
    step = float(np.median(np.diff(known))) / result.stride
    origins = np.arange(count) * result.stride
    targets = origins[:, None] + np.arange(1, horizon + 1)
    times = np.interp(targets, origins, known) + np.maximum(targets - origins[-1], 0) * step
    return start.astype("datetime64[ns]") + np.round(times).astype("timedelta64[ns]")
