"""Vector-quantised variational autoencoder.

van den Oord, Vinyals, Kavukcuoglu (2017), "Neural Discrete Representation Learning": an encoder computes a vector z
for each cell, equation 2 replaces it by the nearest vector e of a codebook, and a decoder computes the image,

    z_q = e_k,   k = argmin_j ||z - e_j||,      loss = ||x - decoder(z_q)||^2 + c ||z - sg(z_q)||^2

(equation 3; the gradient of z is that of z_q, a straight-through estimate). Gradients do not train the codebook: each
code is a moving average of the vectors z nearest to it (appendix A.1). A code that is hardly used is replaced by one of
the vectors z. The encoder has two convolutions of stride 2 and residual blocks (section 4.1); the decoder mirrors it.

Shapes: B batch, C channels, H x W pixels, h = H / 4, w = W / 4 cells, D dimension of a code.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from vector_quantize_pytorch import VectorQuantize

from adlx.models.classification.autoencoder import Autoencoder, Reconstruction
from adlx.ranges import CountOrZero, NonNegative, Share, Size, SizeFromTwo
from adlx.specs import ImageSpec


class VQVAE(Autoencoder):
    """The autoencoder.

    Args:
        spec: of the images, from the data; height and width are multiples of 4.
        hidden: channels inside encoder and decoder.
        blocks: residual blocks of the encoder, and of the decoder.
        codes: size of the codebook.
        dimension: D.
        decay: of the moving averages.
        commitment: c.
        revive_below: a code is replaced if fewer vectors of a batch than this are nearest to it, by the moving average.
    """

    def __init__(
        self,
        spec: ImageSpec,
        hidden: SizeFromTwo = 64,
        blocks: CountOrZero = 2,
        codes: Size = 256,
        dimension: Size = 128,
        decay: Share = 0.9,
        commitment: NonNegative = 0.25,
        revive_below: NonNegative = 5.0,
    ) -> None:
        super().__init__(spec)
        height, width = spec.size
        if height % 4 or width % 4:
            raise ValueError(f"model=vqvae halves images twice: {height} x {width} pixels are not multiples of 4")
        self.encoder = nn.Sequential(
            nn.Conv2d(spec.channels, hidden // 2, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden // 2, hidden, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, kernel_size=3, padding=1),
            *(VQVAEResidual(hidden) for _ in range(blocks)),
            nn.ReLU(),
            nn.Conv2d(hidden, dimension, kernel_size=1),
        )
        self.quantizer_arguments: dict[str, Any] = {
            "dim": dimension,
            "codebook_size": codes,
            "decay": decay,
            "commitment_weight": commitment,
            "threshold_ema_dead_code": revive_below,
            "kmeans_init": True,  # on the first batch
            "rotation_trick": False,  # the straight-through estimate of the paper
            "accept_image_fmap": True,
        }
        self.quantizer = VectorQuantize(**self.quantizer_arguments)
        self.decoder = nn.Sequential(
            nn.Conv2d(dimension, hidden, kernel_size=3, padding=1),
            *(VQVAEResidual(hidden) for _ in range(blocks)),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden, hidden // 2, kernel_size=4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden // 2, spec.channels, kernel_size=4, stride=2, padding=1),
        )

    @property
    def codebook(self) -> Tensor:
        return cast(Tensor, self.quantizer.codebook)

    def share_codebook(self) -> None:
        state = self.quantizer.state_dict()
        self.quantizer = VectorQuantize(**self.quantizer_arguments, sync_codebook=True).to(self.codebook.device)
        self.quantizer.load_state_dict(state)

    def encode(self, images: Tensor) -> Tensor:
        return self.quantizer(self.encoder(images))[1]

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(self.codebook[codes].permute(0, 3, 1, 2))

    def forward(self, images: Tensor) -> Reconstruction:
        cells = self.encoder(images)  # (B, D, h, w)
        with torch.autocast(images.device.type, enabled=False):  # distances and averages need full precision
            quantized, codes, penalty = self.quantizer(cells.float())
        return Reconstruction(self.decoder(quantized.to(cells.dtype)), codes, penalty.sum())


class VQVAEResidual(nn.Module):
    """x + conv1x1(relu(conv3x3(relu(x)))), section 4.1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.narrow = nn.Conv2d(width, width, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(relu(self.wide(relu(x))))
