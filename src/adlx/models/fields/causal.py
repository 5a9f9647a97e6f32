"""Attention along time in which no step sees a later one, with what earlier steps left kept between calls.

Vaswani et al. (2017), "Attention Is All You Need", section 3.2, with the positions of Su et al. (2021), "RoFormer:
Enhanced Transformer with Rotary Position Embedding", section 3.2: the pair m of the K features of a head, of query and
key alike, is a complex number z, which is turned by an angle in proportion to its time t,

    z -> z exp(i w_m t),   w_m = 10000^(-2m/K)

so that what a query finds depends on how long ago a step was, and not on when: time goes on beyond a training window.

Shapes: B batch, T time, D width, N heads, K = D / N width of a head.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Cache:
    """Keys and values that each attention of a model has computed, of all steps so far, and what is the same in all.

    Args:
        length: the most time steps there will be.

    Attributes:
        steps: how many there are.
    """

    def __init__(self, length: int) -> None:
        self.length, self.steps = length, 0
        self.held: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self.constant: dict[Callable[[Any], Tensor], Tensor] = {}

    def extend(self, owner: nn.Module, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, N, steps + T, K) of `owner`, of which these (B, N, T, K) are the newest."""
        if owner not in self.held:
            shape = (*key.shape[:2], self.length, key.shape[3])
            self.held[owner] = (key.new_empty(shape), value.new_empty(shape))
        stop = self.steps + key.shape[2]
        kept = self.held[owner]
        for place, new in zip(kept, (key, value), strict=True):
            place[:, :, self.steps : stop] = new
        return kept[0][:, :, :stop], kept[1][:, :, :stop]


def once(cache: Cache | None, owner: Callable[[Any], Tensor], given: Any) -> Tensor:
    """owner(given), which does not depend on the time step: with a cache, computed at the first alone."""
    if cache is None:
        return owner(given)
    if owner not in cache.constant:
        cache.constant[owner] = owner(given)
    return cache.constant[owner]


class CausalAttention(nn.Module):
    """What each step of one sequence finds in the steps up to it of another, or of itself. Out come the heads side
    by side; a projection of them is the caller's.

    Args:
        width: D, a multiple of 2 N.
        heads: N.
        dropout: on the attention weights.
    """

    pairs: Tensor

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        # whole numbers, which stay as they are where a model is made bfloat16
        self.register_buffer("pairs", torch.arange(width // heads // 2), persistent=False)

    def forward(self, x: Tensor, memory: Tensor, cache: Cache | None = None) -> Tensor:
        """(B, T, D), of `x` in `memory`, both (B, T, D).

        Args:
            x, memory: the same time steps. With a cache that holds some already, the one step after these.
            cache: is extended; its count of steps is left to the caller, who may have several attentions.
        """
        steps, start = x.shape[1], 0 if cache is None else cache.steps
        if start and steps > 1:
            raise ValueError(f"after {start} steps in the cache comes one more, not {steps}")
        q, k, v = (
            layer(of).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, N, T, K)
            for layer, of in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        turns = once(cache, self.turns, steps if cache is None else cache.length)[start : start + steps]
        q, k = turned(q, turns), turned(k, turns)
        if cache is not None:
            k, v = cache.extend(self, k, v)
        dropout = self.dropout if self.training else 0.0
        mixed = scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=steps > 1)
        return mixed.transpose(1, 2).flatten(2)

    def turns(self, steps: int) -> Tensor:
        """(T, K / 2) exp(i w_m t) of the first so many steps."""
        frequencies = 10000.0 ** (-self.pairs.float() / len(self.pairs))
        angles = torch.arange(steps, device=frequencies.device)[:, None] * frequencies
        return torch.polar(torch.ones_like(angles), angles)


def turned(heads: Tensor, turns: Tensor) -> Tensor:
    """(B, N, T, K), each pair of features, as a complex number, turned by the angle of its time and frequency."""
    wide = heads.to(torch.promote_types(heads.dtype, torch.float32))  # there are no complex numbers of less
    pairs = torch.view_as_complex(wide.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).to(heads.dtype)
