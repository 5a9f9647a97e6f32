"""The two networks that find noise."""

import math

import pytest
import torch
from torch import nn

from adlx.models.diffusion.denoiser import Denoiser, sinusoids
from adlx.models.diffusion.dit import DiT, grid_sinusoids
from adlx.models.diffusion.unet import UNet
from adlx.specs import ImageSpec

GREY, COLOUR = ImageSpec(1, (16, 16)), ImageSpec(3, (8, 16))
SMALL = {"patch": 4, "width": 24, "blocks": 2, "heads": 3, "convolutions": 0}


def batch(spec: ImageSpec, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(count, spec.channels, *spec.size, generator=generator)
    return image, torch.rand(count, 1, 1, 1, generator=generator)


@pytest.mark.parametrize("spec", [GREY, COLOUR])
@pytest.mark.parametrize(
    ("network", "arguments"),
    [
        (DiT, SMALL),
        (DiT, {**SMALL, "conditioning": "input"}),
        (DiT, {**SMALL, "positions": "learned"}),
        (DiT, {**SMALL, "convolutions": 5}),
        (UNet, {"widths": [8, 16]}),
    ],
)
def test_it_begins_by_finding_nothing_and_learns_from_everything(spec, network: type[Denoiser], arguments):
    torch.manual_seed(0)
    model = network(spec, **arguments)
    image, variance = batch(spec)
    assert torch.equal(model(image, variance), torch.zeros_like(image))
    for _ in range(3):  # zero layers open one after the other
        model.zero_grad()
        (model(image, variance) - image).square().mean().backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight -= 0.01 * weight.grad.sign()
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())
    assert not torch.equal(model(image, variance), model(image, variance / 2))  # it is told how much noise there is


def test_parameters_of_the_study():
    """Twelve heads, eight blocks, width 384, patches of 8 on 64 x 64 pixels in colour; the count by hand."""
    model = DiT(ImageSpec(3, (64, 64)), patch=8, width=384, blocks=8, heads=12, convolutions=0)
    width, pixels = 384, 3 * 8 * 8
    block = (width + 1) * 3 * width + (width + 1) * width + (width + 1) * 4 * width + (4 * width + 1) * width
    modulated = (width + 1) * 6 * width
    level = 33 * width + (width + 1) * width
    ends = (pixels + 1) * width + (width + 1) * 2 * width + (width + 1) * pixels
    assert sum(weight.numel() for weight in model.parameters()) == 8 * (block + modulated) + level + ends


def test_patches_go_where_they_came_from():
    """With nothing between, a patch's pixels depend on that patch alone."""
    torch.manual_seed(0)
    given = {"positions": "sinusoidal", "conditioning": "input", "convolutions": 0}
    net = DiT(GREY, patch=4, width=16, blocks=0, heads=2, **given)
    nn.init.normal_(net.to_pixels.weight)
    image, variance = batch(GREY, 1)
    image.requires_grad_(True)
    net(image, variance)[0, 0, 5, 9].backward()
    seen = image.grad[0, 0].abs() > 0
    assert seen[4:8, 8:12].all()
    assert seen.sum() == 16


def test_convolutions_carry_over_the_borders_of_patches():
    """With nothing between, the pixels of a patch depend on those within four pixels of it, at each end two, and on
    the patches that these lie in."""
    torch.manual_seed(0)
    given = {"positions": "sinusoidal", "conditioning": "input", "convolutions": 6}
    net = DiT(GREY, patch=4, width=16, blocks=0, heads=2, **given)
    nn.init.normal_(net.after[-1].weight)
    image, variance = batch(GREY, 1)
    image.requires_grad_(True)
    net(image, variance)[0, 0, 5, 9].backward()
    seen = image.grad[0, 0].abs() > 0
    assert seen[1:10, 5:14].all()  # by the skip, 4 around the pixel
    rows, columns = torch.where(seen)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 9, 2, 13)  # patches of 3..7, 7..11, 2 around


def test_positions_tell_rows_from_columns():
    table = grid_sinusoids((3, 5), 16)
    assert table.shape == (15, 16)
    assert torch.equal(table[:5, :8], table[:1, :8].expand(5, 8))  # the first row
    assert len(torch.unique(table, dim=0)) == 15


def test_the_unet_halves_and_doubles():
    torch.manual_seed(0)
    net = UNet(GREY, widths=[8, 12, 16], depth=2)
    seen = []
    for block in (*net.down, *net.middle, *net.up):
        block.register_forward_hook(lambda _, given, out: seen.append((given[0].shape[1], tuple(out.shape[1:]))))
    net(*batch(GREY))
    down = [(40, (8, 16, 16)), (8, (8, 16, 16)), (8, (12, 8, 8)), (12, (12, 8, 8))]
    middle = [(12, (16, 4, 4)), (16, (16, 4, 4))]
    up = [(28, (12, 8, 8)), (24, (12, 8, 8)), (20, (8, 16, 16)), (16, (8, 16, 16))]
    assert seen == [*down, *middle, *up]


def test_sinusoids():
    found = sinusoids(torch.tensor([0.25, 0.01]).view(2, 1, 1, 1))
    assert found.shape == (2, 32)
    assert found[0, 0].item() == pytest.approx(math.sin(2 * math.pi * 0.25))
    assert found[1, 15].item() == pytest.approx(math.sin(2 * math.pi * 1000 * 0.01), abs=1e-2)
    assert found[1, 17].item() == pytest.approx(math.cos(2 * math.pi * 1000 ** (1 / 15) * 0.01), rel=1e-5)


@pytest.mark.parametrize(
    ("network", "arguments", "line"),
    [
        (DiT, {"patch": 5}, "model.patch=5 does not divide images of 16 x 16 pixels"),
        (DiT, {"patch": 4, "width": 20}, "model.width=20 must be a multiple of model.heads=12 and of 4"),
        (DiT, {"patch": 4, "convolutions": -1}, "model.convolutions=-1: how many channels they have, or 0 for none"),
        (UNet, {"widths": [8] * 6}, "pixels are no multiples of 32"),
    ],
)
def test_what_does_not_go_together(network, arguments, line):
    with pytest.raises(ValueError, match=line):
        network(GREY, **arguments)
