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

    scale: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((channels, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(before, width, kernel_size=3, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.dimension = 4 * WIDTHS[-1]
        self.register_buffer("scale", torch.ones(()))

    def fit_scale(self, images: Tensor) -> None:
        """Makes the features of these images (B, C, H, W) of size 1, root mean square over all of them together.

        Not one by one: a feature that hardly varies among real images would come to rule over all distances.
        """
        self.scale.fill_(1)
        self.scale.copy_(self(images).square().mean().sqrt().clamp(min=1e-6))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) from 0 to 1 to (B, D)."""
        return self.layers(2 * images.to(self.scale) - 1) / self.scale
