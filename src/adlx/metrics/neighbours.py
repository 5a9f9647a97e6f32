"""Whether drawn images are copies: how near each is to the training image that is nearest to it.

Shapes: N images, M training images, C channels, H x W pixels.
"""

import torch
from torch import Tensor

from adlx.specs import SampleBatches

PART = 2048


def nearest(images: Tensor, training: SampleBatches) -> tuple[Tensor, Tensor]:
    """Places (N,) of the nearest training images, and distances (N,): root mean square differences of pixels, 0 to 1.

    Args:
        images: (N, C, H, W) uint8.
        training: (M, C, H, W) uint8, read part by part.
    """
    flat = images.flatten(1).float() / 255
    best = torch.full((len(images),), torch.inf)
    position = torch.zeros(len(images), dtype=torch.int64)
    for number, part in enumerate(training.split(PART)):
        # |a|^2 - 2 a b + |b|^2, in one product, is too coarse for copies: they would not come out as 0.
        distances = torch.cdist(flat, part.flatten(1).float() / 255, compute_mode="donot_use_mm_for_euclid_dist")
        distance, at = distances.min(dim=1)
        position = torch.where(distance < best, at + number * PART, position)
        best = torch.minimum(distance, best)
    return position, best / flat.shape[1] ** 0.5
