"""The order of batches: of several processes, and of a run that goes on."""

import pytest
import torch

from adlx.data.batches import BatchLoader


class Places(BatchLoader):
    def gather(self, indices):
        return indices.tolist()


@pytest.mark.parametrize(("count", "world"), [(10, 2), (11, 2), (11, 3), (12, 3), (13, 3), (2, 3), (1, 3)])
@pytest.mark.parametrize("seed", [None, 4])
def test_ranks_share_a_pass(count, world, seed):
    """All have as many batches, and without their surplus they have each sample once."""
    loaders = [Places(torch.arange(count), 2, seed, rank=rank, world_size=world) for rank in range(world)]
    passes = [[place for batch in loader for place in batch] for loader in loaders]
    assert {len(found) for found in passes} == {-(-count // world)}
    assert sum(loader.surplus for loader in loaders) == -count % world
    own = [found[: len(found) - loader.surplus] for found, loader in zip(passes, loaders, strict=True)]
    assert sorted(place for found in own for place in found) == list(range(count))


def test_a_pass_goes_on_where_it_was_stopped():
    whole = Places(torch.arange(11), 3, seed=5, repeat=2)
    for epoch in (0, 3):
        whole.set_epoch(epoch)
        batches = list(whole)
        assert len(batches) == len(whole) == 8
        for step in (0, 1, 4, 7):
            part = Places(torch.arange(11), 3, seed=5, repeat=2)
            part.set_epoch(epoch)
            part.start_at(epoch, step)
            assert list(part) == batches[step:]
            assert list(part) == batches  # the next time from the start
