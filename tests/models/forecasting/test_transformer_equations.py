"""The encoder equals its equations, and its attention equals that of torch."""

import math

import pytest
import torch
from torch import nn

from adlx.models.forecasting.transformer import Attention, Transformer, TransformerBlock, positional_encoding
from adlx.specs import SeriesSpec

SPEC = SeriesSpec(("a", "b"), context=9, horizon=4)


@pytest.fixture
def past() -> torch.Tensor:
    return torch.randn(3, SPEC.context, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def make(**arguments) -> Transformer:
    torch.manual_seed(1)
    return Transformer(SPEC, **{"hidden": 8, "blocks": 2, "heads": 2, "zero_init": False, **arguments}).double()


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_equals_that_of_torch(heads):
    torch.manual_seed(0)
    own, theirs = Attention(12, heads, 12 // heads), nn.MultiheadAttention(12, heads, batch_first=True)
    with torch.no_grad():
        projections = (own.query, own.key, own.value)
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in projections]))
        theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in projections]))
        theirs.out_proj.load_state_dict(own.output.state_dict())
    x, memory = torch.randn(3, 5, 12), torch.randn(3, 7, 12)
    torch.testing.assert_close(own(x, memory), theirs(x, memory, memory, need_weights=False)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("length", "width"), [(96, 64), (5, 7), (3, 1)])
def test_the_positional_encoding_equals_its_formula(length, width):
    expected = torch.empty(length, width)
    for p in range(length):
        for feature in range(width):
            angle = p / 10000 ** (2 * (feature // 2) / width)
            expected[p, feature] = math.cos(angle) if feature % 2 else math.sin(angle)
    torch.testing.assert_close(positional_encoding(length, width), expected, rtol=0, atol=1e-6)


def attention_by_hand(layer: Attention, x: torch.Tensor, width: int) -> torch.Tensor:
    """The equations, computed window by window and head by head."""
    mixed = []
    for window in x:
        q, k, v = (window @ part.weight.T + part.bias for part in (layer.query, layer.key, layer.value))
        heads = []
        for start in range(0, q.shape[1], width):
            head = slice(start, start + width)
            scores = (q[:, head] @ k[:, head].T / math.sqrt(width)).exp()
            heads.append(scores / scores.sum(dim=1, keepdim=True) @ v[:, head])
        mixed.append(torch.cat(heads, dim=1))
    return torch.stack(mixed) @ layer.output.weight.T + layer.output.bias


def normalised(layer: nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() * layer.weight + layer.bias


def block_by_hand(block: TransformerBlock, x: torch.Tensor, width: int, norm: str) -> torch.Tensor:
    first, second = block.norms
    inner = block.feedforward

    def affine(x: torch.Tensor) -> torch.Tensor:
        x = (x @ inner[0].weight.T + inner[0].bias).clamp(min=0)
        return x if len(inner) == 2 else x @ inner[2].weight.T + inner[2].bias

    if norm == "pre":
        x = x + attention_by_hand(block.attention, normalised(first, x), width)
        return x + affine(normalised(second, x))
    x = normalised(first, x + attention_by_hand(block.attention, x, width))
    return normalised(second, x + affine(x))


@pytest.mark.parametrize("feedforward", [None, 13])
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("readout", ["last", "flatten"])
def test_the_forecast_equals_the_equations(past, norm, feedforward, readout):
    model = make(head_dim=3, norm=norm, feedforward=feedforward, readout=readout)
    for name, parameter in model.named_parameters():
        if "norm" in name:  # so that it matters which of them is applied
            nn.init.normal_(parameter, mean=1.0)
    x = past @ model.embedding.weight.T + model.embedding.bias + positional_encoding(9, 8)
    for block in model.blocks:
        expected = block_by_hand(block, x, 3, norm)
        torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(block(x, last=4), expected[:, -4:], rtol=1e-10, atol=1e-12)
        x = expected
    x = normalised(model.norm, x) if norm == "pre" else x
    if readout == "last":
        expected = x[:, -4:] @ model.head.weight.T + model.head.bias
    else:
        expected = (x.reshape(3, 9 * 8) @ model.head.weight.T + model.head.bias).reshape(3, 4, 2)
    torch.testing.assert_close(model.forecast(past), expected, rtol=1e-6, atol=1e-6)  # positions are float32


def test_the_input_of_the_head_is_normalized():
    """Post-norm normalizes the output of each block; with pre-norm the residual stream grows until the last norm."""
    x = 5 * torch.randn(3, 9, 8, dtype=torch.float64) + 2
    for output, ends_normalised in ((make().blocks[0](x), True), (make(norm="pre").blocks[0](x), False)):
        mean, deviation = output.mean(dim=-1), output.std(dim=-1, correction=0)
        assert bool(mean.abs().max() < 1e-9) is ends_normalised
        assert bool((deviation - 1).abs().max() < 1e-3) is ends_normalised
    assert isinstance(make().norm, nn.Identity)
    torch.testing.assert_close(make(norm="pre").norm(x), nn.functional.layer_norm(x, (8,)), rtol=1e-12, atol=1e-12)


def test_the_forecast_depends_on_order_only_by_the_positional_encoding(past):
    """Attention ignores order: without positions, earlier steps can be permuted."""
    model, shuffled = make().eval(), past[:, [3, 1, 4, 0, 2, 5, 6, 7, 8]]
    assert (model.forecast(shuffled) - model.forecast(past)).abs().max() > 1e-3
    model.positions.zero_()
    torch.testing.assert_close(model.forecast(shuffled), model.forecast(past), rtol=1e-10, atol=1e-12)
    swapped = past[:, [0, 1, 2, 3, 4, 5, 7, 6, 8]]  # two that are read: so do the forecasts from them
    torch.testing.assert_close(model.forecast(swapped), model.forecast(past)[:, [0, 2, 1, 3]], rtol=1e-10, atol=1e-12)


def test_the_forecast_depends_on_every_step_of_the_past(past):
    past.requires_grad_()
    make(blocks=1).forecast(past).square().sum().backward()
    assert past.grad.abs().amax(dim=(0, 2)).min() > 1e-6
