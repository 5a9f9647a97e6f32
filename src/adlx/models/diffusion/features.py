"""A small convolutional network whose features are used to compare images; distances of pixels are not suitable.

Bińkowski, Sutherland, Arbel, Gretton (2018), "Demystifying MMD GANs", compare sets of images by the features of an
Inception network; this network replaces it where it is not available.

Shapes: B batch, C channels, H x W pixels, D = 256 features, K classes.
"""

import torch
from torch import Tensor, nn

WIDTHS = (32, 48, 64)


class Features(nn.Module):
    """Three strided convolutions; the output is averaged over a grid of 2 x 2 cells.

    With random weights the features depend on edges and textures; after training with a linear layer on top, they
    depend on what distinguishes the classes.

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
        """Scales the features so that their root mean square over these images (B, C, H, W) is 1.

        All features have one scale: with a scale of its own, a feature that hardly varies among real images would
        dominate all distances.
        """
        self.scale.fill_(1)
        self.scale.copy_(self(images).square().mean().sqrt().clamp(min=1e-6))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) from 0 to 1 to features (B, D)."""
        return self.layers(2 * images.to(self.scale) - 1) / self.scale
