"""Denoising diffusion: a network that finds the noise in an image, and the sampler that draws images with it.

Song, Meng, Ermon (2021), "Denoising Diffusion Implicit Models"; the process is in `adlx.models.diffusion.process`. The study
took the Keras example of that name and put a transformer in the place of its U-Net; both are here, `net=vit` and
`net=unet`.

Shapes: B batch, C channels, H x W pixels.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from adlx.models.diffusion.denoiser import Denoiser, KidFeatures
from adlx.models.diffusion.dit import ViT
from adlx.models.diffusion.unet import UNet
from adlx.specs import ImageSpec


class DDIM(Denoiser):
    """One of the two networks.

    Args:
        spec: of the images, from the data.
        net: `vit`, which takes patch to convolutions, or `unet`, which takes widths and depth.
        patch, width, blocks, heads, positions, conditioning, convolutions: of `adlx.models.diffusion.dit.ViT`.
        widths, depth: of `adlx.models.diffusion.unet.UNet`.
        ema: decay of the moving average of the weights.
        kid_features, kid_images, kid_steps: as in `Denoiser`.
    """

    def __init__(
        self,
        spec: ImageSpec,
        net: Literal["vit", "unet"] = "vit",
        patch: int = 8,
        width: int = 384,
        blocks: int = 8,
        heads: int = 12,
        positions: Literal["sinusoidal", "learned"] = "sinusoidal",
        conditioning: Literal["adaln", "input"] = "adaln",
        convolutions: int = 0,
        widths: Sequence[int] = (32, 64, 96, 128),
        depth: int = 2,
        ema: float = 0.999,
        kid_features: KidFeatures = "auto",
        kid_images: int = 256,
        kid_steps: int = 5,
    ) -> None:
        super().__init__(spec)
        if not 0 <= ema < 1:
            raise ValueError(f"model.ema={ema}: from 0, the weights themselves, to below 1")
        if kid_images < 2 or kid_steps < 1:
            raise ValueError(f"model.kid_images={kid_images}, kid_steps={kid_steps}: at least 2 images and 1 step")
        self.ema = ema
        self.kid_features, self.kid_images, self.kid_steps = kid_features, kid_images, kid_steps
        self.net: Denoiser = (
            ViT(spec, patch, width, blocks, heads, positions, conditioning, convolutions)
            if net == "vit"
            else UNet(spec, widths, depth)
        )

    def forward(self, image: Tensor, variance: Tensor) -> Tensor:
        return self.net(image, variance)
