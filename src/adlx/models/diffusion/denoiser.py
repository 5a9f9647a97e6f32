"""The interface of every network that finds the noise in an image, and the embedding of how much noise there is.

Shapes: B batch, C channels, H x W pixels, E embedding.
"""

import math

import torch
from torch import Tensor, nn

from adlx.specs import ImageSpec


class Denoiser(nn.Module):
    """A map from a noisy image and the variance of its noise to the noise.

    A subclass takes the `ImageSpec` first and its own arguments, plain numbers and strings, after it. How images are
    drawn with it is up to a sampler (`adlx.models.diffusion.samplers`).
    """

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, image: Tensor, variance: Tensor) -> Tensor:
        """Noisy images (B, C, H, W), whose clean ones have mean 0 and deviation 1, and the variance of their noise
        (B, 1, 1, 1) to the noise (B, C, H, W), of deviation 1."""
        raise NotImplementedError


def sinusoids(variance: Tensor, dimension: int = 32, lowest: float = 1.0, highest: float = 1000.0) -> Tensor:
    """(B, E) sines and cosines of a noise variance (B, 1, 1, 1), at frequencies in geometric order."""
    exponents = torch.linspace(math.log(lowest), math.log(highest), dimension // 2, device=variance.device)
    angles = 2 * math.pi * exponents.exp() * variance.flatten(1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
