"""Vision transformer that finds the noise in an image: what the study put in the U-Net's place.

Dosovitskiy et al. (2021), "An Image is Worth 16x16 Words", section 3.1: an image is cut into patches, each becomes a
token. Peebles, Xie (2023), "Scalable Diffusion Models with Transformers", section 3.2: a block is told the noise level
by shifts and scales of its normalised tokens and by gates on what it adds, all zero at the start (AdaLN-zero),

    h = h + gate_1 attention(norm(h) (1 + scale_1) + shift_1),   h = h + gate_2 mlp(norm(h) (1 + scale_2) + shift_2)

A patch knows nothing of the pixels beside it but through attention. What a U-Net does outermost can be put around the
blocks: convolutions before the cut (Xiao et al. 2021, "Early Convolutions Help Transformers See Better") and after the
patches are joined, with a long skip between them (Bao et al. 2023, "All are Worth Words", section 3).

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
        patch: P; height and width are multiples of it.
        width: D, a multiple of the heads.
        blocks, heads: how many.
        positions: `sinusoidal`, fixed, or `learned`.
        conditioning: `adaln`, as above, or `input`: the noise embedding is added to every token, as the study's
            network was told by channels beside its input.
        convolutions: channels of two convolutions of 3 x 3 before the cut and of two after it, which see what those
            before made of the image too; 0: none, patches are cut from the image itself.
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
            raise ValueError(f"model.convolutions={convolutions}: how many channels they have, or 0 for none")
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
        for layer in filter(None, (last, self.modulation)):  # so that the first guess is no noise at all
            for weight in layer.parameters():
                nn.init.zeros_(weight)

    def forward(self, image: Tensor, variance: Tensor) -> Tensor:
        if self.before is not None:
            image = nn.functional.silu(self.before(image))
        tokens = self.to_tokens(image).flatten(2).transpose(1, 2) + self.positions  # (B, T, D)
        tokens = tokens.contiguous()  # or every norm would copy them
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


def two_convolutions(given: int, between: int, out: int) -> nn.Sequential:
    """Of 3 x 3 pixels, to images of the same size."""
    first, second = nn.Conv2d(given, between, 3, padding=1), nn.Conv2d(between, out, 3, padding=1)
    return nn.Sequential(first, nn.SiLU(), second)


class DiTBlock(nn.Module):
    """Attention and a two-layer MLP of four times the width, each with a residual."""

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
        """(B, T, D), and the embedded noise level (B, D), to (B, T, D)."""
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
    """(B, T, 3, heads, D / heads), queries, keys and values, to (B, T, heads, D / heads)."""
    if qkv.device.type == "cpu" and qkv.dtype == torch.bfloat16:  # its gradient takes three times as long as float32's
        with torch.autocast("cpu", enabled=False):
            return attention(qkv.float()).to(qkv.dtype)
    query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))
    return scaled_dot_product_attention(query, key, value).transpose(1, 2)


def grid_sinusoids(grid: tuple[int, int], width: int) -> Tensor:
    """(T, D) fixed positions: a quarter of the width each for sine and cosine of row and column."""
    frequencies = 10000 ** -torch.arange(0, 1, 4 / width)
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    angles = [place.reshape(-1, 1) * frequencies for place in (rows, columns)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)[:, :width]
