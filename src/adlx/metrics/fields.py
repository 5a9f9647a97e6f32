"""The test result of a model of physical fields, and its scores.

Shapes: N trajectories, T time steps, F fields. Means over space leave out the inside of bodies. Where trajectories have
different lengths, values beyond the end are NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from adlx.metrics.archive import read_arrays, write_arrays
from adlx.metrics.declaration import Metric
from adlx.metrics.field_errors import SPANS, over_time, spans, vrmse
from adlx.metrics.result import Result
from adlx.metrics.skill import skill
from adlx.metrics.tables import DataTable, means_and_deviations


def losses(result: "FieldResult") -> np.ndarray:
    """(N,) the loss by which runs are compared: the VRMSE of each trajectory, mean over fields."""
    return vrmse(result.error, result.variance).mean(axis=1)


METRICS = (
    Metric(
        "test/rollout_vrmse",
        "rollout VRMSE",
        "down",
        baseline="baseline/rollout_vrmse",
        skill="test/skill",
        zero="the frozen last seed frame",
        parts="field",
        headline=True,
        loss=losses,
    ),
    Metric(
        "test/vrmse",
        "VRMSE",
        "down",
        baseline="baseline/vrmse",
        skill="test/skill",
        zero="the mean frame of the training part",
        parts="field",
        headline=True,
        loss=losses,
    ),
    Metric("test/onestep_vrmse", "one step", "down", in_comparison=True),
    Metric("test/skill", "skill", "up", "skill", headline=True, in_table=False, in_comparison=True, loss=losses),
    *(
        Metric(f"test/rollout_vrmse_{span}", f"{span} third", "down", baseline=f"baseline/rollout_vrmse_{span}")
        for span in SPANS
    ),
    Metric("test/rollout_relmse", "rollout relative MSE", "down", baseline="baseline/rollout_relmse", parts="field"),
    Metric("test/relmse", "relative MSE", "down", baseline="baseline/relmse", parts="field"),
    Metric("test/divergence", "divergence", "down", baseline="baseline/divergence"),
    Metric("test/alpha_drift", "drift of the volume", "down", baseline="baseline/alpha_drift"),
)


@dataclass(frozen=True)
class FieldResult(Result):
    """Errors of predicted fields, step by step.

    Args:
        names: of the F fields.
        error: (N, T, F) mean over space of the squared error. A rollout starts each step from its own output.
        onestep_error: (N, T, F) the same if each step starts from the truth; None for a reconstruction.
        baseline_error: (N, T, F) the same for the frozen last seed frame, or for the mean training frame if the result
            is a reconstruction.
        variance: (N, T, F) variance of the truth over space.
        power: (N, T, F) mean over space of the squared truth.
        divergence: (N, T, 2) root mean square of du/dx + dv/dy, predicted and true; None if it is not defined.
        total: (N, T, 2) mean volume fraction, predicted and true; None if the fields have none.
        index: (N,) int, positions of the trajectories in the data set.
        start: the number of time steps before the first one that is scored.
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

    metrics = METRICS
    same_samples = ("names", "index")
    comparison_figures = "adlx.figures.fields"

    def __post_init__(self) -> None:
        shape = (len(self.index), self.error.shape[1] if self.error.ndim == 3 else 0, len(self.names))
        if 0 in shape:
            raise ValueError(f"error has shape {self.error.shape}: no trajectories, steps or fields")
        for name in ("error", "baseline_error", "variance", "power", "onestep_error"):
            values = getattr(self, name)
            if values is not None and values.shape != shape:
                raise ValueError(f"{name} has shape {values.shape}, expected {shape}")
        for name in ("divergence", "total"):
            values = getattr(self, name)
            if values is not None and values.shape != (*shape[:2], 2):
                raise ValueError(f"{name} has shape {values.shape}, expected {(*shape[:2], 2)}")

    def frame(self) -> pd.DataFrame:
        """A row for each trajectory, time step and field: `index`, `step`, `field` and mean squared errors over space.

        `step` counts the time steps of the trajectory from 0. Errors are in squared units of the field;
        the scores divide them by `variance` and `power` of the truth.
        """
        samples, steps, count = self.error.shape
        columns: dict[str, Any] = {
            "index": np.repeat(self.index, steps * count),
            "step": np.tile(np.repeat(np.arange(self.start, self.start + steps), count), samples),
            "field": pd.Categorical.from_codes(np.tile(np.arange(count), samples * steps), list(self.names)),
        }
        for name in ("error", "onestep_error", "baseline_error", "variance", "power"):
            if (values := getattr(self, name)) is not None:
                columns[name] = values.ravel()
        return pd.DataFrame(columns)

    def save(self, path: str | Path) -> None:
        """Writes an .npz of plain arrays without pickled objects. A write that fails leaves no incomplete file."""
        write_arrays(path, {name: np.asarray(value) for name, value in vars(self).items() if value is not None})

    def after(self, start: int) -> Self:
        """The result without the time steps before `start`, which must be at least `self.start`."""
        parts = ("error", "baseline_error", "variance", "power", "onestep_error", "divergence", "total")
        arrays = {name: values for name in parts if (values := getattr(self, name)) is not None}
        later = {name: values[:, start - self.start :] for name, values in arrays.items()}
        return replace(self, **later, start=start)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a file that `save` wrote.

        Raises:
            UserError: the file is missing or damaged, or holds no result of fields.
        """
        optional = ("onestep_error", "divergence", "total")
        with read_arrays(path, "field", text="names") as archive:
            arrays: dict[str, Any] = {
                field.name: archive[field.name]
                for field in fields(cls)
                if field.name not in optional or field.name in archive
            }
            arrays["names"] = tuple(arrays["names"].tolist())
            return cls(**{**arrays, "start": int(arrays["start"])})

    def scores(self) -> dict[str, float]:
        """Scores on the test trajectories, by key.

        For a rollout:
        - `test/rollout_vrmse`: mean over fields and trajectories; `test/rollout_vrmse/<field>`: by field;
          `test/rollout_vrmse_first`, `_middle`, `_last`: over thirds of the time.
        - `test/rollout_relmse/<field>`: squared error divided by the squared truth, as in the SEA paper.
        - `test/onestep_vrmse`: each step starts from the truth.
        - `test/divergence`, `test/alpha_drift`: physical checks; their `baseline/...` is the value of the truth itself.
        - other `baseline/...`: the frozen last seed frame.

        For a reconstruction: `test/vrmse`, `test/vrmse/<field>`, `test/relmse/<field>`; `baseline/...`: the mean frame
        of the training part.

        `test/skill`: 1 - VRMSE / VRMSE of the baseline.
        """
        rollout = self.onestep_error is not None
        prefix = "rollout_" if rollout else ""
        table: dict[str, float] = {}
        for of, error in (("test", self.error), ("baseline", self.baseline_error)):
            by_field = vrmse(error, self.variance)
            relative = over_time(error, self.power) / np.maximum(np.nansum(self.power, axis=1), 1e-12)
            table[f"{of}/{prefix}vrmse"] = float(by_field.mean())
            for position, name in enumerate(self.names):
                table[f"{of}/{prefix}vrmse/{name}"] = float(by_field[:, position].mean())
                table[f"{of}/{prefix}relmse/{name}"] = float(relative[:, position].mean())
            if rollout:
                for name, at in zip(SPANS, spans(error.shape[1]), strict=True):
                    span = vrmse(error[:, at], self.variance[:, at])
                    table[f"{of}/rollout_vrmse_{name}"] = float(span.mean())
        if self.onestep_error is not None:
            table["test/onestep_vrmse"] = float(vrmse(self.onestep_error, self.variance).mean())
        if self.divergence is not None:
            predicted, true = np.sqrt(np.nanmean(self.divergence**2, axis=(0, 1)))
            table |= {"test/divergence": float(predicted), "baseline/divergence": float(true)}
        if self.total is not None:
            for position, of in enumerate(("test", "baseline")):
                total = self.total[:, :, position]
                first = self.total[:, :1, 1]
                table[f"{of}/alpha_drift"] = float(np.nanmean(np.abs(total / first - 1)))
        table["test/skill"] = skill(table[f"test/{prefix}vrmse"], table[f"baseline/{prefix}vrmse"])
        return table

    @classmethod
    def on_common_samples(cls, results: dict[str, list[Any]]) -> dict[str, list[Any]] | None:
        """The results from the first time step that all predict, since models use different numbers of seed frames."""
        start = max(one.start for group in results.values() for one in group)
        shortest = min(one.start + one.error.shape[1] for group in results.values() for one in group)
        if start < shortest:
            results = {label: [one.after(start) for one in group] for label, group in results.items()}
        return super().on_common_samples(results)

    def is_of_same_samples(self, other: Any) -> bool:
        """Also compares the variance of the truth, with a tolerance, since its last bits depend on the machine."""
        if not super().is_of_same_samples(other) or self.variance.shape != other.variance.shape:
            return False
        return np.allclose(self.variance, other.variance, equal_nan=True)

    def mean_errors(self, metric: Metric) -> dict[str, float]:
        """The VRMSE of each field, and the mean loss as `all`; empty if the metric has no loss."""
        of_all = super().mean_errors(metric)
        by_field = vrmse(self.error, self.variance).mean(axis=0)
        return dict(zip(self.names, by_field.tolist(), strict=True)) | of_all if of_all else {}

    @classmethod
    def comparison_tables(
        cls, results: dict[str, list[Any]], labels: Sequence[str], metric: Metric
    ) -> dict[str, DataTable]:
        names = results[labels[0]][0].names
        return {"fields": means_and_deviations("VRMSE by field", by_field(results, labels), names)}


def by_time(result: FieldResult) -> dict[str, np.ndarray]:
    """(T, F) error of each step divided by the deviation of the whole trajectory, mean over trajectories.

    Returns it by name: `model`, `one step` and `baseline`.
    """
    deviation = np.sqrt(np.maximum(np.nanmean(result.variance, axis=1, keepdims=True), 1e-12))
    parts = {"model": result.error, "one step": result.onestep_error, "baseline": result.baseline_error}
    known = ~np.isnan(result.variance)

    def mean(error: np.ndarray) -> np.ndarray:
        error = np.where(np.isnan(error), np.inf, error)  # as in `over_time`
        return np.where(known, np.sqrt(error) / deviation, 0.0).sum(axis=0) / known.sum(axis=0)

    return {name: mean(error) for name, error in parts.items() if error is not None}


def by_field(results: Mapping[str, Sequence[FieldResult]], labels: Sequence[str]) -> dict[str, np.ndarray]:
    """(runs, F) VRMSE by label. The last entry, (1, F), is the baseline: the frozen seed frame or the mean frame."""
    rows = {
        label: np.stack([vrmse(one.error, one.variance).mean(axis=0) for one in results[label]]) for label in labels
    }
    first = results[labels[0]][0]
    baseline = "mean frame" if first.onestep_error is None else "frozen"
    return rows | {baseline: vrmse(first.baseline_error, first.variance).mean(axis=0)[None]}
