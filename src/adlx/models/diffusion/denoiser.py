"""The interface of every network that finds the noise in an image, and how it is told how much there is.

Shapes: B batch, C channels, H x W pixels, E embedding.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from adlx.specs import ImageSpec

KidFeatures = Literal["auto", "trained", "random", "inception"]
"""Of a small network `trained` on the labels or with `random` weights, by `auto` whichever can be; or of Inception."""


class Denoiser(nn.Module):
    """A map from a noisy image and the variance of its noise to the noise.

    A subclass takes the `ImageSpec` first and its own arguments, plain numbers and strings, after it.

    Attributes:
        ema: decay of the moving average of the weights, which samples are drawn with and scores are of.
        kid_features, kid_images, kid_steps: of the distance by which what it draws is judged: whose features, how many
            images of each kind, and in how many steps they are drawn.
    """

    ema: float = 0.999
    kid_features: KidFeatures = "auto"
    kid_images: int = 256
    kid_steps: int = 5

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
