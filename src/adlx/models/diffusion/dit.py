"""Vision transformer that predicts the noise in an image; the study replaces the U-Net by it.

Dosovitskiy et al. (2021), "An Image is Worth 16x16 Words", section 3.1: an image is divided into patches, each
becomes a token. Peebles, Xie (2023), "Scalable Diffusion Models with Transformers", section 3.2: each block is
conditioned on the noise level by shifts and scales of its normalized tokens and by gates on its outputs, all zero at
the start (AdaLN-zero),

    h = h + gate_1 attention(norm(h) (1 + scale_1) + shift_1),   h = h + gate_2 mlp(norm(h) (1 + scale_2) + shift_2)

A patch gets information about pixels outside of it only by attention. Convolutions, as in the outer levels of a U-Net,
can be added before the image is divided (Xiao et al. 2021, "Early Convolutions Help Transformers See Better") and after
the patches are joined, with a long skip connection between them (Bao et al. 2023, "All are Worth Words", section 3).

Shapes: B batch, C channels, H x W pixels, P patch side, T = (H / P)(W / P) tokens, D width, E noise embedding.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention

from adlx.models.diffusion.denoiser import Denoiser, sinusoids
from adlx.ranges import Count, CountOrZero, Size, SizeOrZero
from adlx.specs import ImageSpec

EMBEDDING = 32


class DiT(Denoiser):
    """The network.

    Args:
        spec: of the images, from the data.
        patch: P; height and width must be multiples of it.
        width: D, a multiple of the heads.
        blocks, heads: their numbers.
        positions: `sinusoidal`, fixed, or `learned`.
        conditioning: `adaln`, as above, or `input`: the noise embedding is added to every token, like the additional
            input channels of the study's network.
        convolutions: channels of two 3 x 3 convolutions before the image is divided and of two after the patches are
            joined; the latter also get the output of the former. 0: none, the image itself is divided into patches.
    """

    def __init__(
        self,
        spec: ImageSpec,
        patch: Size = 4,
        width: Size = 192,
        blocks: CountOrZero = 8,
        heads: Count = 12,
        positions: Literal["sinusoidal", "learned"] = "sinusoidal",
        conditioning: Literal["adaln", "input"] = "adaln",
        convolutions: SizeOrZero = 32,
    ) -> None:
        super().__init__(spec)
        height, across = spec.size
        if height % patch or across % patch:
            raise ValueError(f"model.patch={patch} does not divide images of {height} x {across} pixels")
        if width % heads or width % 4:
            raise ValueError(f"model.width={width} must be a multiple of model.heads={heads} and of 4")
        self.grid = (height // patch, across // patch)
        if convolutions < 0:
            raise ValueError(
                f"model.convolutions={convolutions}: must be a number of channels, or 0 for no convolutions"
            )
        self.before = two_convolutions(spec.channels, convolutions, convolutions) if convolutions else None
        self.after = two_convolutions(2 * convolutions, convolutions, spec.channels) if convolutions else None
        channels = convolutions or spec.channels
        self.to_tokens = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)
        table = grid_sinusoids(self.grid, width)
        if positions == "learned":
            self.positions = nn.Parameter(0.02 * torch.randn(table.shape))
        else:
            self.register_buffer("positions", table, persistent=False)
        self.level = nn.Sequential(nn.Linear(EMBEDDING, width), nn.SiLU(), nn.Linear(width, width))
        self.conditioning = conditioning
        adaptive = conditioning == "adaln"
        self.blocks = nn.ModuleList(DiTBlock(width, heads, adaptive) for _ in range(blocks))
        self.norm = PlainLayerNorm(width) if adaptive else nn.LayerNorm(width)
        self.modulation = nn.Linear(width, 2 * width) if adaptive else None
        self.to_pixels = nn.Linear(width, channels * patch * patch)
        self.patch, self.channels = patch, channels
        last = self.to_pixels if self.after is None else self.after[-1]
        for layer in filter(None, (last, self.modulation)):  # so that the first prediction is zero noise
            for weight in layer.parameters():
                nn.init.zeros_(weight)

    def forward(self, image: Tensor, variance: Tensor) -> Tensor:
        if self.before is not None:
            image = nn.functional.silu(self.before(image))
        tokens = self.to_tokens(image).flatten(2).transpose(1, 2) + self.positions  # (B, T, D)
        tokens = tokens.contiguous()  # otherwise every norm copies them
        level = self.level(sinusoids(variance, EMBEDDING).to(tokens.dtype))  # (B, D)
        if self.conditioning == "input":
            tokens = tokens + level[:, None]
        for block in self.blocks:
            tokens = block(tokens, level)
        tokens = self.norm(tokens)
        if self.modulation is not None:
            shift, scale = self.modulation(nn.functional.silu(level))[:, None].chunk(2, dim=-1)
            tokens = tokens * (1 + scale) + shift
        pixels = self.to_pixels(tokens).view(len(image), *self.grid, self.channels, self.patch, self.patch)
        pixels = pixels.permute(0, 3, 1, 4, 2, 5).reshape(image.shape)
        return pixels if self.after is None else self.after(torch.cat([pixels, image], dim=1))


def two_convolutions(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two convolutions of 3 x 3 pixels that keep the size of the image."""
    first, second = nn.Conv2d(inputs, hidden, 3, padding=1), nn.Conv2d(hidden, outputs, 3, padding=1)
    return nn.Sequential(first, nn.SiLU(), second)


class DiTBlock(nn.Module):
    """Attention and a two-layer MLP with 4 D hidden units, each with a residual connection."""

    def __init__(self, width: int, heads: int, adaptive: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = PlainLayerNorm(width) if adaptive else nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = PlainLayerNorm(width) if adaptive else nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.modulation = nn.Linear(width, 6 * width) if adaptive else None
        if self.modulation is not None:
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def attend(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        qkv = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        return self.out(attention(qkv).reshape(batch, count, width))

    def forward(self, tokens: Tensor, level: Tensor) -> Tensor:
        """Updates tokens (B, T, D), given the embedded noise level (B, D)."""
        if self.modulation is None:
            tokens = tokens + self.attend(self.norm_attention(tokens))
            return tokens + self.mlp(self.norm_mlp(tokens))
        modulation = self.modulation(nn.functional.silu(level))[:, None]  # (B, 1, 6 D)
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = modulation.chunk(6, dim=-1)
        tokens = tokens + gate_1 * self.attend(self.norm_attention(tokens) * (1 + scale_1) + shift_1)
        return tokens + gate_2 * self.mlp(self.norm_mlp(tokens) * (1 + scale_2) + shift_2)


class PlainLayerNorm(nn.Module):
    """Layer norm without weights. PyTorch's kernel for the CPU is twice as fast with ones and zeros as with None."""

    one: Tensor
    zero: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(width), persistent=False)
        self.register_buffer("zero", torch.zeros(width), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return layer_norm(tokens, self.one.shape, self.one, self.zero)


def attention(qkv: Tensor) -> Tensor:
    """Queries, keys and values (B, T, 3, heads, D / heads) to outputs (B, T, heads, D / heads)."""
    if qkv.device.type == "cpu" and qkv.dtype == torch.bfloat16:  # the gradient of float32 takes a third of the time
        with torch.autocast("cpu", enabled=False):
            return attention(qkv.float()).to(qkv.dtype)
    query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))
    return scaled_dot_product_attention(query, key, value).transpose(1, 2)


def grid_sinusoids(grid: tuple[int, int], width: int) -> Tensor:
    """Fixed positions (T, D): sine and cosine of row and column, with a quarter of the width each."""
    frequencies = 10000 ** -torch.arange(0, 1, 4 / width)
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    angles = [index.reshape(-1, 1) * frequencies for index in (rows, columns)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)[:, :width]
