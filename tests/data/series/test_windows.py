"""Batches of windows: which, in what order, and from where after a restart."""

import pytest
import torch

from adlx.data.series.windows import WindowLoader

CONTEXT, HORIZON, ROWS = 5, 2, 40
VALUES = torch.stack([torch.arange(ROWS), 1000 + torch.arange(ROWS)], dim=1).float()  # a value names its row
STARTS = torch.arange(3, 30)


def loader(starts: torch.Tensor = STARTS, batch_size: int = 4, **arguments) -> WindowLoader:
    return WindowLoader(VALUES, starts, CONTEXT, HORIZON, batch_size, **arguments)


def firsts(batches) -> list[list[int]]:
    """First rows of the windows, batch by batch."""
    return [past[:, 0, 0].int().tolist() for past, _, _ in batches]


def flat(batches) -> list[int]:
    return [start for batch in firsts(batches) for start in batch]


def test_batches_equal_slices_of_the_series():
    seen = 0
    for past, future, _ in loader(seed=1):
        for i in range(len(past)):
            start = int(past[i, 0, 0])
            assert torch.equal(past[i], VALUES[start : start + CONTEXT])
            assert torch.equal(future[i], VALUES[start + CONTEXT : start + CONTEXT + HORIZON])
            seen += 1
    assert seen == 27


def test_without_a_seed_time_order_is_kept():
    assert firsts(loader(batch_size=10)) == [list(range(3, 13)), list(range(13, 23)), list(range(23, 30))]
    assert len(loader(batch_size=10)) == 3


def test_order_depends_on_seed_and_epoch_alone():
    one, other = loader(seed=5), loader(seed=5)
    torch.manual_seed(0)
    first = firsts(one)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    assert firsts(other) == first == firsts(other)
    assert torch.equal(torch.get_rng_state(), before)  # and the global generator is left alone
    other.set_epoch(1)
    second = firsts(other)
    other.set_epoch(0)
    assert firsts(other) == first
    assert second != first
    assert firsts(loader(seed=6)) not in (first, second)
    jumped = loader(seed=5)
    jumped.set_epoch(1)
    assert firsts(jumped) == second


@pytest.mark.parametrize("batch_size", [1, 4, 27, 100])
def test_each_window_once_a_pass(batch_size):
    batches = firsts(loader(seed=0, batch_size=batch_size))
    assert sorted(start for batch in batches for start in batch) == STARTS.tolist()
    assert len(batches) == len(loader(seed=0, batch_size=batch_size)) == -(-27 // batch_size)
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_repeated_passes_are_epochs_under_another_count():
    """One epoch of three passes draws what three epochs of one pass draw."""
    repeated, single = loader(seed=2, repeat=3), loader(seed=2)
    passes = []
    for epoch in range(6):
        single.set_epoch(epoch)
        passes += firsts(single)
    assert len(repeated) == 3 * len(single)
    both = firsts(repeated)
    repeated.set_epoch(1)
    assert both + firsts(repeated) == passes
    assert len({tuple(batch) for batch in passes}) == len(passes)


@pytest.mark.parametrize(("windows", "world_size"), [(27, 2), (27, 4), (24, 4), (3, 5)])
def test_ranks_share_the_windows(windows, world_size):
    starts = STARTS[:windows]
    parts = [flat(loader(starts, seed=3, rank=rank, world_size=world_size)) for rank in range(world_size)]
    share = -(-windows // world_size)
    assert [len(part) for part in parts] == [share] * world_size  # none waits for another
    every = [start for part in parts for start in part]
    assert set(every) == set(starts.tolist())
    assert len(every) - len(set(every)) == share * world_size - windows  # only what the padding needs is seen twice
    lengths = {len(loader(starts, seed=3, rank=rank, world_size=world_size)) for rank in range(world_size)}
    assert lengths == {-(-share // 4)}


def test_a_new_loader_continues_at_the_given_step():
    whole = loader(seed=4, repeat=2)
    whole.set_epoch(3)
    batches = firsts(whole)
    for step in range(len(whole)):
        resumed = loader(seed=4, repeat=2)
        resumed.start_at(3, step)
        resumed.set_epoch(3)
        assert firsts(resumed) == batches[step:]
        assert firsts(resumed) == batches  # it is for one iteration
        assert len(resumed) == len(batches)


def test_another_epoch_than_the_one_resumed_begins_at_its_start():
    whole, resumed = loader(seed=4), loader(seed=4)
    for each in (whole, resumed):
        each.set_epoch(1)
    resumed.start_at(0, 5)
    assert firsts(resumed) == firsts(whole)


def test_ranks_resume_at_the_same_step():
    for rank in range(2):
        whole = loader(seed=4, rank=rank, world_size=2)
        resumed = loader(seed=4, rank=rank, world_size=2)
        resumed.start_at(0, 2)
        assert firsts(resumed) == firsts(whole)[2:]
