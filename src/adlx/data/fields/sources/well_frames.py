"""Fields that stay in HDF5 files of The Well's layout (`well.py`) until a window of them is read."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from adlx.errors import UserError

FieldLocation = tuple[str, str, int | None]  # group and name of an HDF5 data set, and the component in it


@dataclass
class WellFrames:
    """Frames that stay in their files until a window of them is read.

    Every process opens the files itself, so this object can be pickled and used in forked processes.

    Args:
        trajectories: file of each trajectory, and its number in the file.
        fields: names of the fields, in the order of the last axis.
        locations: location of each field in a file, in the same order.
        swapped: whether the first axis of space is x.
        shape: sizes of the axes of space, in the order of the files.
        mask: (N, cells) bool, true inside bodies, where files may hold NaN; None: no body.
    """

    trajectories: Sequence[tuple[Path, int]]
    fields: tuple[str, ...]
    locations: tuple[FieldLocation, ...]
    swapped: bool
    shape: tuple[int, ...]
    mask: np.ndarray | None = None
    _open: dict[tuple[int, Path], Any] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}

    def read(self, trajectory: int, start: int, stop: int) -> np.ndarray:
        """Reads (stop - start, cells, fields) float32; NaN and infinity inside bodies become 0.

        Raises:
            UserError: the file cannot be read, or holds NaN or infinity outside of bodies.
        """
        path, number = self.trajectories[trajectory]
        try:
            values = self._read_fields(path, number, start, stop)
        except (OSError, RuntimeError) as error:  # h5py raises these for truncated and damaged files
            raise UserError(f"{path} cannot be read as HDF5 ({' '.join(str(error).split())[:100]})") from error
        if np.isfinite(values).all():
            return values
        if self.mask is not None:
            body = self.mask[trajectory]
            values[:, body] = np.where(np.isfinite(values[:, body]), values[:, body], 0)
        wrong = np.argwhere(~np.isfinite(values))
        if len(wrong):
            step, cell, field = wrong[0].tolist()
            value = "NaN" if np.isnan(values[step, cell, field]) else "infinite"
            raise UserError(
                f"{path}: {self.fields[field]} is {value} in trajectory {number}, time step {start + step} (both "
                f"counted from 0), cell {cell}: put a number there, or set the mask to 1 in cells without fluid"
            )
        return values

    def _read_fields(self, path: Path, number: int, start: int, stop: int) -> np.ndarray:
        if (os.getpid(), path) not in self._open:
            self._open[os.getpid(), path] = h5py.File(path, "r")
        file = self._open[os.getpid(), path]
        stop = min(stop, file["dimensions/time"].shape[-1])
        values = np.empty((stop - start, int(np.prod(self.shape)), len(self.locations)), np.float32)
        loaded: dict[tuple[str, str], np.ndarray] = {}
        for column, (group, name, component) in enumerate(self.locations):
            if (group, name) not in loaded:
                data = file[group][name]
                index = (number,) * bool(is_varying(data, "sample")) + (slice(start, stop),)
                varying, order = data.attrs.get("dim_varying"), 0 if component is None else 1
                loaded[group, name] = flatten_cells(data[index], varying, self.shape, self.swapped, order)
            part = loaded[group, name]
            values[..., column] = part if component is None else part[..., component]
        return values


def is_varying(data: Any, axis: str, default: bool = True) -> bool:
    """Whether an HDF5 data set has the axis `sample` or `time`; `default` if the file has no such attribute."""
    return bool(data.attrs.get(f"{axis}_varying", default))


def flatten_cells(
    part: np.ndarray, varying: Sequence[bool] | None, shape: tuple[int, ...], swapped: bool, order: int = 0
) -> np.ndarray:
    """Reshapes (time, axes of space, ...) to (time, cells, ...), and repeats values along constant axes.

    Args:
        part: the values.
        varying: whether the field varies along each axis of space; a constant axis has length 1 or is missing.
        shape: sizes of the axes of space.
        swapped: whether the first axis of space is x.
        order: number of axes of components at the end.
    """
    if len(shape) == 2:
        for axis, varies in enumerate(varying if varying is not None else (True, True), start=1):
            if not varies and part.ndim < 3 + order:
                part = np.expand_dims(part, axis)
        part = np.broadcast_to(part, (len(part), *shape, *part.shape[3:]))
        part = part.swapaxes(1, 2) if swapped else part
    return part.reshape(len(part), int(np.prod(shape)), *part.shape[len(shape) + 1 :])
