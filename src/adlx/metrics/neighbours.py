"""The distance of generated images from their nearest training images, which shows whether they are copies.

Shapes: N images, M training images, C channels, H x W pixels.
"""

import torch
from torch import Tensor

from adlx.specs import SampleBatches

CHUNK = 2048
"""Training images that are compared at once."""


def nearest(images: Tensor, training: SampleBatches) -> tuple[Tensor, Tensor]:
    """Indices (N,) of the nearest training images, and their distances (N,): root mean squares of pixel differences.

    Args:
        images: (N, C, H, W) uint8; a pixel of 255 counts as 1.
        training: (M, C, H, W) uint8, read in chunks.
    """
    flat = images.flatten(1).float() / 255
    best = torch.full((len(images),), torch.inf)
    index = torch.zeros(len(images), dtype=torch.int64)
    for number, chunk in enumerate(training.split(CHUNK)):
        # The faster formula |a|^2 - 2 a b + |b|^2 has rounding errors: the distance of a copy would not be 0.
        distances = torch.cdist(flat, chunk.flatten(1).float() / 255, compute_mode="donot_use_mm_for_euclid_dist")
        distance, in_chunk = distances.min(dim=1)
        index = torch.where(distance < best, in_chunk + number * CHUNK, index)
        best = torch.minimum(distance, best)
    return index, best / flat.shape[1] ** 0.5
