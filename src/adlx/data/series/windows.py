"""Batches of windows over series that live in memory: a batch is one gather."""

import torch
from torch import Tensor

from adlx.data.batches import BatchLoader


class WindowLoader(BatchLoader):
    """Yields (past, future) of shapes (B, context, S) and (B, horizon, S).

    Args:
        values: (rows, S), on the device that trains.
        starts: first rows of the windows, in time order.
        context, horizon: lengths in rows.
        batch_size, seed, repeat, rank, world_size: as in `BatchLoader`.
    """

    def __init__(
        self,
        values: Tensor,
        starts: Tensor,
        context: int,
        horizon: int,
        batch_size: int,
        seed: int | None = None,
        repeat: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(starts, batch_size, seed, repeat, rank, world_size)
        self.values, self.context, self.horizon = values, context, horizon
        self.windows = values.unfold(0, context + horizon, 1).transpose(1, 2)  # (rows, context + horizon, S), no copy

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        window = torch.index_select(self.windows, 0, indices.to(self.values.device))
        return window[:, : self.context], window[:, self.context :]
