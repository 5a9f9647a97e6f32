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


class TooFew(UserError):
    """There are not enough trajectories for all parts."""


class Fields(DataModule):
    """Windows of fields.

    Args:
        batch_size: windows a batch.
        window: time steps a training window holds; None: as many as the model needs, see `use_windows`.
        stride: steps from the start of one training window to the next; None: what the model needs.
        horizon: time steps of a trajectory that are tested, from its first; None: all.
        split: shares of the trajectories for training, validation and test, where the source does not say which are
            which.
        split_seed: of that draw. It is not the run's seed, so runs of several seeds are tested on the same ones.
        repeat: passes over the training windows an epoch.
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
        """Fetches the trajectories from their source; the one method a subclass must write."""
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
        """Loads; too few trajectories to split are all to be predicted, as the test part."""
        try:
            self.setup("predict")
        except TooFew:
            nothing = np.zeros(0, dtype=np.int64)
            self.indices = {"train": nothing, "val": nothing, "test": np.arange(len(self.loaded))}

    def setup(self, stage: str) -> None:
        """Loads and splits, once.

        Raises:
            UserError: too few trajectories, or time steps, or other fields than a trained model knows.
        """
        if self.indices:
            return
        data = self.trajectories = self.trajectories or self.load()
        if self.expected_spec is not None:
            check_known(data, self.expected_spec)
        parts = data.parts if data.parts is not None else draw(len(data), self.split, self.split_seed)
        indices = {name: np.flatnonzero(parts == number) for number, name in enumerate(PARTS)}
        if empty := [part for part in PARTS if not len(indices[part])]:
            raise TooFew(
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
        for part in ("val", "test"):  # files are checked as they are read; `about` reads the training part
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
            for first, end in chunks(int(data.lengths[trajectory])):
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
        """Mean and deviation (F,) of each field over the training part, outside of bodies.

        Chunks are merged by their means and squared deviations (Chan, Golub, LeVeque 1983, "Algorithms for computing
        the sample variance"): a sum of squares would lose a small variation around a large mean.
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
        """Yields numbers and frames (T, cells, F) of the trajectories of a part, in chunks of time."""
        for trajectory in self.indices[part].tolist():
            for first, end in chunks(int(self.loaded.lengths[trajectory])):
                yield trajectory, self.loaded.frames.read(trajectory, first, end)

    def snapshots(self) -> Iterator[np.ndarray]:
        """(T, cells, F): each training trajectory whole."""
        for trajectory in self.indices["train"].tolist():
            yield self.loaded.frames.read(trajectory, 0, int(self.loaded.lengths[trajectory]))

    def training_parameters(self) -> np.ndarray:
        """(N, P) of the training trajectories."""
        return self.loaded.parameters[self.indices["train"]]

    def use_windows(self, window: int | None, overlapping: bool, load_fields: bool = True) -> None:
        """Sets what a model needs of training windows: their length and stride, where the config gives none.

        Args:
            window: time steps of a training window; None: three quarters of the shortest training trajectory, since a
                model that was trained on such long windows stays accurate in a rollout.
            overlapping: whether windows begin at every twelfth part of one, or at the end of the one before.
            load_fields: whether training batches hold fields, or only where they are, since the task keeps what it
                makes of them.
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
        """(W, 3) trajectory, first step and end: windows of the training part, whole trajectories of the others."""
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

    def whole(self, part: str) -> FieldLoader:
        """The trajectories of a part, one a batch."""
        windows = [(trajectory, 0, int(self.loaded.lengths[trajectory])) for trajectory in self.indices[part].tolist()]
        return FieldLoader(self.loaded, np.array(windows), torch.arange(len(windows)), 1)

    def loader(self, part: str, batch_size: int, **order: Any) -> FieldLoader:
        trainer = self.trainer
        ranks: dict[str, Any] = {"rank": trainer.global_rank, "world_size": trainer.world_size} if trainer else {}
        windows = self.windows(part)
        return FieldLoader(self.loaded, windows, torch.arange(len(windows)), batch_size, **order, **ranks)

    def write(self, path: Path, values: np.ndarray, indices: np.ndarray, name: str, start: int = 0) -> None:
        """Writes fields (N, T, cells, F) of the trajectories at `indices`, from time step `start` on, as HDF5 in the
        layout of The Well."""
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


def draw(count: int, shares: tuple[float, float, float], seed: int) -> np.ndarray:
    """(N,) a part for each trajectory; validation and test have one at least, where there are three."""
    held = [max(1, round(share * count)) for share in shares[1:]]
    order = np.random.default_rng(seed).permutation(count)
    parts = np.zeros(count, dtype=np.int8)
    parts[order[: held[0]]] = 1
    parts[order[held[0] : sum(held)]] = 2
    return parts


def chunks(length: int, most: int = 64) -> Iterator[tuple[int, int]]:
    for first in range(0, length, most):
        yield first, min(first + most, length)


def check_known(data: Trajectories, expected: FieldSpec) -> None:
    """Raises UserError if the model was trained on other fields, other groups of fields, or other cells."""
    known = (expected.fields, expected.grid, expected.cells)
    found = (data.fields, data.grid, len(data.coordinates))
    if known != found or expected.parameters != data.parameter_names:
        descriptions = [
            f"{', '.join(fields)} on {' x '.join(map(str, grid)) if grid else f'{cells:,} cells'}"
            for fields, grid, cells in (known, found)
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
