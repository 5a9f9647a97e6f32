"""The windows that statistics of errors are taken from: few enough, spread over all of a part, alike everywhere."""

from types import SimpleNamespace

import pytest
import torch
from generators import walk_frame

from adlx.data.series.csv import CSV

TRAIN = 70 - 8  # windows of 6 + 3 rows in the first 70 %


@pytest.fixture
def data(write_csv) -> CSV:
    made = CSV(write_csv(walk_frame(100)), context=6, horizon=3, batch_size=7)
    made.setup("fit")
    return made


def sampled(data: CSV, part: str, most: int) -> list[int]:
    """First rows of the sampled windows, in the order in which they come, after a look at what is in them."""
    loader = data.sample(part, most)
    starts = [int(start) for start in loader.order(0)]
    past, future = (torch.cat([getattr(batch, name) for batch in loader]) for name in ("past", "future"))
    scaled = data.scaler(data.values)
    for window, start in enumerate(starts):
        assert torch.equal(torch.cat([past[window], future[window]]), scaled[start : start + 9])
    return starts


@pytest.mark.parametrize(
    ("most", "every"), [(1000, 1), (TRAIN, 1), (TRAIN - 1, 2), (31, 2), (30, 3), (10, 7), (2, 31), (1, 62)]
)
def test_windows_are_evenly_spaced_and_at_most_so_many(data, most, every):
    assert sampled(data, "train", most) == list(range(0, TRAIN, every))
    assert len(range(0, TRAIN, every)) <= most


def test_windows_are_those_of_the_part(data):
    assert sampled(data, "val", 1000) == data.starts("val").tolist()
    data.stride = 4
    assert sampled(data, "train", 8) == list(range(0, TRAIN, 8))


def test_every_process_samples_the_same(data):
    """The loaders that train share the windows out; statistics of errors must not depend on how many processes run."""
    alone = sampled(data, "train", 20)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    for rank in range(2):
        data.trainer = SimpleNamespace(strategy=strategy, global_rank=rank, world_size=2)
        assert sampled(data, "train", 20) == alone
        assert len(data.train_dataloader().order(0)) == TRAIN // 2


def test_a_sample_is_in_time_order_in_every_epoch(data):
    loader = data.sample("train", 20)
    first = [batch.past for batch in loader]
    loader.set_epoch(3)
    assert all(torch.equal(one, other.past) for one, other in zip(first, loader, strict=True))
