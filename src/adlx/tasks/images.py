"""Converts images between floats and bytes."""

import numpy as np
import torch
from torch import Tensor


def as_bytes(images: Tensor) -> np.ndarray:
    """Converts images with values from 0 to 1 to uint8."""
    return (images.float() * 255).round().to(torch.uint8).cpu().numpy()


def from_bytes(images: Tensor) -> Tensor:
    """Converts uint8 images to float32 from 0 to 1."""
    return images.float() / 255
