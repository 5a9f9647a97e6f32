"""A small convolutional network whose features images are compared by, where distances of pixels would say little.

Bińkowski, Sutherland, Arbel, Gretton (2018), "Demystifying MMD GANs", compare sets of images by the features of an
Inception network; this one takes its place where that is not at hand.

Shapes: B batch, C channels, H x W pixels, D = 256 features, K classes.
"""

import torch
from torch import Tensor, nn

WIDTHS = (32, 48, 64)


class Features(nn.Module):
    """Three strided convolutions, averaged over a grid of 2 x 2 places.

    With weights as they were drawn it answers to edges and textures; trained with a linear layer on top, to what tells
    classes apart.

    Args:
        channels: C.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((channels, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(before, width, kernel_size=3, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.dimension = 4 * WIDTHS[-1]
        self.register_buffer("mean", torch.zeros(self.dimension))
        self.register_buffer("std", torch.ones(self.dimension))

    def fit_scale(self, images: Tensor) -> None:
        """Makes every feature of these images (B, C, H, W) one of mean 0 and deviation 1; a constant one stays 0."""
        self.mean.zero_()
        self.std.fill_(1)
        found = self(images)
        self.mean.copy_(found.mean(dim=0))
        self.std.copy_(found.std(dim=0, correction=0).where(found.std(dim=0, correction=0) > 1e-6, torch.inf))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) from 0 to 1 to (B, D)."""
        return (self.layers(2 * images.to(self.mean) - 1) - self.mean) / self.std
