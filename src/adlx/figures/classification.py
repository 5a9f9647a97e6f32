"""The confusion matrix, and recall and precision of each class."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from adlx.figures import style
from adlx.metrics.classification import ClassResult, by_class, confusion_counts

MAX_LABELED = 20
"""Largest number of classes for which the cells of the confusion matrix show numbers."""

COLORS = LinearSegmentedColormap.from_list("confusion", ["#FFFFFF", style.MODEL, "#00304D"]).with_extremes(
    bad="#EEEEEE"
)
PRECISION = "#E69F00"
EDGE = "#D5D5D5"


@style.styled()
def confusion(result: ClassResult, title: str) -> Figure:
    """Confusion matrix in percent of the samples of each true class; rows are true classes, columns are predictions.

    The row labels show the number of samples; a class without samples has an empty gray row.
    """
    counts, count = confusion_counts(result), len(result.classes)
    samples = counts.sum(axis=1)
    shares = np.where(samples[:, None] > 0, counts / np.maximum(samples, 1)[:, None], np.nan)
    figure = style.blank(title, height=1.7 + (0.5 if count <= MAX_LABELED else 0.16) * count)
    panel = figure.add_subplot()
    image = panel.imshow(shares, cmap=COLORS, vmin=0, vmax=1, aspect="auto")
    if count <= MAX_LABELED:
        _print_shares(panel, shares)
    column = 7.0 / count  # inches
    size = min(8.0, 0.9 * 72 * column)  # points; with this size, labels of neighboring columns do not overlap
    upright = 90 if max(map(len, result.classes)) * 0.085 > column else 0
    labels = [f"{name} ({number:,})" for name, number in zip(result.classes, samples, strict=True)]
    panel.set_xticks(np.arange(count), result.classes, rotation=upright, fontsize=size)
    panel.set_yticks(np.arange(count), labels, fontsize=size)
    panel.tick_params(length=0)
    panel.grid(visible=False)
    panel.spines[:].set(visible=True, color=EDGE)
    panel.set_xlabel("predicted class")
    panel.set_ylabel("true class (samples)")
    bar = figure.colorbar(image, ax=panel, pad=0.02, label="% of the true class", format=lambda x, _: f"{100 * x:.0f}")
    bar.ax.spines[:].set_color(EDGE)
    return figure


@style.styled()
def class_scores(result: ClassResult, title: str) -> Figure:
    """Recall and precision of each class, with its number of samples.

    Dashed: the mean recall if the most common class of the training part is always predicted (1 for this class, 0 for
    the others). Means are over the classes that occur in the test labels.
    """
    table = by_class(result)
    count, rows = len(table), np.arange(len(table))
    recall, precision = table["recall"].to_numpy(dtype=float), table["precision"].to_numpy(dtype=float)
    occurs = table["samples"].to_numpy() > 0
    constant = float(occurs[result.majority] / occurs.sum())
    figure = style.blank(title, height=1.8 + (0.3 if count <= MAX_LABELED else 0.16) * count)
    panel = figure.add_subplot()
    panel.hlines(rows, recall, precision, color="#BBBBBB", linewidth=2, zorder=1)
    looks = {"linestyle": "", "markersize": 6}
    label = f"recall, mean {_score(float(np.nanmean(recall)))}"
    panel.plot(recall, rows, marker="o", color=style.MODEL, zorder=3, label=label, **looks)
    panel.plot(precision, rows, marker="D", color=PRECISION, label="precision", **looks)
    label = f"mean recall if all predictions are {result.classes[result.majority]}, {_score(constant)}"
    panel.axvline(constant, color=style.NAIVE, linewidth=1.3, linestyle="--", zorder=1, label=label)
    panel.set_yticks(
        rows, [f"{name} ({number:,})" for name, number in zip(table["class"], table["samples"], strict=True)]
    )
    panel.set(xlim=(-0.02, 1.02), ylim=(count - 0.5, -0.5), xlabel="recall, precision", ylabel="class (samples)")
    panel.grid(axis="y", visible=False)
    values = panel.twinx()  # only for its tick labels, which show the numbers in a column
    values.set_ylim(panel.get_ylim())
    values.set_yticks(rows, [f"{_score(a)}   {_score(b)}" for a, b in zip(recall, precision, strict=True)])
    values.tick_params(length=0)
    values.set_ylabel("recall, precision", rotation=270, va="bottom")
    values.grid(visible=False)
    style.legend_below(figure, panel)
    return figure


def compared(results: dict[str, list[ClassResult]], labels: Sequence[str], where: str, title: str) -> dict[str, Figure]:
    """The confusion matrix of the first run of the best configuration."""
    return {"confusion": confusion(results[labels[0]][0], f"{labels[0]} on {where}")}


def _print_shares(panel: Axes, shares: np.ndarray) -> None:
    """Writes the percentage into each cell, bold for correct predictions, and draws lines between the cells."""
    size = 8 if len(shares) <= 10 else 6
    for (row, column), share in np.ndenumerate(shares):
        if np.isfinite(share):
            text = panel.text(column, row, _percent(share), color=_readable(share), fontsize=size)
            text.set(ha="center", va="center", weight="bold" if row == column else "normal")
    for edge in np.arange(1, len(shares)) - 0.5:
        panel.axvline(edge, color=EDGE, linewidth=0.6)
        panel.axhline(edge, color=EDGE, linewidth=0.6)


def _readable(share: float) -> str:
    """White or black, whichever has more contrast; in WCAG 2.1 both are equal at luminance 0.21."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in COLORS(share)[:3])
    return "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.21 else style.ACTUAL


def _percent(share: float) -> str:
    """The percentage without %, to save space; a share below 1 % is shown as <1, and not as 0."""
    return "0" if share == 0 else "<1" if share < 0.01 else f"{100 * share:.0f}"


def _score(value: float) -> str:
    """Two decimals; a missing value gets the same width, so that columns are aligned."""
    return f"{value:.2f}" if np.isfinite(value) else "\N{FIGURE SPACE}\N{EN DASH}\N{FIGURE SPACE}\N{PUNCTUATION SPACE}"
