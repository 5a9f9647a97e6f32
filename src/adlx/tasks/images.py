"""Images between tensors and bytes."""

import numpy as np
import torch
from torch import Tensor


def as_bytes(images: Tensor) -> np.ndarray:
    """Images from 0 to 1 as uint8."""
    return (images.float() * 255).round().to(torch.uint8).cpu().numpy()


def from_bytes(images: Tensor) -> Tensor:
    """Images of uint8 as float32 from 0 to 1."""
    return images.float() / 255
