"""Trajectories of physical fields as a data module: a split by trajectory, and windows of time steps.

Shapes: T time steps, F fields, P parameters.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adlx.data.datamodule import DataModule
from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.data.fields.sources.well import write_well
from adlx.data.fields.windows import FieldLoader
from adlx.data.splits import PARTS, check_at_least, check_shares
from adlx.errors import UserError
from adlx.specs import FieldSpec


class TooFewTrajectories(UserError):
    """There are not enough trajectories for all parts."""


class Fields(DataModule):
    """Windows of trajectories of fields.

    Args:
        batch_size: windows in a batch.
        window: time steps in a training window; None: as many as the model needs, see `use_windows`.
        stride: steps from the start of one training window to the next; None: as the model needs, see `use_windows`.
        horizon: number of time steps that are tested, from the first step of a trajectory; None: all.
        split: shares of the trajectories for training, validation and test, if the source has no parts of its own.
        split_seed: seed of the split. It is not the run's seed, so runs of all seeds are tested on the same data.
        repeat: passes over the training windows in one epoch.
    """

    expected_spec: FieldSpec | None = None
    view_keys = ("batch_size", "stride", "horizon", "repeat")
    model_keys = ("window",)

    def __init__(
        self,
        batch_size: int = 4,
        window: int | None = None,
        stride: int | None = None,
        horizon: int | None = None,
        split: tuple[float, float, float] = (0.75, 0.125, 0.125),
        split_seed: int = 0,
        repeat: int = 1,
    ) -> None:
        super().__init__()
        check_at_least(1, batch_size=batch_size, stride=stride, repeat=repeat)
        check_at_least(2, window=window, horizon=horizon)
        check_at_least(0, split_seed=split_seed)
        check_shares(split)
        self.batch_size, self.window, self.stride, self.horizon = batch_size, window, stride, horizon
        self.split, self.split_seed, self.repeat = split, split_seed, repeat
        self.load_fields = True
        self.trajectories: Trajectories | None = None
        self.indices: dict[str, np.ndarray] = {}

    def load(self) -> Trajectories:
        """Fetches the trajectories from their source; a subclass must write this method."""
        raise NotImplementedError

    @property
    def loaded(self) -> Trajectories:
        if self.trajectories is None:
            raise RuntimeError("call setup() first")
        return self.trajectories

    @property
    def spec(self) -> FieldSpec:
        data = self.loaded
        coordinates = None if data.grid else tuple((float(x), float(y)) for x, y in data.coordinates)
        return FieldSpec(data.fields, data.groups, len(data.coordinates), data.grid, coordinates, data.parameter_names)

    def read(self) -> None:
        """Loads the trajectories; if they are too few to split, all are in the test part."""
        try:
            self.setup("predict")
        except TooFewTrajectories:
            empty = np.zeros(0, dtype=np.int64)
            self.indices = {"train": empty, "val": empty, "test": np.arange(len(self.loaded))}

    def setup(self, stage: str) -> None:
        """Loads and splits the trajectories; a second call does nothing.

        Raises:
            UserError: there are too few trajectories, or they do not fit the trained model.
        """
        if self.indices:
            return
        data = self.trajectories = self.trajectories or self.load()
        if self.expected_spec is not None:
            check_fits_model(data, self.expected_spec)
        parts = data.parts if data.parts is not None else draw_parts(len(data), self.split, self.split_seed)
        indices = {name: np.flatnonzero(parts == number) for number, name in enumerate(PARTS)}
        if empty := [part for part in PARTS if not len(indices[part])]:
            raise TooFewTrajectories(
                f"{data.detail}: no trajectory for the {empty[0]} part of {len(data)} (data.split={list(self.split)}): "
                "give more, or change data.split"
            )
        self.indices = indices

    def check_training_part(self) -> None:
        data = self.loaded
        longest = int(data.lengths[self.indices["train"]].max())
        if self.window and longest < self.window:
            raise UserError(
                f"{data.detail}: data.window={self.window} steps are too many; the longest trajectory has {longest}"
            )
        for part in ("val", "test"):  # reading checks the values; `about` reads the training part
            for _ in self.time_chunks(part):
                pass

    def origin(self) -> str:
        return f"{self.loaded.detail} (simulated)" if self.loaded.simulated else self.loaded.detail

    def about(self) -> dict[str, Any]:
        data = self.loaded
        digest = hashlib.sha256(repr((data.fields, data.groups, data.grid)).encode())
        digest.update(np.ascontiguousarray(data.coordinates).tobytes())
        for trajectory in self.indices["train"].tolist():
            digest.update(data.parameters[trajectory].tobytes() + data.bodies(np.array([trajectory])).tobytes())
            for first, end in time_ranges(int(data.lengths[trajectory])):
                digest.update(np.ascontiguousarray(data.frames.read(trajectory, first, end)).tobytes())
        return {
            "source": data.source,
            "detail": data.detail,
            "simulated": data.simulated,
            "fields": list(data.fields),
            "samples": {part: len(indices) for part, indices in self.indices.items()},
            "steps": int(data.lengths.max()),
            "fingerprint": digest.hexdigest(),
        }

    def tested(self) -> str:
        count = len(self.indices["test"])
        return f"{count} {'trajectory' if count == 1 else 'trajectories'}"

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Computes the mean and standard deviation (F,) of each field over the training part, outside of bodies.

        Chunks are merged by their means and squared deviations (Chan, Golub, LeVeque 1983, "Algorithms for computing
        the sample variance"): a sum of squares would lose a small deviation around a large mean.
        """
        data, count = self.loaded, 0
        mean, squares = np.zeros((2, len(data.fields)))
        for trajectory, frames in self.time_chunks("train"):
            fluid = frames[:, ~data.bodies(np.array([trajectory]))[0]].astype(np.float64)
            new = fluid.shape[0] * fluid.shape[1]
            if new == 0:
                continue
            new_mean = fluid.mean(axis=(0, 1))
            distance, total = new_mean - mean, count + new
            squares += ((fluid - new_mean) ** 2).sum(axis=(0, 1)) + distance**2 * (count * new / total)
            mean, count = mean + distance * (new / total), total
        return mean, np.sqrt(np.maximum(squares / count, 1e-12))

    def time_chunks(self, part: str) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the number and the frames (T, cells, F) of each trajectory of a part, in chunks of time."""
        for trajectory in self.indices[part].tolist():
            for first, end in time_ranges(int(self.loaded.lengths[trajectory])):
                yield trajectory, self.loaded.frames.read(trajectory, first, end)

    def snapshots(self) -> Iterator[np.ndarray]:
        """Yields all frames (T, cells, F) of each training trajectory."""
        for trajectory in self.indices["train"].tolist():
            yield self.loaded.frames.read(trajectory, 0, int(self.loaded.lengths[trajectory]))

    def training_parameters(self) -> np.ndarray:
        """Returns (N, P) the parameters of the training trajectories."""
        return self.loaded.parameters[self.indices["train"]]

    def use_windows(self, window: int | None, overlapping: bool, load_fields: bool = True) -> None:
        """Sets the length and stride of training windows as the model needs them, where the config gives none.

        Args:
            window: time steps in a training window; None: three quarters of the shortest training trajectory, because
                models trained on long windows stay accurate in a rollout.
            overlapping: whether the stride is a twelfth of the window, so that windows overlap, or the whole window.
            load_fields: whether training batches hold the fields. A task that stores encoded fields needs only the
                start of each window.
        """
        self.load_fields = load_fields
        if not len(self.indices["train"]):
            return
        shortest = int(self.loaded.lengths[self.indices["train"]].min())
        if self.window is None:
            self.window = max(2, min(shortest, 3 * shortest // 4 if window is None else window))
        if self.stride is None:
            self.stride = max(1, self.window // 12) if overlapping else self.window

    def windows(self, part: str) -> np.ndarray:
        """Returns (W, 3) trajectory, first step and end: training windows, or whole trajectories of another part."""
        if part == "train":
            self.use_windows(None, overlapping=True, load_fields=self.load_fields)
        rows = []
        for trajectory in self.indices[part].tolist():
            length = int(self.loaded.lengths[trajectory])
            if part != "train":
                rows.append((trajectory, 0, min(length, self.horizon or length)))
            else:
                assert self.window and self.stride
                starts = range(0, length - self.window + 1, self.stride)
                rows += [(trajectory, start, start + self.window) for start in starts]
        return np.array(rows, dtype=np.int64)

    def train_dataloader(self) -> FieldLoader:
        return self.loader("train", self.batch_size, seed=self.seed, repeat=self.repeat, load_fields=self.load_fields)

    def val_dataloader(self) -> FieldLoader:
        return self.loader("val", 1)

    def test_dataloader(self) -> FieldLoader:
        return self.loader("test", 1)

    def whole_trajectories(self, part: str) -> FieldLoader:
        """Loads the trajectories of a part, one per batch."""
        windows = [(trajectory, 0, int(self.loaded.lengths[trajectory])) for trajectory in self.indices[part].tolist()]
        return FieldLoader(self.loaded, np.array(windows), torch.arange(len(windows)), 1)

    def loader(self, part: str, batch_size: int, **order: Any) -> FieldLoader:
        trainer = self.trainer
        ranks: dict[str, Any] = {"rank": trainer.global_rank, "world_size": trainer.world_size} if trainer else {}
        windows = self.windows(part)
        return FieldLoader(self.loaded, windows, torch.arange(len(windows)), batch_size, **order, **ranks)

    def write(self, path: Path, values: np.ndarray, indices: np.ndarray, name: str, start: int = 0) -> None:
        """Writes predicted fields (N, T, cells, F) as HDF5 in the layout of The Well.

        Args:
            path: file to write.
            values: the fields.
            indices: (N,) indices of the trajectories.
            name: name of the data set in the file.
            start: time step of the first frame.
        """
        data = self.loaded
        steps = values.shape[1]
        spacing = data.time[1] - data.time[0] if len(data.time) > 1 else 1.0
        written = Trajectories(
            frames=InMemory(values),
            lengths=np.full(len(values), steps),
            fields=data.fields,
            groups=data.groups,
            grid=data.grid,
            coordinates=data.coordinates,
            parameters=data.parameters[indices],
            parameter_names=data.parameter_names,
            mask=None if data.mask is None else data.bodies(indices),
            time=data.time[0] + spacing * np.arange(start, start + steps),
            source="prediction",
            detail=name,
        )
        write_well(path, written, name)


def draw_parts(count: int, shares: tuple[float, float, float], seed: int) -> np.ndarray:
    """Draws (N,) the part of each trajectory; with three or more, each part has at least one."""
    held = [max(1, round(share * count)) for share in shares[1:]]
    order = np.random.default_rng(seed).permutation(count)
    parts = np.zeros(count, dtype=np.int8)
    parts[order[: held[0]]] = 1
    parts[order[held[0] : sum(held)]] = 2
    return parts


def time_ranges(length: int, steps: int = 64) -> Iterator[tuple[int, int]]:
    """Yields the start and end of each chunk of a trajectory."""
    for first in range(0, length, steps):
        yield first, min(first + steps, length)


def check_fits_model(data: Trajectories, expected: FieldSpec) -> None:
    """Raises UserError if the model was trained on other fields, groups of fields, parameters, or cells."""
    known = (expected.fields, expected.grid, expected.cells)
    given = (data.fields, data.grid, len(data.coordinates))
    if known != given or expected.parameters != data.parameter_names:
        descriptions = [
            f"{', '.join(fields)} on {' x '.join(map(str, grid)) if grid else f'{cells:,} cells'}"
            for fields, grid, cells in (known, given)
        ]
        raise UserError(
            f"the run was trained on {descriptions[0]} with {', '.join(expected.parameters) or 'no parameter'}; "
            f"{data.detail} has {descriptions[1]} with {', '.join(data.parameter_names) or 'no parameter'}"
        )
    if expected.groups != data.groups:
        raise UserError(
            f"the run was trained on the fields in groups {expected.groups}; {data.detail} has {data.groups}"
        )
    if (known_coordinates := expected.coordinates) is not None:
        extent = float(np.ptp(data.coordinates))
        if not np.allclose(known_coordinates, data.coordinates, rtol=0, atol=1e-5 * extent):
            raise UserError(
                f"the run was trained on {expected.cells:,} cells; "
                f"{data.detail} has as many cells with other coordinates"
            )
