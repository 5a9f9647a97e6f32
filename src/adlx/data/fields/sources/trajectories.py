"""Trajectories of physical fields, in memory or read when they are needed; every source returns them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Frames(Protocol):
    """Fields of several trajectories, which may stay on disk until they are read."""

    def read(self, trajectory: int, start: int, stop: int) -> np.ndarray:
        """Reads (stop - start, cells, fields) float32: the time steps from `start` up to, but without, `stop`."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Args: values: (trajectories, time, cells, fields) float32."""

    values: np.ndarray

    def read(self, trajectory: int, start: int, stop: int) -> np.ndarray:
        return self.values[trajectory, start:stop]


@dataclass(frozen=True)
class Trajectories:
    """Fields on fixed cells over time.

    Args:
        frames: values of the fields.
        lengths: (N,) time steps of each trajectory.
        fields: names of the fields, in the order of the last axis, such as u, v, p.
        groups: indices of fields that belong together, such as ((0, 1), (2,)).
        grid: rows and columns; the cells follow row by row (y, then x). None: cells without a grid.
        coordinates: (cells, 2) float64, x and y.
        parameters: (N, P) float32, parameters of each trajectory, such as its Reynolds number.
        parameter_names: P names.
        mask: (N, cells) or (1, cells) bool, true inside bodies, where no fluid is and fields are 0; None: no body.
        time: (T,) float64, of the longest trajectory.
        source: value of `data.source`, or `file`: `lattice_boltzmann`, `bundled`, `openfoam`, ...
        detail: description for titles and `run.json`.
        simulated: whether adlx, or OpenFOAM for it, solved the flows.
        parts: (N,) int8, 0 train, 1 validation, 2 test, if the source has parts; None: they are drawn.
    """

    frames: Frames
    lengths: np.ndarray
    fields: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    grid: tuple[int, int] | None
    coordinates: np.ndarray
    parameters: np.ndarray
    parameter_names: tuple[str, ...]
    mask: np.ndarray | None
    time: np.ndarray
    source: str
    detail: str
    simulated: bool = False
    parts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def bodies(self, indices: np.ndarray) -> np.ndarray:
        """Returns (len(indices), cells) bool: the masks of the trajectories at `indices`."""
        if self.mask is None:
            return np.zeros((len(indices), len(self.coordinates)), dtype=bool)
        return self.mask[indices if len(self.mask) > 1 else np.zeros_like(indices)]
