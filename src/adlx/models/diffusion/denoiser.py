"""The interface of every network that predicts the noise in an image, and the embedding of the noise level.

Shapes: B batch, C channels, H x W pixels, E embedding.
"""

import math

import torch
from torch import Tensor, nn

from adlx.specs import ImageSpec


class Denoiser(nn.Module):
    """A map from a noisy image and the variance of its noise to the noise.

    The first argument of a subclass is the `ImageSpec`; its other arguments are plain numbers and strings. A sampler
    (`adlx.models.diffusion.samplers`) generates images with it.
    """

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, image: Tensor, variance: Tensor) -> Tensor:
        """Predicts the noise (B, C, H, W), with standard deviation 1, in noisy images (B, C, H, W).

        The clean images have mean 0 and standard deviation 1. The variance (B, 1, 1, 1) is that of the noise in the
        noisy images.
        """
        raise NotImplementedError


def sinusoids(variance: Tensor, dimension: int = 32, lowest: float = 1.0, highest: float = 1000.0) -> Tensor:
    """Sines and cosines (B, E) of a noise variance (B, 1, 1, 1), with frequencies in geometric progression."""
    exponents = torch.linspace(math.log(lowest), math.log(highest), dimension // 2, device=variance.device)
    angles = 2 * math.pi * exponents.exp() * variance.flatten(1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
