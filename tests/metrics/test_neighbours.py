import pytest
import torch

from adlx.metrics import neighbours
from adlx.metrics.neighbours import nearest


def images(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 4, 5), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("part", [7, 2048])  # training images come in parts
def test_the_nearest_of_all(part, monkeypatch):
    monkeypatch.setattr(neighbours, "PART", part)
    drawn, training = images(6, 0), images(30, 1)
    place, distance = nearest(drawn, training)
    differences = (drawn[:, None].double() - training[None].double()).div(255).square().flatten(2).mean(dim=2).sqrt()
    assert torch.equal(place, differences.argmin(dim=1))
    torch.testing.assert_close(distance.double(), differences.min(dim=1).values, rtol=1e-5, atol=0)


def test_a_copy_has_distance_zero():
    training = images(30, 1)
    place, distance = nearest(training[[20, 3]], training)
    assert place.tolist() == [20, 3]
    assert distance.tolist() == [0, 0]
