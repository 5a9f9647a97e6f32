"""What predicted physical fields are scored from, and their scores.

Shapes: N trajectories, T time steps, F fields. Means over space leave out the inside of bodies. Where trajectories have
different lengths, what lies beyond an end is NaN.
"""

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np

from adlx.metrics.archive import reading, write
from adlx.metrics.forecast import skill

SPANS = ("first", "middle", "last")
"""Thirds of a rollout."""


@dataclass(frozen=True)
class FieldResult:
    """Errors of predicted fields, step by step.

    Args:
        names: of the F fields.
        error: (N, T, F) mean over space of the squared error, of a rollout from its own output or of a reconstruction.
        onestep_error: (N, T, F) the same where each step starts from the truth; None for a reconstruction.
        baseline_error: (N, T, F) of the frozen last seed frame, or of the mean training frame for a reconstruction.
        variance: (N, T, F) over space, of the truth.
        power: (N, T, F) mean over space of the squared truth.
        divergence: (N, T, 2) root mean square of du/dx + dv/dy, predicted and true; None where that is not defined.
        total: (N, T, 2) mean volume fraction, predicted and true; None where there is none.
        index: (N,) int, places of the trajectories in the data set.
        start: time steps before the first that is scored.
    """

    names: tuple[str, ...]
    error: np.ndarray
    baseline_error: np.ndarray
    variance: np.ndarray
    power: np.ndarray
    index: np.ndarray
    onestep_error: np.ndarray | None = None
    divergence: np.ndarray | None = None
    total: np.ndarray | None = None
    start: int = 0

    def __post_init__(self) -> None:
        shape = (len(self.index), self.error.shape[1] if self.error.ndim == 3 else 0, len(self.names))
        if 0 in shape:
            raise ValueError(f"error has shape {self.error.shape}: no trajectories, steps or fields")
        for name in ("error", "baseline_error", "variance", "power", "onestep_error"):
            found = getattr(self, name)
            if found is not None and found.shape != shape:
                raise ValueError(f"{name} has shape {found.shape}, asked for is {shape}")
        for name in ("divergence", "total"):
            found = getattr(self, name)
            if found is not None and found.shape != (*shape[:2], 2):
                raise ValueError(f"{name} has shape {found.shape}, asked for is {(*shape[:2], 2)}")

    def save(self, path: str | Path) -> None:
        """Writes an .npz of plain arrays (nothing pickled) that is whole or not there."""
        write(path, {name: np.asarray(value) for name, value in vars(self).items() if value is not None})

    def after(self, start: int) -> Self:
        """The same without the time steps before `start`, which is not before its own."""
        parts = ("error", "baseline_error", "variance", "power", "onestep_error", "divergence", "total")
        held = {name: value for name in parts if (value := getattr(self, name)) is not None}
        return replace(self, **{name: value[:, start - self.start :] for name, value in held.items()}, start=start)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, or no result of fields.
        """
        optional = ("onestep_error", "divergence", "total")
        with reading(path, "field") as archive:
            arrays: dict[str, Any] = {
                field.name: archive[field.name]
                for field in fields(cls)
                if field.name not in optional or field.name in archive
            }
            arrays["names"] = tuple(arrays["names"].tolist())
            return cls(**{**arrays, "start": int(arrays["start"])})


def vrmse(error: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(N, F) root of the squared error over the variance, both summed over time: 1 is what the mean over space scores.

    The sums come before the ratio, so that a field at rest, with no variance, does not outweigh all others.
    """
    return np.sqrt(over_time(error, variance) / np.maximum(np.nansum(variance, axis=1), 1e-12))


def over_time(error: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, F) sum of errors (N, T, F) where there is a truth; one that is not a number, of a rollout that has left all
    bounds, is infinite."""
    return np.where(np.isnan(truth), 0.0, np.where(np.isnan(error), np.inf, error)).sum(axis=1)


def losses(result: FieldResult) -> np.ndarray:
    """(N,) the loss by which runs compare, mean over fields."""
    return vrmse(result.error, result.variance).mean(axis=1)


def scores(result: FieldResult) -> dict[str, float]:
    """Scores on the test trajectories, flat.

    Of a rollout: `test/rollout_vrmse`, mean over fields and trajectories; by field, `test/rollout_vrmse/<field>` and
    `test/rollout_relmse/<field>` (squared error over the squared truth, as the SEA paper has it); over thirds of the
    time, `test/rollout_vrmse_first`, `_middle`, `_last`; `test/onestep_vrmse`. `baseline/...`: of the frozen last seed
    frame. `test/divergence` and `test/alpha_drift`: physical checks, `baseline/...` of the truth itself.

    Of a reconstruction: `test/vrmse`, `test/vrmse/<field>`, `test/relmse/<field>`; `baseline/...`: of the mean frame of
    the training part.

    `test/skill`: 1 - test / baseline of the headline.
    """
    rollout = result.onestep_error is not None
    prefix = "rollout_" if rollout else ""
    table: dict[str, float] = {}
    for of, error in (("test", result.error), ("baseline", result.baseline_error)):
        by_field = vrmse(error, result.variance)
        relative = over_time(error, result.power) / np.maximum(np.nansum(result.power, axis=1), 1e-12)
        table[f"{of}/{prefix}vrmse"] = float(by_field.mean())
        for place, name in enumerate(result.names):
            table[f"{of}/{prefix}vrmse/{name}"] = float(by_field[:, place].mean())
            table[f"{of}/{prefix}relmse/{name}"] = float(relative[:, place].mean())
        if rollout:
            for name, at in zip(SPANS, spans(error.shape[1]), strict=True):
                span = vrmse(error[:, at], result.variance[:, at])
                table[f"{of}/rollout_vrmse_{name}"] = float(span.mean())
    if result.onestep_error is not None:
        table["test/onestep_vrmse"] = float(vrmse(result.onestep_error, result.variance).mean())
    if result.divergence is not None:
        predicted, true = np.sqrt(np.nanmean(result.divergence**2, axis=(0, 1)))
        table |= {"test/divergence": float(predicted), "baseline/divergence": float(true)}
    if result.total is not None:
        for place, of in enumerate(("test", "baseline")):
            total = result.total[:, :, place]
            first = result.total[:, :1, 1]
            table[f"{of}/alpha_drift"] = float(np.nanmean(np.abs(total / first - 1)))
    table["test/skill"] = skill(table[f"test/{prefix}vrmse"], table[f"baseline/{prefix}vrmse"])
    return table


def spans(steps: int) -> list[slice]:
    """Thirds of a number of steps, the last one longest; a third without a step is all of them."""
    borders = [steps * part // 3 for part in range(4)]
    return [slice(a, b) if b > a else slice(0, steps) for a, b in pairwise(borders)]


def by_time(result: FieldResult) -> dict[str, np.ndarray]:
    """(T, F) error of each step over the deviation of the whole trajectory, mean over trajectories: `model`,
    `one step` and `baseline`."""
    deviation = np.sqrt(np.maximum(np.nanmean(result.variance, axis=1, keepdims=True), 1e-12))
    parts = {"model": result.error, "one step": result.onestep_error, "baseline": result.baseline_error}
    known = ~np.isnan(result.variance)

    def mean(error: np.ndarray) -> np.ndarray:
        error = np.where(np.isnan(error), np.inf, error)  # as in `over_time`
        return np.where(known, np.sqrt(error) / deviation, 0.0).sum(axis=0) / known.sum(axis=0)

    return {name: mean(error) for name, error in parts.items() if error is not None}
