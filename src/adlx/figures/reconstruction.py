"""Images with their reconstructions, and the use of the codes."""

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from adlx.figures import style
from adlx.metrics.reconstruction import perplexity, psnr, usage
from adlx.metrics.text import significant

COLUMNS = 8
"""Number of pairs in a row."""

MAX_INCHES = 1.6
"""Largest width of an image."""

LABELS, BELOW = 1.0, 0.4
"""Space in inches for labels: left of the images, and below each row of pairs."""


@style.styled()
def pairs(originals: np.ndarray, reconstructions: np.ndarray, title: str, limit: int = 16) -> Figure:
    """The first images, each above its reconstruction, with the PSNR of the pair below.

    Args:
        originals, reconstructions: (M, C, H, W) uint8, gray for C = 1 and in color for C = 3.
        title: title of the figure.
        limit: largest number of pairs.
    """
    if originals.shape != reconstructions.shape or originals.ndim != 4 or originals.shape[1] not in (1, 3):
        raise ValueError(f"shapes {originals.shape} and {reconstructions.shape} are not those of gray or color images")
    if min(len(originals), limit) < 1:
        raise ValueError(f"{len(originals)} images and limit={limit}: there is nothing to draw")
    shown = originals[:limit], reconstructions[:limit]
    total, _, height, width = shown[0].shape
    columns = min(COLUMNS, total)
    rows = math.ceil(total / columns)
    gap = max(1, round(width / 16))
    across, down = columns * (width + gap) - gap, 2 * height + gap
    scale = min(MAX_INCHES / width, (style.WIDTH - LABELS - 0.1) / across)  # inches per pixel
    # enlarged pixels stay sharp; a reader could mistake interpolation for blur of the model
    blur = "nearest" if scale * style.DPI >= 1 else "antialiased"
    figure = _stack(title, rows, scale * across, scale * down)
    for row, panel in enumerate(figure.axes):
        part = slice(row * columns, (row + 1) * columns)
        first, second = (images[part] for images in shown)
        panel.imshow(_mosaic(first, second, gap, columns), interpolation=blur)
        panel.set_yticks([(height - 1) / 2, height + gap + (height - 1) / 2], ["original", "reconstruction"])
        ratios = [_psnr(*pair) for pair in zip(first, second, strict=True)]
        panel.set_xticks([index * (width + gap) + (width - 1) / 2 for index in range(len(first))], ratios)
        panel.tick_params(length=0)
        panel.grid(visible=False)
        panel.spines[:].set_visible(False)
    figure.axes[-1].set_xlabel("PSNR of each pair")
    return figure


@style.styled()
def code_usage(codes: np.ndarray, codebook: int, title: str) -> Figure:
    """How often each code is used, the most common first, on a logarithmic axis.

    Args:
        codes: (N, h, w) int from 0.
        codebook: number of codes; the range of unused codes is shaded.
        title: title of the figure.
    """
    shares = np.sort(usage(codes, codebook))[::-1]
    used = int((shares > 0).sum())
    figure = style.blank(title, height=4.2)
    panel = figure.add_subplot()
    edges = np.arange(codebook + 1) + 0.5
    label = f"{used:,} of {codebook:,} codes used, perplexity {significant(perplexity(shares))}"
    panel.stairs(shares[:used], edges[: used + 1], baseline=None, color=style.MODEL, linewidth=1.6, label=label)
    even = f"all codes equally often, perplexity {codebook:,}"
    panel.axhline(1 / codebook, color=style.NAIVE, linestyle="--", linewidth=1.3, zorder=1, label=even)
    if used < codebook:
        looks = {"color": style.WORSE, "alpha": 0.15, "linewidth": 0, "zorder": 0}
        panel.axvspan(edges[used], edges[-1], label=f"{codebook - used:,} codes never used", **looks)
    style.set_logarithmic(panel.yaxis)
    low, high = min(shares[used - 1], 1 / codebook), max(shares[0], 1 / codebook)
    # whole decades, with some space above the highest line
    panel.set_ylim(10.0 ** math.floor(math.log10(low)), 1.2 * 10.0 ** math.ceil(math.log10(high)))
    panel.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.set_xlim(edges[0], edges[-1])
    panel.xaxis.set_major_formatter(style.NumberFormatter())
    panel.set_xlabel("code, by rank")
    panel.set_ylabel("share of all codes")
    style.legend_below(figure, panel)
    return figure


def _stack(title: str, rows: int, width: float, height: float) -> Figure:
    """A figure with panels of exactly this size in inches, one below the other.

    The constrained layout would leave gaps between the images, or move their labels over the border.
    """
    figure = style.blank(title, height=1.0)
    figure.set_layout_engine("none")
    top = 0.25 + 0.2 * len(figure.get_suptitle().splitlines())
    total = top + rows * (height + BELOW) + 0.2
    figure.set_size_inches(style.WIDTH, total)
    figure.suptitle(figure.get_suptitle(), y=1 - 0.05 / total)
    left = max(LABELS, (style.WIDTH - width) / 2)
    for row in range(rows):
        bottom = total - top - height - row * (height + BELOW)
        figure.add_axes((left / style.WIDTH, bottom / total, width / style.WIDTH, height / total))
    return figure


def _mosaic(first: np.ndarray, second: np.ndarray, gap: int, columns: int) -> np.ndarray:
    """Two rows of images on white: (2 H + gap, columns (W + gap) - gap, 3) uint8."""
    count, _, height, width = first.shape
    canvas = np.full((2 * height + gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for top, images in ((0, first), (height + gap, second)):
        for index in range(count):
            left = index * (width + gap)
            # one gray channel fills all three
            canvas[top : top + height, left : left + width] = images[index].transpose(1, 2, 0)
    return canvas


def _psnr(original: np.ndarray, reconstruction: np.ndarray) -> str:
    mse = float(((original.astype(float) - reconstruction) ** 2).mean()) / 255**2
    return f"{psnr(mse):.1f} dB" if mse > 0 else "exact"
