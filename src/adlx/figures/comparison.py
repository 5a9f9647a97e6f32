"""Figures that compare runs by one metric."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adlx.figures import style
from adlx.metrics.text import format_means, significant, with_minus


@style.styled()
def comparison(table: pd.DataFrame, metric: str, title: str) -> Figure:
    """A row for each row of the table, in the same order: the mean as a dot, the deviation over seeds as an error bar.

    Args:
        table: columns `label`, `mean`, `std` (NaN for one seed), `n` (seeds), `baseline` (NaN if there is none).
            If all rows have the same baseline, it is one line; otherwise each row has its own tick.
        metric: label of the axis.
        title: title of the figure.
    """
    labels = [textwrap.fill(str(label), 48) for label in table["label"]]
    lines = max((label.count("\n") + 1 for label in labels), default=1)
    figure = style.blank(title, height=1.6 + (0.08 + 0.14 * lines) * len(labels))
    panel = figure.add_subplot()
    rows = np.arange(len(table))
    mean, std = table["mean"].to_numpy(dtype=float), table["std"].to_numpy(dtype=float)
    panel.errorbar(mean, rows, xerr=std, fmt="o", color=style.MODEL, markersize=5, elinewidth=1.4, capsize=3)
    _draw_baseline(panel, table["baseline"].to_numpy(dtype=float))
    panel.set_yticks(rows, labels)
    panel.set_ylim(len(table) - 0.4, -0.6)
    panel.set_xlabel(metric)
    panel.xaxis.set_major_formatter(style.NumberFormatter())
    values = panel.twinx()  # only for its tick labels, which show the numbers in a column
    values.set_ylim(panel.get_ylim())
    values.set_yticks(rows, _values(mean, std, table["n"].to_numpy()))
    values.tick_params(length=0)
    values.grid(visible=False)
    return figure


@style.styled()
def against(curve: pd.DataFrame, metric: str, key: str, title: str, baseline: np.ndarray) -> Figure:
    """The metric as a function of a numeric setting, with a line for each label; logarithmic for a wide range.

    Args:
        curve: columns `label`, `x`, `mean`, `std` (NaN for one seed); a label with one x is a point.
        metric, key: labels of the axes.
        title: title of the figure.
        baseline: baselines of the rows; drawn as a line if all are equal.
    """
    figure = style.blank(title, height=4.6)
    panel = figure.add_subplot()
    for order, (label, rows) in enumerate(curve.groupby("label", sort=False)):
        color, dash = style.model_looks(order)
        x, mean, std = (rows[name].to_numpy(dtype=float) for name in ("x", "mean", "std"))
        looks = {"color": color, "linestyle": dash if len(x) > 1 else "", "marker": "o", "markersize": 5, "capsize": 3}
        panel.errorbar(x, mean, yerr=np.nan_to_num(std), elinewidth=1.2, label=str(label), **looks)
    known = baseline[np.isfinite(baseline)]
    if len(known) and np.ptp(known) <= 1e-9 * np.abs(known).max():
        looks = {"color": style.NAIVE, "linestyle": "--", "linewidth": 1.3, "zorder": 1}
        panel.axhline(known[0], label=f"baseline {significant(known[0])}", **looks)
    values = curve["x"].to_numpy(dtype=float)
    if values.min() > 0 and values.max() > 20 * values.min():
        style.set_logarithmic(panel.xaxis)
        if len(ticks := np.unique(values)) <= 10:
            panel.set_xticks(ticks, [f"{tick:,.6g}" for tick in ticks])
            panel.set_xticks([], minor=True)
    else:
        panel.xaxis.set_major_formatter(style.NumberFormatter())
    panel.set_xlabel(key)
    panel.set_ylabel(metric)
    panel.yaxis.set_major_formatter(style.NumberFormatter())
    style.legend_below(figure, panel)
    return figure


def _draw_baseline(panel: Axes, baseline: np.ndarray) -> None:
    known = np.flatnonzero(np.isfinite(baseline))
    looks = {"color": style.WORSE, "linestyle": "--", "linewidth": 1.3, "zorder": 1}
    if len(known) == 0:
        return
    values = baseline[known]
    if len(known) == len(baseline) and np.ptp(values) <= 1e-9 * np.abs(values).max():
        panel.axvline(values[0], label=f"baseline {significant(values[0])}", **looks)
    else:
        panel.vlines(values, known - 0.38, known + 0.38, label="baseline", **{**looks, "linestyle": "-"})
    panel.legend(loc="lower left", bbox_to_anchor=(0, 1))


def _values(mean: np.ndarray, std: np.ndarray, count: np.ndarray) -> list[str]:
    texts = zip(format_means(mean.tolist(), std.tolist()), count, strict=True)
    texts = [with_minus(text) + (f"  (n={runs:.0f})" if runs > 1 else "") for text, runs in texts]
    return [text if known else "no value" for text, known in zip(texts, np.isfinite(mean), strict=True)]
