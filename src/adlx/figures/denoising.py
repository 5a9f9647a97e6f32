"""Images that a diffusion model drew, how they came about, and how well it finds noise of each strength."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adlx.figures import style
from adlx.metrics.denoising import DenoisingResult, by_time


@style.styled()
def grid(images: np.ndarray, title: str, most: int = 64) -> Figure:
    """The first `most` images side by side, eight a row or as many as make a square.

    Args:
        images: (M, C, H, W) uint8, drawn grey for C = 1 and in colour for C = 3.
        title: of the figure.
        most: images drawn at most.
    """
    shown = images[:most]
    columns = max(1, math.ceil(math.sqrt(len(shown))))
    return _sheet(shown, columns, title)


@style.styled()
def trajectory(steps: np.ndarray, title: str) -> Figure:
    """What each step of the sampler took the images for, a row an image, first step left.

    Args:
        steps: (S, M, C, H, W) uint8.
        title: of the figure.
    """
    count = len(steps)
    figure = _sheet(steps.swapaxes(0, 1).reshape(-1, *steps.shape[2:]), count, title)
    width = steps.shape[-1] + _gap(steps.shape[-1])
    panel = figure.axes[0]
    panel.set_xticks([place * width + (width - 1) / 2 for place in range(count)], [str(n + 1) for n in range(count)])
    panel.set_xlabel("step")
    return figure


@style.styled()
def neighbours(result: DenoisingResult, title: str, most: int = 8) -> Figure:
    """Drawn images above the training images nearest to them, and beside them the distances of all."""
    count = min(most, len(result.samples))
    nearest = np.argsort(result.distance)[:count]
    pairs = np.concatenate([result.samples[nearest], result.neighbours[nearest]])
    figure = style.blank(title, height=4.6)
    above, below = figure.subplots(2, 1, height_ratios=[2, 3])
    _show(above, pairs, count)
    above.set_title(
        f"the {count} drawn images nearest to a training image, and below each that image", fontsize="medium"
    )
    most_distant = max(result.distance.max(), result.held_out_distance.max())
    bins = np.linspace(0, most_distant * 1.02, 41)
    for values, name, color in (
        (result.held_out_distance, "test images", style.ACTUAL),
        (result.distance, "drawn images", style.MODEL),
    ):
        below.hist(values, bins=bins, weights=np.full(len(values), 1 / len(values)), alpha=0.6, color=color, label=name)
    below.set_xlim(0, bins[-1])
    below.set_xlabel("distance to the nearest training image (root mean square of pixels from 0 to 1)")
    below.set_ylabel("share")
    style.legend_below(figure, below)
    return figure


@style.styled()
def loss_by_noise(result: DenoisingResult, title: str) -> Figure:
    """Error of noise and of image by diffusion time, from hardly any noise to hardly any image."""
    errors = by_time(result)
    figure = style.blank(title, height=4.0)
    panel = figure.add_subplot()
    middles = (np.arange(len(errors)) + 0.5) / len(errors)
    for column, (name, color) in enumerate((("noise", style.MODEL), ("image", style.ACTUAL))):
        panel.plot(middles, errors[:, column], color=color, marker="o", markersize=4, label=name)
    looks = {"color": style.NAIVE, "linestyle": "--", "linewidth": 1.3, "zorder": 1}
    panel.axhline(result.baseline_error.mean(), label="noise, none found", **looks)
    panel.set_xlim(0, 1)
    panel.set_ylim(bottom=0)
    panel.set_xlabel("diffusion time")
    panel.set_ylabel("mean absolute error")
    style.legend_below(figure, panel)
    return figure


def compared(
    results: dict[str, list[DenoisingResult]], labels: Sequence[str], where: str, title: str
) -> dict[str, Figure]:
    """What the best draws, its first run."""
    return {"samples": grid(results[labels[0]][0].samples, f"{labels[0]} on {where}")}


def _gap(width: int) -> int:
    return max(1, round(width / 16))


def _sheet(images: np.ndarray, columns: int, title: str) -> Figure:
    rows = math.ceil(len(images) / columns)
    height, width = images.shape[2:]
    inches = min(style.WIDTH, 0.9 * columns)
    figure = style.blank(title, height=0.7 + inches * rows * height / (columns * width))
    _show(figure.add_subplot(), images, columns)
    return figure


def _show(panel: Axes, images: np.ndarray, columns: int) -> None:
    count, _, height, width = images.shape
    gap, rows = _gap(width), math.ceil(count / columns)
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)  # grey spreads over RGB
    panel.imshow(canvas, interpolation="nearest")
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
