"""Images that a diffusion model generates, the steps of the sampler, and errors at each noise level."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adlx.figures import style
from adlx.metrics.denoising import DenoisingResult, by_time


@style.styled()
def image_grid(images: np.ndarray, title: str, limit: int = 64) -> Figure:
    """The first images in a square grid.

    Args:
        images: (M, C, H, W) uint8, gray for C = 1 and in color for C = 3.
        title: title of the figure.
        limit: largest number of images.
    """
    shown = images[:limit]
    columns = max(1, math.ceil(math.sqrt(len(shown))))
    return _sheet(shown, columns, title)


@style.styled()
def trajectory(steps: np.ndarray, title: str) -> Figure:
    """The image that each step of the sampler predicts; one row per image, the first step on the left.

    Args:
        steps: (S, M, C, H, W) uint8.
        title: title of the figure.
    """
    count = len(steps)
    figure = _sheet(steps.swapaxes(0, 1).reshape(-1, *steps.shape[2:]), count, title)
    width = steps.shape[-1] + _gap(steps.shape[-1])
    panel = figure.axes[0]
    panel.set_xticks([index * width + (width - 1) / 2 for index in range(count)], [str(n + 1) for n in range(count)])
    panel.set_xlabel("step")
    return figure


@style.styled()
def neighbours(result: DenoisingResult, title: str, limit: int = 8) -> Figure:
    """The generated images that are most similar to a training image, those images below them, and all distances."""
    count = min(limit, len(result.samples))
    nearest = np.argsort(result.distance)[:count]
    pairs = np.concatenate([result.samples[nearest], result.neighbours[nearest]])
    figure = style.blank(title, height=4.6)
    above, below = figure.subplots(2, 1, height_ratios=[2, 3])
    _show(above, pairs, count)
    above.set_title(
        f"top: the {count} generated images nearest to a training image; bottom: that training image", fontsize="medium"
    )
    largest = max(result.distance.max(), result.held_out_distance.max())
    bins = np.linspace(0, largest * 1.02, 41)
    for values, name, color in (
        (result.held_out_distance, "test images", style.ACTUAL),
        (result.distance, "generated images", style.MODEL),
    ):
        below.hist(values, bins=bins, weights=np.full(len(values), 1 / len(values)), alpha=0.6, color=color, label=name)
    below.set_xlim(0, bins[-1])
    below.set_xlabel("distance to the nearest training image (root mean square of pixels from 0 to 1)")
    below.set_ylabel("share of the images")
    style.legend_below(figure, below)
    return figure


@style.styled()
def loss_by_noise(result: DenoisingResult, title: str) -> Figure:
    """Errors of the predicted noise and image by diffusion time: at 0 almost no noise, at 1 almost no image."""
    errors = by_time(result)
    figure = style.blank(title, height=4.0)
    panel = figure.add_subplot()
    middles = (np.arange(len(errors)) + 0.5) / len(errors)
    for column, (name, color) in enumerate((("noise", style.MODEL), ("image", style.ACTUAL))):
        panel.plot(middles, errors[:, column], color=color, marker="o", markersize=4, label=name)
    looks = {"color": style.NAIVE, "linestyle": "--", "linewidth": 1.3, "zorder": 1}
    panel.axhline(result.baseline_error.mean(), label="noise, if the prediction is 0", **looks)
    panel.set_xlim(0, 1)
    panel.set_ylim(bottom=0)
    panel.set_xlabel("diffusion time")
    panel.set_ylabel("mean absolute error")
    style.legend_below(figure, panel)
    return figure


def compared(
    results: dict[str, list[DenoisingResult]], labels: Sequence[str], where: str, title: str
) -> dict[str, Figure]:
    """Images that the first run of the best configuration generates."""
    return {"samples": image_grid(results[labels[0]][0].samples, f"{labels[0]} on {where}")}


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
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)  # one gray channel fills all three
    panel.imshow(canvas, interpolation="nearest")
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
