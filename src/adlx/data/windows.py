"""Batches of windows over series that live in memory: a batch is one gather, in an order drawn from (seed, epoch)."""

from collections.abc import Iterator
from types import SimpleNamespace

import torch
from torch import Tensor


class WindowLoader:
    """Yields (past, future) of shapes (B, context, S) and (B, horizon, S).

    No worker, no per-sample indexing, no global random state: batch `step` of `epoch` depends on (seed, epoch, step)
    alone, so a killed run goes on with the batch it would have seen. Lightning calls `set_epoch`, the task `start_at`.

    Args:
        values: (rows, S), on the device that trains.
        starts: first rows of the windows, in time order.
        context, horizon: lengths in rows.
        batch_size: windows a batch, of one process.
        seed: None keeps time order; a number shuffles.
        repeat: passes over the windows in one epoch, each in its own order.
        rank, world_size: this process takes every world_size-th window; all take the same number of them, so that
            none waits for another (some windows are seen twice then, as DistributedSampler does).
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
        self.values, self.starts = values, starts
        self.context, self.horizon, self.batch_size = context, horizon, batch_size
        self.seed, self.repeat = seed, repeat
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.resumed: tuple[int, int] | None = None
        self.windows = values.unfold(0, context + horizon, 1).transpose(1, 2)  # (rows, context + horizon, S), no copy
        self.share = -(-len(starts) // world_size)  # windows of this process in one pass
        self.pass_batches = -(-self.share // batch_size)

    @property
    def batch_sampler(self) -> SimpleNamespace:
        """Where Lightning looks for something to call `set_epoch` on."""
        return SimpleNamespace(sampler=self)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def start_at(self, epoch: int, step: int) -> None:
        """Lets the next iteration over `epoch` begin with `step`, for a run that is resumed there."""
        self.resumed = (epoch, step)

    def __len__(self) -> int:
        return self.repeat * self.pass_batches

    def order(self, number: int) -> Tensor:
        """Starts of this process's windows in pass `number` since the beginning of training."""
        starts = self.starts
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
            starts = starts[torch.randperm(len(starts), generator=generator)]
        padded = starts.repeat(-(-self.share * self.world_size // len(starts)))[: self.share * self.world_size]
        return padded[self.rank :: self.world_size]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        first = self.resumed[1] if self.resumed is not None and self.resumed[0] == self.epoch else 0
        self.resumed = None
        order, order_number = None, -1
        device = self.values.device
        for step in range(first, len(self)):
            number = self.epoch * self.repeat + step // self.pass_batches
            if order is None or number != order_number:
                order, order_number = self.order(number), number
            at = step % self.pass_batches * self.batch_size
            window = self.windows.index_select(0, order[at : at + self.batch_size].to(device))
            yield window[:, : self.context], window[:, self.context :]
