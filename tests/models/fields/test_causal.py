"""Attention along time: against loops, blind to the future, and the same from a cache."""

import math

import pytest
import torch
from torch import Tensor, nn

from adlx.models.fields.causal import Cache, CausalAttention, turned


def make(width: int = 12, heads: int = 3) -> CausalAttention:
    torch.manual_seed(0)
    return CausalAttention(width, heads).double()


def sequence(steps: int = 7, width: int = 12, seed: int = 0) -> Tensor:
    return torch.randn(2, steps, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(layer: CausalAttention, x: Tensor, memory: Tensor, first: int = 0) -> Tensor:
    """Pair after pair of steps, each pair of features as a complex number that is turned."""

    def affine(of: nn.Linear, values: Tensor) -> Tensor:
        return values @ of.weight.T + of.bias

    def turn(values: Tensor, time: int) -> list[complex]:
        angles = [time / 10000 ** (2 * m / len(values)) for m in range(len(values) // 2)]
        pairs = zip(values[::2].tolist(), values[1::2].tolist(), angles, strict=True)
        return [complex(a, b) * complex(math.cos(angle), math.sin(angle)) for a, b, angle in pairs]

    head = x.shape[2] // layer.heads
    out = torch.empty_like(x)
    for batch in range(len(x)):
        for part in (slice(start, start + head) for start in range(0, x.shape[2], head)):
            q = affine(layer.query, x[batch])[:, part]
            k, v = (affine(of, memory[batch])[:, part] for of in (layer.key, layer.value))
            for now in range(x.shape[1]):
                query = turn(q[now], first + now)
                scores = []
                for then in range(now + 1):
                    products = zip(query, turn(k[then], first + then), strict=True)
                    scores.append(sum((one * other.conjugate()).real for one, other in products) / math.sqrt(head))
                weights = torch.tensor(scores, dtype=torch.float64).softmax(dim=0)
                out[batch, now, part] = weights @ v[: now + 1]
    return out


@pytest.mark.parametrize("heads", [1, 3])
def test_it_equals_the_equations(heads):
    layer, x, memory = make(heads=heads), sequence(), sequence(seed=1)
    # angles are float32
    torch.testing.assert_close(layer(x, memory), by_hand(layer, x, memory), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer(x, memory), by_hand(layer, x, memory, first=300), rtol=1e-4, atol=1e-5)


def test_nothing_comes_from_later_steps():
    layer, x, memory = make(), sequence(), sequence(seed=1)
    x.requires_grad_(), memory.requires_grad_()
    found = layer(x, memory)
    for step in range(7):
        for gradient in torch.autograd.grad(found[:, step].square().sum(), (x, memory), retain_graph=True):
            assert (gradient[:, step + 1 :] == 0).all()
            assert (gradient[:, step] != 0).any()


def test_order_matters():
    layer, x = make(), sequence()
    swapped = x[:, [1, 0, 2, 3, 4, 5, 6]]
    assert (layer(x, x)[:, 2:] - layer(swapped, swapped)[:, 2:]).abs().min() > 1e-6


def test_steps_from_a_cache_equal_those_at_once():
    first, second = make(), make().requires_grad_(False)
    nn.init.normal_(second.query.weight)
    x, memory = sequence(9), sequence(9, seed=1)
    for start in (1, 4):
        cache = Cache(9)
        found: dict[CausalAttention, list[Tensor]] = {first: [], second: []}
        with torch.no_grad():
            for span in [slice(0, start), *(slice(step, step + 1) for step in range(start, 9))]:
                for layer, parts in found.items():
                    parts.append(layer(x[:, span], memory[:, span], cache))
                cache.steps = span.stop
        for layer, parts in found.items():
            torch.testing.assert_close(torch.cat(parts, dim=1), layer(x, memory), rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="comes one more, not 2"):
        first(x[:, :2], x[:, :2], cache)


def test_a_model_in_half_precision_knows_late_steps_apart():
    """In bfloat16 the angles of steps beyond 256 would be rounded to those of others."""
    layer, half = CausalAttention(12, 3), CausalAttention(12, 3).bfloat16()
    exact = layer.turns(400)
    torch.set_default_dtype(torch.bfloat16)  # as Lightning's `bf16-true` does
    try:
        assert torch.equal(half.turns(400), exact)
    finally:
        torch.set_default_dtype(torch.float32)
    heads = torch.randn(2, 3, 400, 4)
    found = turned(heads.bfloat16(), exact)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), turned(heads, exact), rtol=0.02, atol=0.03)
