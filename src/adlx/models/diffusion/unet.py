"""Residual U-Net that predicts the noise in an image.

Ronneberger, Fischer, Brox (2015), "U-Net", in the form of the Keras example "Denoising Diffusion Implicit Models"
(Béres 2022): on the way down, residual blocks and average pooling; on the way up, bilinear upsampling and residual
blocks whose input includes the output of the way down at the same size. The embedded noise level is given as additional
channels of the image.

Shapes: B batch, C channels, H x W pixels, E noise embedding.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, silu

from adlx.models.diffusion.denoiser import Denoiser, sinusoids
from adlx.ranges import Count, Size
from adlx.specs import ImageSpec

EMBEDDING = 32


class UNet(Denoiser):
    """The network.

    Args:
        spec: of the images, from the data.
        widths: channels at each size, from the largest images to the smallest.
        depth: residual blocks at each size, down and up.
    """

    def __init__(self, spec: ImageSpec, widths: Sequence[Size] = (32, 64, 96, 128), depth: Count = 2) -> None:
        super().__init__(spec)
        if not widths:
            raise ValueError("model.widths=[]: must have at least one number of channels")
        factor = 2 ** (len(widths) - 1)
        if any(side % factor for side in spec.size):
            height, across = spec.size
            raise ValueError(
                f"model.widths={list(widths)} halves images {len(widths) - 1} times: {height} x {across} pixels are "
                f"not multiples of {factor}"
            )
        *outer, inner = widths
        self.stem = nn.Conv2d(spec.channels, widths[0], kernel_size=1)
        before = widths[0] + EMBEDDING
        self.depth = depth
        self.down = nn.ModuleList()  # `depth` blocks for each size, also on the way up
        for width in outer:
            self.down += blocks(before, width, depth)
            before = width
        self.middle = nn.Sequential(*blocks(before, inner, depth))
        before = inner
        self.up = nn.ModuleList()
        for width in reversed(outer):
            self.up += blocks(before, width, depth, skip=width)
            before = width
        self.out = nn.Conv2d(before, spec.channels, kernel_size=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor, variance: Tensor) -> Tensor:
        level = sinusoids(variance, EMBEDDING).to(image.dtype)[:, :, None, None]
        x = torch.cat([self.stem(image), level.expand(-1, -1, *image.shape[2:])], dim=1)
        skips = []
        for number, block in enumerate(self.down, start=1):
            x = block(x)
            skips.append(x)
            if number % self.depth == 0:
                x = avg_pool2d(x, 2)
        x = self.middle(x)
        for number, block in enumerate(self.up):
            if number % self.depth == 0:
                x = interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skips.pop()], dim=1))
        return self.out(x)


def blocks(before: int, width: int, depth: int, skip: int = 0) -> list[nn.Module]:
    return [UNetResidual((width if index else before) + skip, width) for index in range(depth)]


class UNetResidual(nn.Module):
    """x + conv(silu(conv(norm(x)))), with a 1 x 1 convolution of x if the width changes."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(before, width, kernel_size=1) if before != width else nn.Identity()
        self.norm = nn.BatchNorm2d(before, affine=False)
        self.first = nn.Conv2d(before, width, kernel_size=3, padding=1)
        self.second = nn.Conv2d(width, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(silu(self.first(self.norm(x))))
