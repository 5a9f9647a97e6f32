"""Physical fields: target, prediction and error at several times, error over time, and films of rollouts.

Shapes: T time steps, F fields; bodies (cells,) is True in cells inside a solid body.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from adlx.figures import style
from adlx.figures.mosaic import mosaic
from adlx.metrics.fields import FieldResult, by_field, by_time
from adlx.specs import FieldSpec

MAP, ERROR_MAP, BODY = "RdBu_r", "PuOr", "#555555"
MAX_FRAMES = 48
MARKERS = ("o", "s", "D")
"""Markers of dots; the next marker begins when all colors are used."""


@style.styled()
def snapshots(
    target: np.ndarray, prediction: np.ndarray, bodies: np.ndarray, spec: FieldSpec, labels: Sequence[str], title: str
) -> Figure:
    """Three rows for each field: target (labeled with the field's name), prediction, and error; a column for each time.

    Args:
        target, prediction: (T, cells, F).
        bodies: (cells,) bool.
        spec: describes the fields.
        labels: titles of the columns, one for each time.
        title: title of the figure.
    """
    times, count = len(target), len(spec.fields)
    high, wide = _size(spec)
    width = style.WIDTH / times
    height = min(1.6, max(0.55, 0.8 * width * high / wide))
    figure = style.blank(title, height=0.8 + 3 * count * height)
    panels = figure.subplots(3 * count, times, squeeze=False)
    for index, name in enumerate(spec.fields):
        low, top = limits(target[..., index][:, ~bodies])
        errors = prediction[..., index] - target[..., index]
        sizes = np.abs(errors[:, ~bodies])
        largest = max(float(sizes.max(where=np.isfinite(sizes), initial=0)), 1e-12)
        rows = (
            (target, name, low, top, MAP),
            (prediction, "prediction", low, top, MAP),
            (None, "error", -largest, largest, ERROR_MAP),
        )
        for offset, (values, label, bottom, above, colors) in enumerate(rows):
            row = panels[3 * index + offset]
            drawn = []
            for time in range(times):
                shown = errors[time] if values is None else values[time, :, index]
                drawn.append(_draw(row[time], shown, bodies, spec, bottom, above, colors))
                if index == 0 and offset == 0:
                    row[time].set_title(labels[time], fontsize="medium")
            row[0].set_ylabel(label)
            figure.colorbar(drawn[0], ax=list(row), aspect=8, pad=0.01, format="%.2g", ticks=[bottom, above])
    return figure


def limits(values: np.ndarray) -> tuple[float, float]:
    """The range of colors: from the 0.5 % to the 99.5 % quantile of the finite values, which ignores outliers."""
    values = values[np.isfinite(values)]
    if not len(values):
        return -0.5, 0.5
    low, top = (float(value) for value in np.quantile(values, [0.005, 0.995]))
    if low < 0 < top and min(-low, top) > 0.25 * max(
        -low, top
    ):  # similar range on both sides: symmetric, with zero in the middle
        return -max(-low, top), max(-low, top)
    return (low, top) if top > low else (low - 0.5, top + 0.5)


def _draw(
    panel: Axes, values: np.ndarray, bodies: np.ndarray, spec: FieldSpec, low: float, top: float, colors: str
) -> Any:
    panel.set_xticks([])
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.set_facecolor(BODY)
    shown = _shown(values, bodies, spec)
    return panel.imshow(shown, origin="lower", cmap=colors, vmin=low, vmax=top, interpolation="nearest")


def _shown(values: np.ndarray, bodies: np.ndarray, spec: FieldSpec) -> np.ndarray:
    """Image (H, W) of values (cells,), NaN inside bodies and holes."""
    fluid = np.where(bodies, np.nan, values)
    if spec.grid is not None:
        return fluid.reshape(spec.grid)
    cells = mosaic(spec.coordinates or ())
    return np.where(cells < 0, np.nan, fluid[cells])


def _size(spec: FieldSpec) -> tuple[int, ...]:
    return spec.grid or mosaic(spec.coordinates or ()).shape


def error_by_time(result: FieldResult, title: str) -> Figure:
    """Error of each field, divided by its deviation, at each time step; mean over trajectories."""
    looks = {
        "model": {"color": style.MODEL, "label": "rollout"},
        "one step": {"color": style.MODEL, "linestyle": ":", "label": "one step ahead"},
        "baseline": {"color": style.NAIVE, "linestyle": "--", "label": "frozen frame"},
    }
    return _by_time([(values, looks[kind]) for kind, values in by_time(result).items()], result, title)


def errors_by_time(results: dict[str, list[FieldResult]], title: str) -> Figure:
    """Like `error_by_time`, for several models, each with the mean over its runs, and the baseline.

    Args:
        results: results of the same trajectories, by label.
        title: title of the figure.
    """
    first = next(iter(results.values()))[0]
    baseline = "mean frame" if first.onestep_error is None else "frozen frame"
    curves = [(by_time(first)["baseline"], {"color": style.NAIVE, "linestyle": "--", "label": baseline})]
    for order, (label, group) in enumerate(results.items()):
        color, dash = style.model_looks(order)
        mean = np.mean([by_time(result)["model"] for result in group], axis=0)
        curves.append((mean, {"color": color, "linestyle": dash, "label": label}))
    return _by_time(curves, first, title)


def compared(results: dict[str, list[FieldResult]], labels: Sequence[str], where: str, title: str) -> dict[str, Figure]:
    """Error by field, with mean and deviation over the runs of each configuration, and mean error over time."""
    names = results[labels[0]][0].names
    return {
        "fields": errors_by_field(by_field(results, labels), names, title),
        "error_by_time": errors_by_time({label: results[label] for label in labels}, title),
    }


@style.styled()
def errors_by_field(errors: dict[str, np.ndarray], names: Sequence[str], title: str) -> Figure:
    """A group per field with a dot per configuration: the mean over its runs, with their deviation as an error bar.

    The axis starts at zero, or is logarithmic if means span more than a decade. If a mean is not finite, an infinity
    sign at the top replaces the dot.

    Args:
        errors: VRMSE (runs, F) by label; the last is the baseline, drawn as a dashed line.
        names: names of the fields.
        title: title of the figure.
    """
    *models, baseline_label = errors
    *values, baseline = errors.values()
    figure = style.blank(title, height=3.8)
    panel = figure.add_subplot()
    fields = np.arange(len(names))
    means = np.stack([runs.mean(axis=0) for runs in errors.values()])
    known = means[np.isfinite(means)]
    if is_wide := len(known) > 0 and 0 < 10 * known.min() < known.max():
        style.set_logarithmic(panel.yaxis)
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.yaxis.set_minor_formatter("")
    looks = {"colors": style.NAIVE, "linestyles": "--", "linewidth": 1.3}
    panel.hlines(baseline.mean(axis=0), fields - 0.42, fields + 0.42, label=baseline_label, **looks)
    for order, (label, runs) in enumerate(zip(models, values, strict=True)):
        _dots(panel, fields + 0.8 * ((order + 0.5) / len(models) - 0.5), runs, order, label)
    if not is_wide:
        panel.set_ylim(bottom=0)
    panel.set_xticks(fields, list(names))
    panel.set_xlim(-0.5, len(names) - 0.5)
    panel.grid(visible=False, axis="x")
    panel.set_ylabel("error / deviation (VRMSE)")
    style.legend_below(figure, panel)
    return figure


def _dots(panel: Axes, x: np.ndarray, runs: np.ndarray, order: int, label: str) -> None:
    """Draws mean and deviation of values (runs, F) at F positions, and an infinity sign if a value is not finite."""
    color, _ = style.model_looks(order)
    marker = MARKERS[order // len(style.MODELS) % len(MARKERS)]
    finite = np.isfinite(runs).all(axis=0)
    drawn = np.where(finite, runs, np.nan)
    spread = drawn.std(axis=0, ddof=1) if len(drawn) > 1 else None
    looks = {"color": color, "markersize": 5, "capsize": 3, "elinewidth": 1.4}
    panel.errorbar(x, drawn.mean(axis=0), yerr=spread, fmt=marker, label=label, **looks)
    for position in x[~finite]:
        high = panel.get_xaxis_transform()
        panel.text(position, 1.0, "\N{INFINITY}", color=color, fontsize=14, ha="center", va="top", transform=high)


@style.styled()
def _by_time(curves: Sequence[tuple[np.ndarray, dict[str, Any]]], result: FieldResult, title: str) -> Figure:
    """Draws curves (T, F), with one panel per field."""
    figure = style.blank(title, height=2.9)
    panels = figure.subplots(1, len(result.names), squeeze=False, sharey=True)[0]
    for index, (panel, name) in enumerate(zip(panels, result.names, strict=True)):
        for values, looks in curves:
            panel.plot(result.start + 1 + np.arange(len(values)), values[:, index], **looks)
        panel.axhline(1, color="#BBBBBB", linewidth=0.8, zorder=1)
        panel.set_title(name)
        panel.set_xlabel("time step")
        panel.set_ylim(bottom=0)
    panels[0].set_ylabel("error / deviation (VRMSE)")
    style.legend_below(figure, panels[0])
    return figure


@style.styled()
def film(
    target: np.ndarray | None, prediction: np.ndarray, bodies: np.ndarray, spec: FieldSpec, title: str
) -> list[np.ndarray]:
    """Frames (H, W, 3) uint8 of a rollout, with one row per field: target, prediction and error.

    Args:
        target: (T, cells, F); None: the film shows the prediction only.
        prediction: (T, cells, F); a long rollout is reduced to 48 frames.
        bodies: (cells,) bool.
        spec: describes the fields.
        title: title of the film.
    """
    chosen = np.unique(np.linspace(0, len(prediction) - 1, min(MAX_FRAMES, len(prediction))).astype(int))
    high, wide = _size(spec)
    kinds = ["prediction"] if target is None else ["target", "prediction", "error"]
    count = len(spec.fields)
    side = 7.0 / len(kinds)
    figure = Figure(figsize=(7.4, 0.6 + count * (side * high / wide + 0.12)), dpi=90, layout="constrained")
    figure.suptitle(title, fontsize=10)
    panels = figure.subplots(count, len(kinds), squeeze=False)
    drawn = []
    for index, name in enumerate(spec.fields):
        reference = prediction if target is None else target
        low, top = limits(reference[..., index][:, ~bodies])
        parts = {"prediction": (prediction[..., index], low, top, MAP)}
        if target is not None:
            half = max((top - low) / 2, 1e-12)
            errors = prediction[..., index] - target[..., index]
            parts |= {"target": (target[..., index], low, top, MAP), "error": (errors, -half, half, ERROR_MAP)}
        for column, kind in enumerate(kinds):
            panel = panels[index, column]
            values, bottom, above, colors = parts[kind]
            drawn.append((_draw(panel, values[0], bodies, spec, bottom, above, colors), values))
            if index == 0:
                panel.set_title(kind, fontsize=9)
        panels[index, 0].set_ylabel(name)
    canvas = FigureCanvasAgg(figure)
    frames = []
    for time in chosen:
        for image, values in drawn:
            image.set_data(_shown(values[time], bodies, spec))
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        figure.set_layout_engine("none")  # the layout is computed only once
    return frames
