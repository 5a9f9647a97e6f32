"""The interface of every autoencoder of images.

Shapes: B batch, C channels, H x W pixels, h x w cells of a code map.
"""

from typing import NamedTuple

from torch import Tensor, nn

from adlx.specs import ImageSpec


class Reconstruction(NamedTuple):
    """What comes out of an autoencoder.

    Args:
        image: (B, C, H, W).
        codes: (B, h, w) whole numbers, the code of each cell.
        penalty: what the model adds to the loss of the image.
    """

    image: Tensor
    codes: Tensor
    penalty: Tensor


class Autoencoder(nn.Module):
    """A map from images over a map of codes back to images.

    A subclass takes the `ImageSpec` first and its own arguments, plain numbers and strings, after it.
    """

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        self.spec = spec

    @property
    def codebook(self) -> Tensor:
        """(codes, dimension) the vector of each code."""
        raise NotImplementedError

    def share_codebook(self) -> None:
        """Lets the processes of a run, now that they know each other, keep one codebook together."""

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to codes (B, h, w)."""
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, h, w) to images (B, C, H, W)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Reconstruction:
        """There and back, images standardised to mean 0 and deviation 1."""
        raise NotImplementedError
