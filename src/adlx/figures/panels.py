"""Small multiples: a panel for each series over a common time axis, and the windows that tile such an axis."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adlx.figures import style
from adlx.metrics.forecast import ForecastResult

MOST = 12
"""Panels that fit on one figure."""

POINTS = 150
"""Time steps a panel shows: as many as can still be told apart."""

FEW = 30
"""Points below which a line is drawn with its points marked."""


def grid(series: tuple[str, ...], title: str, xlabel: str, dated: bool) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each of the first MOST series, and those panels."""
    shown = series[:MOST]
    if len(shown) < len(series):
        title = f"{title} (first {MOST} of {len(series)} series)"
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
        # fewer than 7 are too few for the locator: it switches from hours to days at three days, 6 half-days
        locator = AutoDateLocator(minticks=3, maxticks=7)
        axes[0].xaxis.set_major_locator(locator)
        axes[0].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axes[0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for panel in axes[:-columns]:
        panel.tick_params(labelbottom=False)
        panel.xaxis.get_offset_text().set_visible(False)
    for panel in axes[-columns:]:  # the lowest of each column, not all in one row where the last row is not full
        panel.set_xlabel(xlabel)
    return figure, axes


@dataclass(frozen=True)
class Tiles:
    """The last windows of a result that share no target time, laid end to end.

    Args:
        windows: (W,) their indices.
        x: (W, H) the target times, datetime64[ns]; or the steps ahead, where a single window leaves the step unknown.
        gapless: whether each window starts where the one before it ends.
        xlabel: what `x` is.
    """

    windows: np.ndarray
    x: np.ndarray
    gapless: bool
    xlabel: str

    @classmethod
    def of(cls, result: ForecastResult) -> "Tiles":
        """As many windows as fill POINTS time steps, at least one; the last one is the last of the result."""
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

        Forecasts jump where a window ends, since the next knows more; a line across would be no one's forecast.
        """
        x, y = self.x, values[self.windows, :, index]
        if y.shape[1] > 1 and not (joined and self.gapless):
            x = np.concatenate([x, x[:, -1:]], axis=1)
            y = np.concatenate([y, np.full((len(y), 1), np.nan)], axis=1)
        return x.ravel(), y.ravel()

    @property
    def lone(self) -> bool:
        """Whether there is but one point, of which neither a line nor an area shows anything."""
        return self.x.size == 1

    @property
    def marker(self) -> str:
        return "o" if self.x.size <= FEW else ""


def target_times(result: ForecastResult) -> np.ndarray:
    """(N, H) datetime64[ns] of the targets, read off the origins of later windows.

    Series pause (nights, weekends), so a target's time is not its origin plus a multiple of the step. Only behind the
    last origin, where there is nothing to read, time goes on by the usual step.
    """
    count, horizon, _ = result.target.shape
    start = result.origin[0]
    known = (result.origin - start).astype("timedelta64[ns]").astype(np.int64).astype(float)
    step = float(np.median(np.diff(known))) / result.stride
    place = np.arange(count) * result.stride
    wanted = place[:, None] + np.arange(1, horizon + 1)
    times = np.interp(wanted, place, known) + np.maximum(wanted - place[-1], 0) * step
    return start.astype("datetime64[ns]") + np.round(times).astype("timedelta64[ns]")
