"""Batches of samples, in an order that depends on the seed and the epoch alone."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor


class BatchLoader:
    """Yields batches of the samples at `indices`.

    Batch `step` of `epoch` depends on (seed, epoch, step) alone and on no global random state. A resumed run therefore
    continues with the batch that it would have seen. A batch is read at once, without workers. Lightning calls
    `set_epoch`, the task calls `start_at`.

    Args:
        indices: indices of the samples, in their original order; `gather` reads the samples at them.
        batch_size: samples in a batch of one process.
        seed: seed of the shuffle; None keeps the original order.
        repeat: passes over the samples in one epoch, each in an order of its own.
        rank, world_size: this process reads every world_size-th sample. All processes read the same number of samples,
            so that none waits for another. For this some samples are read twice, as in DistributedSampler.
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
        """Reads the batch of the samples at `indices`."""
        raise NotImplementedError

    @property
    def surplus(self) -> int:
        """Number of samples at the end of this process's pass that another process reads too, for equal shares."""
        return max(0, self.share - len(range(self.rank, len(self.indices), self.world_size)))

    @property
    def batch_sampler(self) -> SimpleNamespace:
        """Lightning looks here for an object with `set_epoch`."""
        return SimpleNamespace(sampler=self)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def start_at(self, epoch: int, step: int) -> None:
        """Makes the next iteration over `epoch` begin with `step`, for a run that is resumed there."""
        self.resumed = (epoch, step)

    def __len__(self) -> int:
        return self.repeat * self.pass_batches

    def order(self, number: int) -> Tensor:
        """Indices of this process's samples in pass `number`, counted from the start of training."""
        indices = self.indices
        if self.seed is not None:
            indices = self.shuffled(torch.Generator().manual_seed(self.seed * 1_000_003 + number))
        padded = indices.repeat(-(-self.share * self.world_size // len(indices)))[: self.share * self.world_size]
        return padded[self.rank :: self.world_size]

    def shuffled(self, generator: torch.Generator) -> Tensor:
        """The indices in random order; a subclass draws its other random numbers from `generator` afterwards."""
        return self.indices[torch.randperm(len(self.indices), generator=generator)]

    def __iter__(self) -> Iterator[Any]:
        first = self.resumed[1] if self.resumed is not None and self.resumed[0] == self.epoch else 0
        self.resumed = None
        order, order_number = None, -1
        for step in range(first, len(self)):
            number = self.epoch * self.repeat + step // self.pass_batches
            if order is None or number != order_number:
                order, order_number = self.order(number), number
            start = step % self.pass_batches * self.batch_size
            yield self.gather(order[start : start + self.batch_size])
