import pytest
import torch

from adlx.metrics import neighbours
from adlx.metrics.neighbours import nearest


def images(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 4, 5), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("chunk", [7, 2048])  # training images are read in chunks
def test_the_nearest_image_of_all_chunks(chunk, monkeypatch):
    monkeypatch.setattr(neighbours, "CHUNK", chunk)
    generated, training = images(6, 0), images(30, 1)
    index, distance = nearest(generated, training)
    differences = (
        (generated[:, None].double() - training[None].double()).div(255).square().flatten(2).mean(dim=2).sqrt()
    )
    assert torch.equal(index, differences.argmin(dim=1))
    torch.testing.assert_close(distance.double(), differences.min(dim=1).values, rtol=1e-5, atol=0)


def test_a_copy_has_distance_zero():
    training = images(30, 1)
    index, distance = nearest(training[[20, 3]], training)
    assert index.tolist() == [20, 3]
    assert distance.tolist() == [0, 0]
