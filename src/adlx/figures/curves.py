"""Training and validation loss over the training steps."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adlx.figures import style
from adlx.metrics.text import significant

LOG_RATIO = 20.0
"""Ratio of largest to smallest loss above which the axis is logarithmic; a linear one hides the last steps."""

LOSSES = {"train/loss": ("training", "#56B4E9"), "val/loss": ("validation", "#D55E00")}


@style.styled()
def training_curves(table: pd.DataFrame, title: str) -> Figure:
    """Training and validation loss by step, with the best validation marked, and the learning rate if it varies.

    Args:
        table: a run's metrics.csv: `step`, `epoch`, and metrics such as `train/loss`, `val/loss` and `lr`, which are
            NaN in rows without a value. Infinite values and NaN (a diverged loss) are not drawn.
        title: title of the figure.
    """
    rate = _logged(table, "lr")
    varies = rate.nunique() > 1
    figure = style.blank(title, height=5.4 if varies else 4.2)
    if varies:
        panel, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        below.plot(rate.index, rate.to_numpy(), color=style.ACTUAL, linewidth=1.1)
        below.set_ylabel("learning rate", fontsize=8)
        below.yaxis.set_major_formatter(style.NumberFormatter())
        below.yaxis.set_major_locator(MaxNLocator(3))
        below.set_ylim(bottom=0)
        below.set_xlabel("step")
    else:
        panel = figure.add_subplot()
        panel.set_xlabel("step")
    panel.set_ylabel("loss")
    _losses(panel, table)
    panel.xaxis.set_major_formatter(style.NumberFormatter())
    return figure


def _losses(panel: Axes, table: pd.DataFrame) -> None:
    curves = {name: _logged(table, name) for name in LOSSES}
    curves = {name: curve for name, curve in curves.items() if len(curve)}
    if not curves:
        panel.text(0.5, 0.5, "no loss was logged", ha="center", va="center", transform=panel.transAxes)
        panel.set_axis_off()
        return
    for name, curve in curves.items():
        label, color = LOSSES[name]
        panel.plot(
            curve.index, curve.to_numpy(), color=color, label=label, marker="o" if len(curve) <= 30 else "", ms=3
        )
    if "val/loss" in curves:
        _mark_best(panel, curves["val/loss"], table)
    values = np.concatenate([curve.to_numpy() for curve in curves.values()])
    if values.min() > 0 and values.max() / values.min() > LOG_RATIO:
        style.set_logarithmic(panel.yaxis)
    else:
        panel.yaxis.set_major_formatter(style.NumberFormatter())
    panel.legend(loc="best")


def _mark_best(panel: Axes, curve: pd.Series, table: pd.DataFrame) -> None:
    """Marks the best validation loss. Its numbers are in the legend; next to the point they would hide the curves."""
    step = int(curve.to_numpy().argmin())
    at, value = curve.index[step], float(curve.iloc[step])
    label = f"best {significant(value)} at step {at:,.0f}"
    if "epoch" in table:
        epoch = table.loc[(table["step"] == at) & table["val/loss"].notna(), "epoch"].dropna()
        label += f", epoch {epoch.iloc[0] + 1:.0f}" if len(epoch) else ""
    panel.plot([at], [value], color=style.ACTUAL, marker="*", markersize=12, linestyle="", label=label, zorder=5)


def _logged(table: pd.DataFrame, name: str) -> pd.Series:
    """The finite values of a column by step; empty if the column does not exist."""
    if name not in table:
        return pd.Series(dtype=float)
    values = pd.Series(table[name].to_numpy(dtype=float), index=table["step"].to_numpy(dtype=float))
    return values.loc[np.isfinite(values.to_numpy())]
