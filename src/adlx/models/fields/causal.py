"""Attention along time in which no step sees a later one; a cache stores keys and values of earlier steps.

Vaswani et al. (2017), "Attention Is All You Need", section 3.2, with the positions of Su et al. (2021), "RoFormer:
Enhanced Transformer with Rotary Position Embedding", section 3.2: the pair m of the K features of a head, in
queries and keys, is a complex number z. It is rotated by an angle in proportion to its time t,

    z -> z exp(i w_m t),   w_m = 10000^(-2m/K)

so that attention depends on the difference of two times only. A rollout can thus be longer than a training window.

Shapes: B batch, T time, D width, N heads, K = D / N width of a head.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Cache:
    """Keys and values of all steps so far for each attention of a model, and values that do not change with the step.

    Args:
        length: the maximum number of time steps.

    Attributes:
        steps: how many time steps are stored.
    """

    def __init__(self, length: int) -> None:
        self.length, self.steps = length, 0
        self.keys_values: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self.constant: dict[Callable[[Any], Tensor], Tensor] = {}

    def extend(self, owner: nn.Module, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Stores the newest keys and values (B, N, T, K) of `owner`; returns all of them (B, N, steps + T, K)."""
        if owner not in self.keys_values:
            shape = (*key.shape[:2], self.length, key.shape[3])
            self.keys_values[owner] = (key.new_empty(shape), value.new_empty(shape))
        stop = self.steps + key.shape[2]
        keys, values = self.keys_values[owner]
        keys[:, :, self.steps : stop] = key
        values[:, :, self.steps : stop] = value
        return keys[:, :, :stop], values[:, :, :stop]


def compute_once(cache: Cache | None, function: Callable[[Any], Tensor], argument: Any) -> Tensor:
    """function(argument), which is the same at each time step; with a cache it is computed at the first step only."""
    if cache is None:
        return function(argument)
    if function not in cache.constant:
        cache.constant[function] = function(argument)
    return cache.constant[function]


class CausalAttention(nn.Module):
    """Attention of each step of one sequence to the same and earlier steps of another sequence, or of the same one.

    The output is the concatenated heads, without a projection.

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
        # integers stay exact if the model is converted to bfloat16
        self.register_buffer("pairs", torch.arange(width // heads // 2), persistent=False)

    def forward(self, x: Tensor, memory: Tensor, cache: Cache | None = None) -> Tensor:
        """Attention (B, T, D) of `x` to `memory`, (B, T, D) each.

        Args:
            x, memory: the same time steps; if the cache has steps already, the one step after them.
            cache: is extended. The caller changes `cache.steps`, because several attentions may share a cache.
        """
        steps, start = x.shape[1], 0 if cache is None else cache.steps
        if start and steps > 1:
            raise ValueError(f"the cache has {start} steps: give one more step, not {steps}")
        q, k, v = (
            layer(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, N, T, K)
            for layer, states in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        rotations = compute_once(cache, self.rotations, steps if cache is None else cache.length)[start : start + steps]
        q, k = rotate(q, rotations), rotate(k, rotations)
        if cache is not None:
            k, v = cache.extend(self, k, v)
        dropout = self.dropout if self.training else 0.0
        heads = scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=steps > 1)
        return heads.transpose(1, 2).flatten(2)

    def rotations(self, steps: int) -> Tensor:
        """exp(i w_m t) (T, K / 2) of the first `steps` time steps."""
        frequencies = 10000.0 ** (-self.pairs.float() / len(self.pairs))
        angles = torch.arange(steps, device=frequencies.device)[:, None] * frequencies
        return torch.polar(torch.ones_like(angles), angles)


def rotate(heads: Tensor, rotations: Tensor) -> Tensor:
    """Rotates each pair of features of heads (B, N, T, K), as a complex number, by rotations (T, K / 2)."""
    wide = heads.to(torch.promote_types(heads.dtype, torch.float32))  # complex numbers need at least float32
    pairs = torch.view_as_complex(wide.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotations).flatten(-2).to(heads.dtype)
