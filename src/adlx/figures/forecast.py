"""Forecasts and actual values, and errors by step and by series.

Shapes: N windows, C context steps, H horizon steps, S series.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adlx.errors import UserError
from adlx.figures import style
from adlx.figures.panels import FEW, Tiles, panel_grid
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import horizon_mase, skill_by_series
from adlx.metrics.quantiles import intervals
from adlx.metrics.skill import skill
from adlx.metrics.text import MINUS, significant

BANDS = 4
"""Largest number of intervals; a reader cannot distinguish more shades."""

TINT = 0.18
"""Share of the forecast color in the widest band; each narrower band adds this share of the remaining white."""


@style.styled()
def forecast_panels(result: ForecastResult, title: str) -> Figure:
    """Actual, forecast and naive values in original units, with a panel for each series.

    Shows the last windows of the test set that do not overlap, so that each time appears once.
    """
    tiles = Tiles.of(result)
    figure, axes = panel_grid(result.series, title, tiles.xlabel, tiles.dated)
    for index, panel in enumerate(axes):
        (naive,) = panel.plot(*tiles.line(result.naive, index), color=style.NAIVE, linewidth=0.9)
        naive.set(label="naive (last value)", marker=tiles.marker if tiles.is_single_point else "", markersize=3)
        if result.quantiles is not None:
            for ends, looks in _bands(result.quantiles.levels):
                (x, lower), (_, upper) = (tiles.line(result.quantiles.values[..., end], index) for end in ends)
                if tiles.is_single_point:
                    panel.vlines(x, lower, upper, linewidth=9, zorder=1, **looks)
                else:
                    panel.fill_between(x, lower, upper, linewidth=0, **looks)
        (actual,) = panel.plot(*tiles.line(result.target, index, joined=True), color=style.ACTUAL, label="actual")
        (forecast,) = panel.plot(*tiles.line(result.prediction, index), color=style.MODEL, label="forecast")
        for line in (actual, forecast):
            line.set(marker=tiles.marker, markersize=3)
    style.legend_below(figure, axes[0])
    return figure


def compared(
    results: dict[str, list[ForecastResult]], labels: Sequence[str], where: str, title: str
) -> dict[str, Figure]:
    """The forecasts of the first run of each configuration."""
    return {"panels": panels({label: group[0] for label, group in results.items()}, title)}


@style.styled()
def panels(results: Mapping[str, ForecastResult], title: str) -> Figure:
    """Forecasts of several models on the same windows, with a panel for each series.

    Raises:
        UserError: the results have different windows.
    """
    names = list(results)
    first = results[names[0]]
    for name in names[1:]:
        other = results[name]
        same = other.series == first.series and other.target.shape == first.target.shape
        if not same or not np.array_equal(other.origin, first.origin):
            raise UserError(f"{names[0]} and {name} did not forecast the same windows and cannot share a figure")
    tiles = Tiles.of(first)
    figure, axes = panel_grid(first.series, title, tiles.xlabel, tiles.dated)
    for index, panel in enumerate(axes):
        (naive,) = panel.plot(*tiles.line(first.naive, index), color=style.NAIVE, linewidth=0.9)
        (actual,) = panel.plot(*tiles.line(first.target, index, joined=True), color=style.ACTUAL, linewidth=1.6)
        naive.set(label="naive (last value)", marker=tiles.marker if tiles.is_single_point else "", markersize=3)
        actual.set(label="actual", marker=tiles.marker if tiles.is_single_point else "", markersize=3)
        for order, (name, result) in enumerate(results.items()):
            if np.allclose(result.prediction, first.naive, rtol=1e-5, atol=0):  # equal to the naive line
                continue
            color, dash = style.model_looks(order)
            x, y = tiles.line(result.prediction, index)
            panel.plot(x, y, color=color, linestyle=dash, label=name, marker=tiles.marker, markersize=3)
    style.legend_below(figure, axes[0])
    return figure


@style.styled()
def horizon_error(result: ForecastResult, title: str) -> Figure:
    """Mean absolute error at each step ahead, divided by the mean absolute one-step change of the training part.

    Thick lines are means over series; their mean over steps is MASE. Thin lines are single series.
    """
    horizon = result.target.shape[1]
    steps = np.arange(1, horizon + 1)
    figure = style.blank(title, height=4.2)
    panel = figure.add_subplot()
    looks = {"forecast": (result.prediction, style.MODEL, "-"), "naive (last value)": (result.naive, style.NAIVE, "--")}
    for name, (values, color, dash) in looks.items():
        error = horizon_mase(result, values)
        mean = error.mean(axis=1)
        label = f"{name}, MASE {significant(float(mean.mean()))}"
        panel.plot(steps, error, dash, color=color, linewidth=0.8, alpha=0.4, marker="." if horizon == 1 else "")
        panel.plot(steps, mean, dash, color=color, linewidth=2.4, marker="o" if horizon <= FEW else "", label=label)
    _explain_thin(panel, result)
    panel.set_xlabel("steps ahead")
    panel.set_ylabel("MAE / one-step change in training")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panel.yaxis.set_major_formatter(style.NumberFormatter())
    panel.set_xlim(0.5, horizon + 0.5)
    panel.set_ylim(bottom=0)
    style.legend_below(figure, panel)
    return figure


@style.styled()
def series_skill(result: ForecastResult, title: str) -> Figure:
    """Skill of each series as a bar: 0 is the naive forecast, right is better, left is worse."""
    values = skill_by_series(result)
    overall = skill(
        float(horizon_mase(result, result.prediction).mean()), float(horizon_mase(result, result.naive).mean())
    )
    figure = style.blank(title, height=1.3 + 0.3 * len(values))
    panel = figure.add_subplot()
    colors = [style.MODEL if value >= 0 else style.WORSE for value in values]
    bars = panel.barh(list(result.series), values, height=0.65, color=colors)
    printed = panel.bar_label(bars, labels=[f"{value:+.3f}" for value in values], padding=4, fontsize=8)
    for text in printed:
        text.set_bbox(
            {"facecolor": "white", "edgecolor": "none", "pad": 1}
        )  # so that the dashed line is behind the text
    panel.axvline(0, color=style.ACTUAL, linewidth=0.9)
    panel.axvline(overall, color=style.NAIVE, linewidth=1.2, linestyle="--", zorder=0)
    panel.invert_yaxis()
    panel.grid(axis="y", visible=False)
    panel.margins(x=0.12)
    panel.xaxis.set_major_formatter(style.NumberFormatter())
    panel.set_xlabel(f"skill = 1 {MINUS} MAE / MAE of the naive forecast;  dashed: overall {overall:+.3f}")
    return figure


@style.styled()
def calibration(result: ForecastResult, title: str) -> Figure:
    """Share of targets at or below each quantile, over its level; a calibrated forecast is on the diagonal.

    Thick lines are for all series together, thin lines for single series.

    Raises:
        ValueError: the result has no quantiles.
    """
    quantiles, table = result.quantiles, result.quantile_scores()
    assert quantiles is not None
    figure = style.blank(title, height=5.2)
    panel = figure.add_subplot()
    panel.plot([0, 1], [0, 1], color=style.ACTUAL, linewidth=0.9, label="calibrated")
    looks = {
        "naive (last value)": (quantiles.naive, table["baseline/crps"], style.NAIVE, "--"),
        "forecast": (quantiles.values, table["test/crps"], style.MODEL, "-"),
    }
    for name, (values, score, color, dash) in looks.items():
        below = result.target[..., None] <= values
        panel.plot(quantiles.levels, below.mean(axis=(0, 1)).T, dash, color=color, linewidth=0.8, alpha=0.4)
        label = f"{name}, CRPS {significant(score)}"
        (mean,) = panel.plot(quantiles.levels, below.mean(axis=(0, 1, 2)), dash, color=color, linewidth=2.4, marker="o")
        mean.set(label=label, clip_on=False)  # not cut off at 0 and 1
    _explain_thin(panel, result)
    panel.set_xlabel("quantile level")
    panel.set_ylabel("share of targets at or below the quantile")
    panel.set(xlim=(0, 1), ylim=(0, 1))
    panel.set_aspect("equal", adjustable="box")
    style.legend_below(figure, panel)
    return figure


@style.styled()
def forecast_fan(
    times: np.ndarray,
    context: np.ndarray,
    forecast_times: np.ndarray,
    forecast: np.ndarray,
    series: tuple[str, ...],
    title: str,
    levels: Sequence[float] | None = None,
    quantiles: np.ndarray | None = None,
) -> Figure:
    """The end of the context and the forecast after it, with a panel for each series.

    Args:
        times: (C,) datetime64 of the context.
        context: (C, S) the input of the model.
        forecast_times: (H,) datetime64 of the forecast.
        forecast: (H, S)
        series: S names.
        title: title of the figure.
        levels: (Q,) levels of the quantiles, if there are any.
        quantiles: (H, S, Q); central intervals are drawn as bands.
    """
    recent = slice(-min(len(times), max(48, 3 * len(forecast_times))), None)
    ahead = np.concatenate([times[-1:], forecast_times])
    figure, axes = panel_grid(series, title, "time (UTC)", dated=True)
    marker = "o" if len(forecast_times) <= FEW else ""
    for index, panel in enumerate(axes):
        panel.axvline(times[-1], color=style.NAIVE, linewidth=0.9, linestyle=":")
        panel.plot(times[recent], context[recent, index], color=style.ACTUAL, label="context")
        # the line starts at the last value of the context, so that it is connected
        path = np.concatenate([context[-1:, index], forecast[:, index]])
        if levels is not None and quantiles is not None:
            for ends, looks in _bands(np.array(levels)):
                lower, upper = (np.concatenate([context[-1:, index], quantiles[:, index, end]]) for end in ends)
                panel.fill_between(ahead, lower, upper, linewidth=0, **looks)
        (line,) = panel.plot(ahead, path, color=style.MODEL, label="forecast")
        line.set(marker=marker, markersize=2.5, markevery=slice(1, None))
    style.legend_below(figure, axes[0])
    return figure


def _bands(levels: np.ndarray) -> Iterator[tuple[tuple[int, int], dict]]:
    """Yields the central intervals to draw, widest first: the indices of both ends, and color and label.

    Colors are opaque, so that a band has the same color in the legend as over wider bands. Narrower bands are darker.
    """
    central = list(intervals(levels).items())
    for order, (percent, ends) in enumerate(central[:: max(1, math.ceil(len(central) / BANDS))]):
        white = (1 - TINT) ** (order + 1)
        yield ends, {"color": white + (1 - white) * np.array(to_rgb(style.MODEL)), "label": f"{percent} % interval"}


def _explain_thin(panel: Axes, result: ForecastResult) -> None:
    if (count := len(result.series)) > 1:
        panel.plot([], [], color=style.ACTUAL, alpha=0.5, linewidth=0.7, label=f"thin: each of {count} series")
