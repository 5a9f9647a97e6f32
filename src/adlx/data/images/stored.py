"""Samples that stay in their file until a batch of them is read."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


class StoredSamples:
    """The samples at `indices` of an array, which may be a memory-mapped file larger than the memory.

    It is indexed like a tensor (N, ...), but copies only the rows that are read.

    Args:
        values: (M, ...) all samples.
        indices: (N,) rows of `values`.
    """

    def __init__(self, values: np.ndarray, indices: np.ndarray) -> None:
        self.values, self.indices = values, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Reads rows (B,) as a tensor (B, ...)."""
        return read_rows(self.values, self.indices[rows.cpu().numpy() if isinstance(rows, Tensor) else rows])

    def split(self, size: int) -> Iterator[Tensor]:
        """Reads the samples in batches of `size`, one batch at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]


def read_rows(values: np.ndarray, indices: np.ndarray) -> Tensor:
    """Copies only the rows at `indices` into a tensor; `values` may be read-only."""
    return torch.from_numpy(np.asarray(values[indices]))


def writable_tensor(values: np.ndarray) -> Tensor:
    """Makes a tensor that shares the memory of `values`; copies a read-only array, about which PyTorch would warn."""
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))
