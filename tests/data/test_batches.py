"""The order of batches in several processes and in a resumed run."""

import pytest
import torch

from adlx.data.batches import BatchLoader


class Indices(BatchLoader):
    def gather(self, indices):
        return indices.tolist()


@pytest.mark.parametrize(("count", "world"), [(10, 2), (11, 2), (11, 3), (12, 3), (13, 3), (2, 3), (1, 3)])
@pytest.mark.parametrize("seed", [None, 4])
def test_processes_divide_a_pass_into_equal_shares(count, world, seed):
    """All processes have equally many batches; without the surplus each sample is read once."""
    loaders = [Indices(torch.arange(count), 2, seed, rank=rank, world_size=world) for rank in range(world)]
    passes = [[index for batch in loader for index in batch] for loader in loaders]
    assert {len(indices) for indices in passes} == {-(-count // world)}
    assert sum(loader.surplus for loader in loaders) == -count % world
    own = [indices[: len(indices) - loader.surplus] for indices, loader in zip(passes, loaders, strict=True)]
    assert sorted(index for indices in own for index in indices) == list(range(count))


def test_a_resumed_pass_continues_with_the_next_batch():
    whole = Indices(torch.arange(11), 3, seed=5, repeat=2)
    for epoch in (0, 3):
        whole.set_epoch(epoch)
        batches = list(whole)
        assert len(batches) == len(whole) == 8
        for step in (0, 1, 4, 7):
            part = Indices(torch.arange(11), 3, seed=5, repeat=2)
            part.set_epoch(epoch)
            part.start_at(epoch, step)
            assert list(part) == batches[step:]
            assert list(part) == batches  # the second iteration starts from the beginning
