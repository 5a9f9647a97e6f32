"""A block of `adlx.models.fields.sea`: attention along time, exchange between groups, and a perceptron that is
conditioned on the parameters of the trajectory.

Shapes: B batch, T time, D width.
"""

from typing import Literal

from torch import Tensor, nn

from adlx.models.fields.causal import Cache, CausalAttention, compute_once
from adlx.models.fields.exchange import Exchange

Conditioning = Literal["adaln", "added"]


class SEABlock(nn.Module):
    """Each group attends to its past, the groups exchange, each goes through its perceptron."""

    def __init__(self, attention: list["AttentionLayer"], exchange: Exchange | None, feed: list["FeedForward"]) -> None:
        super().__init__()
        self.attention, self.exchange, self.feed = nn.ModuleList(attention), exchange, nn.ModuleList(feed)

    def forward(self, hidden: list[Tensor], condition: Tensor | None, cache: Cache | None) -> list[Tensor]:
        """Updates the hidden states (B, T, D) of each group, given the embedded parameters (B, 1, D)."""
        hidden = [layer(states, cache) for layer, states in zip(self.attention, hidden, strict=True)]
        if self.exchange is not None:
            hidden = self.exchange(hidden, cache)
        return [layer(states, condition, cache) for layer, states in zip(self.feed, hidden, strict=True)]


class AttentionLayer(nn.Module):
    """h + attention(norm(h)) W."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads, dropout)
        self.out = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))

    def forward(self, hidden: Tensor, cache: Cache | None) -> Tensor:
        normed = self.norm(hidden)
        return hidden + self.out(self.attention(normed, normed, cache))


class FeedForward(nn.Module):
    """`adaln`: h + mlp(norm(h) (1 + scale(c)) + shift(c)); `added`: h + mlp(norm(h)) after h = h + c W."""

    def __init__(self, width: int, units: int, conditioning: Conditioning | None, dropout: float) -> None:
        super().__init__()
        self.is_adaptive = conditioning == "adaln"
        self.norm = nn.LayerNorm(width, elementwise_affine=not self.is_adaptive)
        outputs = 2 * width if self.is_adaptive else width
        self.condition = None if conditioning is None else zero_init(nn.Linear(width, outputs))
        self.mlp = nn.Sequential(nn.Linear(width, units), nn.GELU(), nn.Linear(units, width), nn.Dropout(dropout))

    def forward(self, hidden: Tensor, condition: Tensor | None, cache: Cache | None = None) -> Tensor:
        if self.condition is None or condition is None:
            return hidden + self.mlp(self.norm(hidden))
        if self.is_adaptive:
            scale, shift = compute_once(cache, self.condition, condition).chunk(2, dim=-1)
            return hidden + self.mlp(self.norm(hidden) * (1 + scale) + shift)
        hidden = hidden + compute_once(cache, self.condition, condition)
        return hidden + self.mlp(self.norm(hidden))


def zero_init(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
