"""Simulated noisy signals with one bump each.

Shapes: N signals, L samples of a signal.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adlx.data.batches import BatchLoader
from adlx.data.datamodule import DataModule
from adlx.data.splits import PARTS, check_shares
from adlx.errors import UserError
from adlx.specs import Spec


@dataclass(frozen=True)
class SignalSpec(Spec):
    """Shape of a set of signals.

    Args:
        length: L.
    """

    length: int

    words = "signals"


class SignalLoader(BatchLoader):
    """Yields (signals (B, L), positions (B,)), both float32; a position is from 0 to 1."""

    def __init__(self, signals: Tensor, positions: Tensor, indices: Tensor, batch_size: int, **order: Any) -> None:
        super().__init__(indices, batch_size, **order)
        self.signals, self.positions = signals, positions

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.signals[indices], self.positions[indices]


class Signals(DataModule):
    """Signals in memory.

    Args:
        count: N, the number of signals.
        length: L.
        noise: standard deviation of the noise; the bump has height 1.
        simulation_seed: the seed of the signals.
        batch_size: signals in a batch.
        split: shares for training, validation and test.
    """

    model_keys = ("length",)
    view_keys = ("batch_size",)

    def __init__(
        self,
        count: int = 600,
        length: int = 64,
        noise: float = 0.5,
        simulation_seed: int = 0,
        batch_size: int = 32,
        split: tuple[float, float, float] = (0.7, 0.15, 0.15),
    ) -> None:
        super().__init__()
        if min(count, length, batch_size) < 8 or noise < 0:
            raise UserError("data.count, data.length and data.batch_size must be at least 8, data.noise at least 0")
        check_shares(split)
        self.count, self.length, self.noise, self.simulation_seed = count, length, noise, simulation_seed
        self.batch_size, self.split = batch_size, split
        self.signals: np.ndarray | None = None

    @property
    def spec(self) -> SignalSpec:
        return SignalSpec(self.length)

    def setup(self, stage: str) -> None:
        if isinstance(self.expected_spec, SignalSpec) and self.expected_spec.length != self.length:
            expected = self.expected_spec.length
            raise UserError(f"the run was trained on signals of {expected} samples, these have {self.length}")
        if self.signals is None:
            rng = np.random.default_rng(self.simulation_seed)
            self.positions = rng.uniform(0.1, 0.9, self.count).astype(np.float32)
            time = np.linspace(0, 1, self.length)
            bumps = np.exp(-((time - self.positions[:, None]) ** 2) / (2 * 0.05**2))
            self.signals = (bumps + self.noise * rng.normal(size=bumps.shape)).astype(np.float32)

    def indices(self, part: str) -> np.ndarray:
        borders = np.round(np.cumsum([0, *self.split]) * self.count).astype(int)
        position = PARTS.index(part)
        return np.arange(borders[position], borders[position + 1])

    def training_positions(self) -> np.ndarray:
        return self.positions[self.indices("train")]

    def origin(self) -> str:
        return f"{self.count} signals of {self.length} samples (simulated)"

    def about(self) -> dict[str, Any]:
        assert self.signals is not None
        train = self.indices("train")
        digest = hashlib.sha256(self.signals[train].tobytes() + self.positions[train].tobytes())
        return {
            "source": "simulated",
            "detail": f"seed {self.simulation_seed}",
            "simulated": True,
            "samples": {part: len(self.indices(part)) for part in PARTS},
            "fingerprint": digest.hexdigest(),
        }

    def tested(self) -> str:
        return f"{len(self.indices('test'))} signals"

    def train_dataloader(self) -> SignalLoader:
        return self.loader("train", seed=self.seed)

    def val_dataloader(self) -> SignalLoader:
        return self.loader("val")

    def test_dataloader(self) -> SignalLoader:
        return self.loader("test")

    def loader(self, part: str, **order: Any) -> SignalLoader:
        trainer = self.trainer
        device = trainer.strategy.root_device if trainer is not None else torch.device("cpu")
        if trainer is not None:
            order |= {"rank": trainer.global_rank, "world_size": trainer.world_size}
        signals, positions = (torch.from_numpy(values).to(device) for values in (self.signals, self.positions))
        return SignalLoader(signals, positions, torch.from_numpy(self.indices(part)), self.batch_size, **order)
