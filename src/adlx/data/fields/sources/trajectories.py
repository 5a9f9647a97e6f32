"""Trajectories of physical fields: what every source of them gives, whether in memory or read as it is needed."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Frames(Protocol):
    """Fields of several trajectories, all or part of which may lie on a disk."""

    def read(self, trajectory: int, start: int, stop: int) -> np.ndarray:
        """(stop - start, cells, fields) float32 of the time steps from `start` to before `stop`."""
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
        frames: their values.
        lengths: (N,) time steps of each trajectory.
        fields: names, in the order of the last axis, such as u, v, p.
        groups: indices of fields that belong together, such as ((0, 1), (2,)).
        grid: rows and columns; the cells follow row by row (y, then x). None: cells without a grid.
        coordinates: (cells, 2) float64, x and y.
        parameters: (N, P) float32, the numbers of each trajectory, such as its Reynolds number.
        parameter_names: P of them.
        mask: (N, cells) or (1, cells) bool, true inside bodies, where no fluid is; None: nowhere. Fields are 0 there.
        time: (T,) float64, of the longest trajectory.
        source: the word by which users choose it: `simulated`, `bundled`, `openfoam`, `file`, ...
        detail: what exactly, for titles and `run.json`.
        simulated: whether it was solved by a program and not measured.
        parts: (N,) int8, 0 train, 1 validation, 2 test, where the source says; None: to be drawn.
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
        """(len(indices), cells) bool: the mask of some trajectories."""
        if self.mask is None:
            return np.zeros((len(indices), len(self.coordinates)), dtype=bool)
        return self.mask[indices if len(self.mask) > 1 else np.zeros_like(indices)]
