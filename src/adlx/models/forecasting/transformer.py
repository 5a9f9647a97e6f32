"""Transformer encoder that forecasts from its last positions.

Vaswani et al. (2017), "Attention Is All You Need": section 3.2, attention over heads,

    Attention(Q, K, V) = softmax(Q K^T / sqrt(d_k)) V

section 3.5, the positional encoding of position p and feature pair i of d,

    PE(p, 2i) = sin(p / 10000^(2i/d)),   PE(p, 2i+1) = cos(p / 10000^(2i/d))

and section 3.1, blocks of attention and a feed-forward layer, each with a residual connection and LayerNorm
after it (`post`). Xiong et al. (2020), "On Layer Normalization in the Transformer Architecture": LayerNorm before each
(`pre`).

There is no decoder: the encoder reads the context, and its outputs at the last H positions are the next H values.

Shapes: B batch, T context, H horizon, S series, D hidden, N heads, K width of a head.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from adlx.models.forecasting.forecaster import Forecaster, ForecastHead
from adlx.ranges import Count, Share, Size
from adlx.specs import SeriesSpec

NormPosition = Literal["post", "pre"]


class Transformer(Forecaster):
    """The encoder.

    Args:
        spec: series, context and horizon, from the data.
        hidden: width of the residual stream, the paper's d_model.
        blocks: number of blocks of attention and feed-forward layer.
        heads: number of heads of each attention.
        head_dim: width of a head; None: hidden / heads, as in the paper.
        feedforward: hidden units of the feed-forward layer; None: a single affine layer, as in the study.
        dropout: on attention weights, on the output of each layer, and on the embedding.
        norm: `post` or `pre`.
        readout: `last`, each of the last H positions gives one step; `flatten`, all positions together give all steps.
        zero_init: start the head at zero, so that an untrained model with instance normalization is the naive forecast.
    """

    def __init__(
        self,
        spec: SeriesSpec,
        hidden: Size = 64,
        blocks: Count = 3,
        heads: Count = 8,
        head_dim: Size | None = None,
        feedforward: Size | None = None,
        dropout: Share = 0.0,
        norm: NormPosition = "post",
        readout: Literal["last", "flatten"] = "last",
        zero_init: bool = True,
    ) -> None:
        super().__init__(spec)
        sizes = {"hidden": hidden, "blocks": blocks, "heads": heads, "head_dim": head_dim, "feedforward": feedforward}
        for name, size in sizes.items():
            if size is not None and size < 1:
                raise ValueError(f"model.{name}={size}: must be at least 1")
        if head_dim is None and hidden % heads:
            raise ValueError(f"model.hidden={hidden} is not a multiple of model.heads={heads}: set model.head_dim")
        if readout == "last" and spec.horizon > spec.context:
            raise ValueError(
                f"model.readout=last needs a position for each step: data.horizon={spec.horizon} exceeds "
                f"data.context={spec.context}; use model.readout=flatten"
            )
        self.embedding = nn.Linear(len(spec.series), hidden)
        self.register_buffer("positions", positional_encoding(spec.context, hidden), persistent=False)
        self.dropout = nn.Dropout(dropout)
        head_dim = head_dim or hidden // heads
        self.blocks = nn.ModuleList(
            TransformerBlock(hidden, heads, head_dim, feedforward, dropout, norm) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(hidden) if norm == "pre" else nn.Identity()  # a post-norm block ends with a norm
        self.flatten = readout == "flatten"
        self.head = (
            ForecastHead(spec.context * hidden, spec, spec.horizon) if self.flatten else ForecastHead(hidden, spec)
        )
        if zero_init:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    positions: Tensor

    def forecast(self, past: Tensor) -> Tensor:
        x = self.dropout(self.embedding(past) + self.positions)
        for block in self.blocks[:-1]:
            x = block(x)
        x = self.norm(self.blocks[-1](x, last=None if self.flatten else self.spec.horizon))
        return self.head(x.flatten(1) if self.flatten else x)


class TransformerBlock(nn.Module):
    """Self-attention and a feed-forward layer, each added to its input, with a norm after or before.

    With `last` only the outputs of the last positions are computed, because nothing reads the others.
    """

    def __init__(
        self, hidden: int, heads: int, head_dim: int, feedforward: int | None, dropout: float, norm: NormPosition
    ) -> None:
        super().__init__()
        self.attention = Attention(hidden, heads, head_dim, dropout)
        self.feedforward = (
            nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
            if feedforward is None
            else nn.Sequential(nn.Linear(hidden, feedforward), nn.ReLU(), nn.Linear(feedforward, hidden))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        self.pre = norm == "pre"

    def forward(self, x: Tensor, last: int | None = None) -> Tensor:
        """Maps (B, T, D) to (B, T, D), or to (B, last, D)."""
        first, second = self.norms
        start = 0 if last is None else -last
        if self.pre:
            memory = first(x)
            x = x[:, start:] + self.dropout(self.attention(memory[:, start:], memory))
            return x + self.dropout(self.feedforward(second(x)))
        x = first(x[:, start:] + self.dropout(self.attention(x[:, start:], x)))
        return second(x + self.dropout(self.feedforward(x)))


class Attention(nn.Module):
    """Multi-head attention with separate projections for queries, keys, values and output.

    Args:
        hidden: width D of inputs and outputs.
        heads: N.
        head_dim: K; N K may differ from D.
        dropout: on the attention weights.
    """

    def __init__(self, hidden: int, heads: int, head_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(hidden, heads * head_dim)
        self.key = nn.Linear(hidden, heads * head_dim)
        self.value = nn.Linear(hidden, heads * head_dim)
        self.output = nn.Linear(heads * head_dim, hidden)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Attention (B, t, D) of positions `x` (B, t, D) to `memory` (B, T, D)."""
        q, k, v = (
            project(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, N, t or T, K)
            for project, states in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        heads = scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        return self.output(heads.transpose(1, 2).flatten(2))


def positional_encoding(length: int, width: int) -> Tensor:
    """The encoding (length, width), with sine at even features and cosine at odd ones; computed in float64."""
    position = torch.arange(length, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000.0) / width))
    encoding = torch.zeros(length, width, dtype=torch.float64)
    encoding[:, 0::2] = torch.sin(position * rate)
    encoding[:, 1::2] = torch.cos(position * rate[: width // 2])
    return encoding.float()
