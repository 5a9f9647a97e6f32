"""Attention along time: equals its equations, sees no later step, and gives the same results with a cache."""

import math

import pytest
import torch
from torch import Tensor, nn

from adlx.models.fields.causal import Cache, CausalAttention, rotate


def make(width: int = 12, heads: int = 3) -> CausalAttention:
    torch.manual_seed(0)
    return CausalAttention(width, heads).double()


def sequence(steps: int = 7, width: int = 12, seed: int = 0) -> Tensor:
    return torch.randn(2, steps, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(layer: CausalAttention, x: Tensor, memory: Tensor, first: int = 0) -> Tensor:
    """The equations in loops over pairs of steps; each pair of features is a complex number that is rotated."""

    def affine(layer: nn.Linear, values: Tensor) -> Tensor:
        return values @ layer.weight.T + layer.bias

    def rotate_pairs(values: Tensor, time: int) -> list[complex]:
        angles = [time / 10000 ** (2 * m / len(values)) for m in range(len(values) // 2)]
        pairs = zip(values[::2].tolist(), values[1::2].tolist(), angles, strict=True)
        return [complex(a, b) * complex(math.cos(angle), math.sin(angle)) for a, b, angle in pairs]

    head = x.shape[2] // layer.heads
    out = torch.empty_like(x)
    for batch in range(len(x)):
        for part in (slice(start, start + head) for start in range(0, x.shape[2], head)):
            q = affine(layer.query, x[batch])[:, part]
            k, v = (affine(each, memory[batch])[:, part] for each in (layer.key, layer.value))
            for now in range(x.shape[1]):
                query = rotate_pairs(q[now], first + now)
                scores = []
                for then in range(now + 1):
                    products = zip(query, rotate_pairs(k[then], first + then), strict=True)
                    scores.append(sum((one * other.conjugate()).real for one, other in products) / math.sqrt(head))
                weights = torch.tensor(scores, dtype=torch.float64).softmax(dim=0)
                out[batch, now, part] = weights @ v[: now + 1]
    return out


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_equals_the_equations(heads):
    layer, x, memory = make(heads=heads), sequence(), sequence(seed=1)
    # angles are float32
    torch.testing.assert_close(layer(x, memory), by_hand(layer, x, memory), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer(x, memory), by_hand(layer, x, memory, first=300), rtol=1e-4, atol=1e-5)


def test_attention_does_not_depend_on_later_steps():
    layer, x, memory = make(), sequence(), sequence(seed=1)
    x.requires_grad_(), memory.requires_grad_()
    output = layer(x, memory)
    for step in range(7):
        for gradient in torch.autograd.grad(output[:, step].square().sum(), (x, memory), retain_graph=True):
            assert (gradient[:, step + 1 :] == 0).all()
            assert (gradient[:, step] != 0).any()


def test_attention_depends_on_the_order_of_steps():
    layer, x = make(), sequence()
    swapped = x[:, [1, 0, 2, 3, 4, 5, 6]]
    assert (layer(x, x)[:, 2:] - layer(swapped, swapped)[:, 2:]).abs().min() > 1e-6


def test_steps_with_a_cache_equal_one_pass_over_all_steps():
    first, second = make(), make().requires_grad_(False)
    nn.init.normal_(second.query.weight)
    x, memory = sequence(9), sequence(9, seed=1)
    for start in (1, 4):
        cache = Cache(9)
        outputs: dict[CausalAttention, list[Tensor]] = {first: [], second: []}
        with torch.no_grad():
            for span in [slice(0, start), *(slice(step, step + 1) for step in range(start, 9))]:
                for layer, parts in outputs.items():
                    parts.append(layer(x[:, span], memory[:, span], cache))
                cache.steps = span.stop
        for layer, parts in outputs.items():
            torch.testing.assert_close(torch.cat(parts, dim=1), layer(x, memory), rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="give one more step, not 2"):
        first(x[:, :2], x[:, :2], cache)


def test_rotations_are_exact_in_half_precision():
    """In bfloat16 steps beyond 256 would be rounded to the same angle."""
    layer, half = CausalAttention(12, 3), CausalAttention(12, 3).bfloat16()
    exact = layer.rotations(400)
    torch.set_default_dtype(torch.bfloat16)  # as Lightning's `bf16-true` does
    try:
        assert torch.equal(half.rotations(400), exact)
    finally:
        torch.set_default_dtype(torch.float32)
    heads = torch.randn(2, 3, 400, 4)
    rotated = rotate(heads.bfloat16(), exact)
    assert rotated.dtype == torch.bfloat16
    torch.testing.assert_close(rotated.float(), rotate(heads, exact), rtol=0.02, atol=0.03)
