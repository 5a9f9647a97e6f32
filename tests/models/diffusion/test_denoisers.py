"""The two networks that predict noise."""

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
def test_an_untrained_network_predicts_zero_and_every_weight_gets_a_gradient(spec, network: type[Denoiser], arguments):
    torch.manual_seed(0)
    model = network(spec, **arguments)
    image, variance = batch(spec)
    assert torch.equal(model(image, variance), torch.zeros_like(image))
    for _ in range(3):  # layers that start at zero change one after the other
        model.zero_grad()
        (model(image, variance) - image).square().mean().backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight -= 0.01 * weight.grad.sign()
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())
    assert not torch.equal(
        model(image, variance), model(image, variance / 2)
    )  # the prediction depends on the noise level


def test_number_of_parameters_of_the_study():
    """12 heads, 8 blocks, width 384, patches of 8 x 8 in colour images of 64 x 64 pixels."""
    model = DiT(ImageSpec(3, (64, 64)), patch=8, width=384, blocks=8, heads=12, convolutions=0)
    width, pixels = 384, 3 * 8 * 8
    block = (width + 1) * 3 * width + (width + 1) * width + (width + 1) * 4 * width + (4 * width + 1) * width
    modulation = (width + 1) * 6 * width
    level = 33 * width + (width + 1) * width
    ends = (pixels + 1) * width + (width + 1) * 2 * width + (width + 1) * pixels
    assert sum(weight.numel() for weight in model.parameters()) == 8 * (block + modulation) + level + ends


def test_pixels_of_a_patch_depend_on_that_patch_without_blocks():
    """No blocks and no convolutions connect the patches."""
    torch.manual_seed(0)
    options = {"positions": "sinusoidal", "conditioning": "input", "convolutions": 0}
    net = DiT(GREY, patch=4, width=16, blocks=0, heads=2, **options)
    nn.init.normal_(net.to_pixels.weight)
    image, variance = batch(GREY, 1)
    image.requires_grad_(True)
    net(image, variance)[0, 0, 5, 9].backward()
    is_used = image.grad[0, 0].abs() > 0
    assert is_used[4:8, 8:12].all()
    assert is_used.sum() == 16


def test_convolutions_connect_pixels_of_neighbouring_patches():
    """Without blocks, a pixel depends on pixels up to four away by the skip connection, and on the patches within two
    pixels of it, with two more pixels around them."""
    torch.manual_seed(0)
    options = {"positions": "sinusoidal", "conditioning": "input", "convolutions": 6}
    net = DiT(GREY, patch=4, width=16, blocks=0, heads=2, **options)
    nn.init.normal_(net.after[-1].weight)
    image, variance = batch(GREY, 1)
    image.requires_grad_(True)
    net(image, variance)[0, 0, 5, 9].backward()
    is_used = image.grad[0, 0].abs() > 0
    assert is_used[1:10, 5:14].all()  # skip connection: up to 4 pixels away
    rows, columns = torch.where(is_used)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (
        0,
        9,
        2,
        13,
    )  # patches of rows 3 to 7 and columns 7 to 11, and 2 pixels around them


def test_positions_are_different_for_each_row_and_column():
    table = grid_sinusoids((3, 5), 16)
    assert table.shape == (15, 16)
    assert torch.equal(table[:5, :8], table[:1, :8].expand(5, 8))  # the first row
    assert len(torch.unique(table, dim=0)) == 15


def test_the_unet_halves_and_doubles_the_size_and_concatenates_skips():
    torch.manual_seed(0)
    net = UNet(GREY, widths=[8, 12, 16], depth=2)
    shapes = []
    for block in (*net.down, *net.middle, *net.up):
        block.register_forward_hook(lambda _, args, out: shapes.append((args[0].shape[1], tuple(out.shape[1:]))))
    net(*batch(GREY))
    down = [(40, (8, 16, 16)), (8, (8, 16, 16)), (8, (12, 8, 8)), (12, (12, 8, 8))]
    middle = [(12, (16, 4, 4)), (16, (16, 4, 4))]
    up = [(28, (12, 8, 8)), (24, (12, 8, 8)), (20, (8, 16, 16)), (16, (8, 16, 16))]
    assert shapes == [*down, *middle, *up]


def test_sinusoids_have_geometric_frequencies():
    embedding = sinusoids(torch.tensor([0.25, 0.01]).view(2, 1, 1, 1))
    assert embedding.shape == (2, 32)
    assert embedding[0, 0].item() == pytest.approx(math.sin(2 * math.pi * 0.25))
    assert embedding[1, 15].item() == pytest.approx(math.sin(2 * math.pi * 1000 * 0.01), abs=1e-2)
    assert embedding[1, 17].item() == pytest.approx(math.cos(2 * math.pi * 1000 ** (1 / 15) * 0.01), rel=1e-5)


@pytest.mark.parametrize(
    ("network", "arguments", "line"),
    [
        (DiT, {"patch": 5}, "model.patch=5 does not divide images of 16 x 16 pixels"),
        (DiT, {"patch": 4, "width": 20}, "model.width=20 must be a multiple of model.heads=12 and of 4"),
        (
            DiT,
            {"patch": 4, "convolutions": -1},
            "model.convolutions=-1: must be a number of channels, or 0 for no convolutions",
        ),
        (UNet, {"widths": [8] * 6}, "pixels are not multiples of 32"),
    ],
)
def test_contradictory_arguments_are_refused(network, arguments, line):
    with pytest.raises(ValueError, match=line):
        network(GREY, **arguments)
