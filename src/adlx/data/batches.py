"""Batches of what lives in memory, in an order drawn from (seed, epoch)."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor


class BatchLoader:
    """Yields batches of the samples at `indices`.

    No worker, no per-sample indexing, no global random state: batch `step` of `epoch` depends on (seed, epoch, step)
    alone, so a killed run goes on with the batch it would have seen. Lightning calls `set_epoch`, the task `start_at`.

    Args:
        indices: of the samples, as `gather` understands them, in their own order.
        batch_size: samples a batch, of one process.
        seed: None keeps the order; a number shuffles.
        repeat: passes over the samples in one epoch, each in its own order.
        rank, world_size: this process takes every world_size-th sample; all take the same number of them, so that
            none waits for another (some samples are seen twice then, as DistributedSampler does).
    """

    def __init__(
        self,
        indices: Tensor,
        batch_size: int,
        seed: int | None = None,
        repeat: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.indices, self.batch_size = indices, batch_size
        self.seed, self.repeat = seed, repeat
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.resumed: tuple[int, int] | None = None
        self.share = -(-len(indices) // world_size)  # samples of this process in one pass
        self.pass_batches = -(-self.share // batch_size)

    def gather(self, indices: Tensor) -> Any:
        """The batch of the samples at `indices`."""
        raise NotImplementedError

    @property
    def surplus(self) -> int:
        """How many samples at the end of this process's pass are another's, seen twice to make the shares equal."""
        return max(0, self.share - len(range(self.rank, len(self.indices), self.world_size)))

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
        """Places of this process's samples in pass `number` since the beginning of training."""
        indices = self.indices
        if self.seed is not None:
            indices = self.shuffled(torch.Generator().manual_seed(self.seed * 1_000_003 + number))
        padded = indices.repeat(-(-self.share * self.world_size // len(indices)))[: self.share * self.world_size]
        return padded[self.rank :: self.world_size]

    def shuffled(self, generator: torch.Generator) -> Tensor:
        """The indices in an order of the generator's; what else is random in a pass is drawn from it afterwards."""
        return self.indices[torch.randperm(len(self.indices), generator=generator)]

    def __iter__(self) -> Iterator[Any]:
        first = self.resumed[1] if self.resumed is not None and self.resumed[0] == self.epoch else 0
        self.resumed = None
        order, order_number = None, -1
        for step in range(first, len(self)):
            number = self.epoch * self.repeat + step // self.pass_batches
            if order is None or number != order_number:
                order, order_number = self.order(number), number
            at = step % self.pass_batches * self.batch_size
            yield self.gather(order[at : at + self.batch_size])
