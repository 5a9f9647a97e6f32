"""Scaling of series, fitted on the training part alone, and normalisation of single windows.

Shapes: N rows of the training part, B windows, T context, S series.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from adlx.errors import UserError

Scaling = Literal["standard", "minmax", "log", "none"]

LARGEST = 1e37
"""Largest absolute value of a series; float32, in which models compute, ends at 3.4e38."""


class SeriesScaler(nn.Module):
    """Converts series to the units of the model, and back.

    The statistics are buffers, so the checkpoint stores them: a run uses its own scale for new data too.

    Args:
        kind: `standard` (x - mean) / deviation; `minmax` to [0, 1]; `log` the logarithm, then standard; `none`.
        names: of the S series.
        instance_norm: whether `normalize` acts (after Kim et al. 2022, "Reversible Instance Normalization", with the
            window's last value for its mean: a forecast then is a change from now, which a random walk makes small).
    """

    shift: Tensor
    scale: Tensor
    step: Tensor
    mean: Tensor
    std: Tensor
    step_mae: Tensor

    def __init__(self, kind: Scaling, names: tuple[str, ...], instance_norm: bool) -> None:
        super().__init__()
        self.kind, self.names, self.instance_norm = kind, names, instance_norm
        width = len(names)
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("step", torch.ones(width))  # mean absolute one-step change, in scaled units
        for name in ("mean", "std", "step_mae"):  # of the training part, in original units, which scores use
            self.register_buffer(name, torch.ones(width))

    def fit(self, train: np.ndarray) -> None:
        """Computes the statistics of `train` (N, S).

        Raises:
            UserError: a series cannot be scaled, see `check_values` and `check_varies`.
        """
        self.check_values(train)
        self.check_varies(train)
        inner = np.log(train) if self.kind == "log" else train
        shift, scale = self._shift_and_scale(inner)
        statistics = {
            "shift": shift,
            "scale": scale,
            "step": np.abs(np.diff(inner, axis=0)).mean(axis=0) / scale,
            "mean": train.mean(axis=0),
            "std": train.std(axis=0),
            "step_mae": np.abs(np.diff(train, axis=0)).mean(axis=0),
        }
        for name, value in statistics.items():
            getattr(self, name).copy_(torch.from_numpy(value))

    def _shift_and_scale(self, inner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.kind == "none":
            return np.zeros(inner.shape[1]), np.ones(inner.shape[1])
        if self.kind == "minmax":
            return inner.min(axis=0), np.ptp(inner, axis=0)
        return inner.mean(axis=0), inner.std(axis=0)

    def check_varies(self, train: np.ndarray) -> None:
        """Checks that each series varies in the training part `train` (N, S), so that it has a scale.

        Raises:
            UserError: a series is constant, or varies so little that its scale is 0 in float32.
        """
        inner = np.log(train) if self.kind == "log" else train
        scales = np.minimum(self._shift_and_scale(inner)[1], train.std(axis=0)).astype(np.float32)
        for name, values, scale in zip(self.names, inner.T, scales, strict=True):
            if np.ptp(values) == 0:
                raise UserError(f"series {name} is constant in the training part: leave it out or change data.split")
            if scale == 0:
                raise UserError(
                    f"series {name} varies by only {np.ptp(values):.1e} in the training part, too little for float32: "
                    "multiply it by a constant, or leave it out"
                )

    def check_resolution(self, train: np.ndarray) -> None:
        """Checks that float32, in which models compute, can tell one step of a series from the next.

        Raises:
            UserError: the scaled values of a series are far larger than its steps.
        """
        inner = np.log(train) if self.kind == "log" else train
        shift, scale = self._shift_and_scale(inner)
        largest = np.abs((inner - shift) / scale).max(axis=0)
        steps = np.abs(np.diff(inner, axis=0)).mean(axis=0) / scale
        for name, value, step in zip(self.names, largest, steps, strict=True):
            if value * 2.0**-24 > 0.01 * step:
                raise UserError(
                    f"data.scaling={self.kind}: float32 cannot tell the steps of series {name} apart, which are "
                    f"{step / value:.1e} of its level: choose data.scaling=standard, or subtract its mean"
                )

    def check_values(self, values: np.ndarray) -> None:
        """Checks that values (N, S) can be scaled.

        Raises:
            UserError: a value is too large for float32, or has no logarithm under log scaling.
        """
        rules = [(np.abs(values) > LARGEST, "values are too large for float32, divide the series by a constant")]
        if self.kind == "log":
            rules.append((values <= 0, "data.scaling=log needs positive values"))
        for wrong, rule in rules:
            rows, columns = np.nonzero(wrong)
            if len(rows):
                name, value = self.names[columns[0]], values[rows[0], columns[0]]
                raise UserError(f"{rule}: {name} is {value:g} in row {rows[0]} of the data")

    def forward(self, values: np.ndarray) -> Tensor:
        """From original units (N, S) to scaled ones, float32; the arithmetic is in float64."""
        inner = np.log(values) if self.kind == "log" else values
        shift, scale = self.shift.cpu().double(), self.scale.cpu().double()
        # A writable array: pandas gives read-only ones, and PyTorch warns about them.
        return ((torch.from_numpy(np.require(inner, requirements=["C", "W"])) - shift) / scale).float()

    def inverse(self, scaled: Tensor) -> Tensor:
        """From scaled units (..., S) to original ones, float64 on the CPU."""
        inner = scaled.detach().cpu().double() * self.scale.cpu().double() + self.shift.cpu().double()
        return inner.exp() if self.kind == "log" else inner

    def changed(self, last: np.ndarray, change: Tensor) -> np.ndarray:
        """Values (N, H, S) or (N, H, S, Q), in original units, that differ from `last` (N, S) by a scaled change.

        A change of zero gives exactly the last value, however large it is: float32 only rounds the change.
        """
        shape = (len(last), 1, -1, *[1] * (change.dim() - 3))
        inner = change.detach().cpu().double() * self.scale.cpu().double().reshape(1, 1, *shape[2:])
        values = torch.tensor(last).reshape(shape)
        return (values * inner.exp() if self.kind == "log" else values + inner).numpy()

    def size(self, scaled: Tensor) -> Tensor:
        """Returns the size of scaled values (..., S), in scaled units; a percentage error is relative to it."""
        return torch.ones_like(scaled) if self.kind == "log" else (scaled + self.shift / self.scale).abs()

    def normalize(self, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Splits windows (B, T, S) into their shape, their last value and their deviation (B, 1, S).

        The deviation is at least one mean absolute step of the training part: a constant window has one too.
        """
        if not self.instance_norm:
            return past, past.new_zeros(()), past.new_ones(())
        last = past[:, -1:]
        deviation = past.std(dim=1, keepdim=True, correction=0)
        deviation = torch.maximum(deviation, self.step.to(past.dtype))
        return (past - last) / deviation, last, deviation
