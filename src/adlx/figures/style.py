"""The common style of all figures, and how they are saved.

Figures do not use pyplot, which keeps all figures in a global list. So they need no display, are freed from memory,
and can be made in threads and notebooks. The colors are distinguishable for color-blind readers (Okabe & Ito 2008,
"Color universal design").
"""

import math
import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, LogFormatterSciNotation

from adlx.atomic import replacing
from adlx.metrics.text import MINUS, unit_of

DPI = 150
WIDTH = 10.0  # inches

ACTUAL = "#222222"
MODEL = "#0072B2"
NAIVE = "#8C8C8C"
WORSE = "#D55E00"
MODELS = (MODEL, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", ":")

_LOOKS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # part of matplotlib: figures look the same on every machine
    "font.size": 9.0,
    "figure.titlesize": 12.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.3,
    "lines.solid_capstyle": "round",
    "savefig.facecolor": "white",
    "text.parse_math": False,  # names of series and classes are drawn unchanged, with their $, _, ^ and \\
    "text.usetex": False,
}


@contextmanager
def styled() -> Iterator[None]:
    """Context manager or decorator for making and drawing figures. Does not change the user's rcParams.

    Characters that the font lacks are drawn as boxes, without matplotlib's warning for each.
    """
    with matplotlib.rc_context(_LOOKS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        yield


def blank(title: str, height: float) -> Figure:
    """An empty figure with a title and the common width; to be filled within `styled`."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    figure.suptitle(textwrap.fill(title, 95))
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Writes a PNG atomically: an interruption leaves no incomplete file."""
    with styled(), replacing(path) as file:
        figure.savefig(file, format="png", dpi=DPI)


def save_film(frames: list[Any], path: str | Path, seconds: float = 6.0) -> None:
    """Writes an animated GIF, which repeats endlessly, atomically.

    Args:
        frames: (H, W, 3) uint8 each.
        path: the file.
        seconds: duration of the whole film.
    """
    from PIL import Image

    # All frames have one palette; with several, colors flicker.
    images = [Image.fromarray(frame) for frame in frames]
    palette = images[len(images) // 2].quantize(128)
    reduced = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    duration = max(20, round(1000 * seconds / len(frames)))
    with replacing(path) as file:
        reduced[0].save(file, format="gif", save_all=True, append_images=reduced[1:], duration=duration, loop=0)


def legend_below(figure: Figure, axes: Axes) -> None:
    """Adds one legend for all panels, with the labels of one of them, in as many columns as fit.

    Each row of the legend after the first makes the figure taller, so that panels keep their height.
    """
    handles, labels = axes.get_legend_handles_labels()
    labels = [textwrap.fill(label, 110) for label in labels]
    longest = max(len(line) for label in labels for line in label.splitlines())
    columns = max(1, min(130 // (longest + 8), len(labels)))  # 130 characters fit; a line sample needs 8
    heights = [label.count("\n") + 1 for label in labels]
    rows = math.ceil(len(labels) / columns)
    lines = max(
        sum(heights[start : start + rows]) for start in range(0, len(labels), rows)
    )  # height of the tallest column
    figure.set_figheight(figure.get_figheight() + 0.19 * (lines - 1))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def model_looks(index: int) -> tuple[str, str]:
    """Color and line style of the n-th model; when all colors are used, the next line style begins."""
    return MODELS[index % len(MODELS)], DASHES[index // len(MODELS) % len(DASHES)]


def set_logarithmic(axis: Axis) -> None:
    """Makes an axis logarithmic, with plain text at its ticks: matplotlib's own labels are formulas."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # type: ignore[attr-defined]
    axis.set_major_formatter(PowerFormatter())
    axis.set_minor_formatter(PowerFormatter(labelOnlyBase=False))


class PowerFormatter(LogFormatterSciNotation):
    """Labels of a logarithmic axis as plain text, such as 10⁻² or 2×10³; empty for ticks that matplotlib omits."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        formula = super().__call__(x, pos)  # such as $\mathdefault{2\times10^{3}}$
        text = formula.removeprefix(r"$\mathdefault{").removesuffix("}$").replace(r"\times", "×")
        return re.sub(r"\^\{(-?\d+)\}", lambda power: power[1].translate(_SUPERSCRIPTS), text)


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class NumberFormatter(Formatter):
    """Formats ticks with as many decimals as needed, thousands separators, and units above a million."""

    def __init__(self) -> None:
        self.decimals = 0
        self.factor = 1.0
        self.unit = ""

    def set_locs(self, locs: list[float]) -> None:
        """Sets the number of decimals from the ticks of an axis."""
        ticks = sorted({float(value) for value in locs})
        largest = max((abs(value) for value in ticks), default=0.0)
        spacing = min((b - a for a, b in pairwise(ticks)), default=largest) or 1.0
        self.factor, self.unit = unit_of(largest)
        spacing /= self.factor
        # a spacing of 2.5 needs a decimal although its order of magnitude does not
        decimals = range(max(0, -math.floor(math.log10(spacing))), 12)
        self.decimals = next((d for d in decimals if abs(round(spacing, d) - spacing) < 0.01 * spacing), 12)

    def __call__(self, x: float, pos: int | None = None) -> str:
        unit = self.unit if x else ""
        return f"{x / self.factor:,.{self.decimals}f}".replace("-", MINUS) + unit
