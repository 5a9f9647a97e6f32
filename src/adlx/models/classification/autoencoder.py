"""The interface of every autoencoder of images.

Shapes: B batch, C channels, H x W pixels, h x w cells of a code map.
"""

from typing import NamedTuple

from torch import Tensor, nn

from adlx.specs import ImageSpec


class Reconstruction(NamedTuple):
    """The output of an autoencoder.

    Args:
        image: (B, C, H, W).
        codes: (B, h, w) integers, the code of each cell.
        penalty: a scalar that is added to the loss of the image.
    """

    image: Tensor
    codes: Tensor
    penalty: Tensor


class Autoencoder(nn.Module):
    """A map from images to maps of codes, and from these to images.

    The first argument of a subclass is the `ImageSpec`; its other arguments are plain numbers and strings.
    """

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        self.spec = spec

    @property
    def codebook(self) -> Tensor:
        """The vector of each code, (codes, dimension)."""
        raise NotImplementedError

    def share_codebook(self) -> None:
        """Makes the processes of a distributed run use one common codebook; called after the process group exists."""

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) to codes (B, h, w)."""
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, h, w) to images (B, C, H, W)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Reconstruction:
        """Encodes and decodes images (B, C, H, W) that are standardized to mean 0 and standard deviation 1."""
        raise NotImplementedError
