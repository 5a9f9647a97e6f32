"""Low-rank adapters equal their formula and autograd; the start, merging and gradients of adapted models."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, mse_loss

from adlx.models.forecasting.forecaster import ForecastHead
from adlx.models.forecasting.seq2seq import Seq2Seq
from adlx.models.forecasting.transformer import Transformer
from adlx.models.lora import LoRALinear, MergedLinear, adapters, add_lora, merge
from adlx.specs import SeriesSpec

SPEC = SeriesSpec(("a", "b", "c"), context=12, horizon=4)


def encoder(spec: SeriesSpec = SPEC, **arguments) -> Transformer:
    torch.manual_seed(1)
    return Transformer(spec, **{"hidden": 16, "blocks": 2, "heads": 2, "zero_init": False, **arguments})


def decoder() -> Seq2Seq:
    return Seq2Seq(SPEC, hidden=8, zero_init=False)


def windows(spec: SeriesSpec = SPEC, count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    past = torch.randn(count, spec.context, len(spec.series), generator=generator)
    return past, torch.randn(count, spec.horizon, len(spec.series), generator=generator)


def randomize_updates(model: nn.Module) -> None:
    """Sets B to random numbers, as after training."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, layer in adapters(model):
            layer.lora_B.copy_(0.3 * torch.randn(layer.lora_B.shape, generator=generator))


def adapted_layer(width_in: int, width_out: int, rank: int = 3, **arguments) -> LoRALinear:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(width_in, width_out)).double()
    add_lora(model, rank, **arguments)
    randomize_updates(model)
    (layer,) = model
    assert isinstance(layer, LoRALinear)
    return layer


@pytest.mark.parametrize(("rank", "expected"), [(2, 19_740), (8, 78_960), (16, 157_920)])
def test_number_of_trainable_parameters(rank, expected):
    model = Transformer(SeriesSpec(tuple("abcdefg"), 96, 5), blocks=4, head_dim=64)
    assert sum(p.numel() for p in model.parameters()) == 549_319
    names = add_lora(model, rank)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == expected
    assert names == [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    widths = [sum(model.get_submodule(name).weight.shape) for name in names]
    assert len(names) == 22 and expected == rank * sum(widths)


# With few rows on a wide layer the update is added to the output, otherwise to the weight.
SHAPES = [
    ((3,), 3, 5),
    ((2, 3, 7), 7, 5),
    ((4, 10, 64), 64, 48),
    ((3, 64), 64, 48),
    ((2, 1, 64), 64, 48),
    ((64,), 64, 48),
]


@pytest.mark.parametrize(("shape", "width_in", "width_out"), SHAPES)
@pytest.mark.parametrize("rank", [1, 3, 70])
def test_output_and_gradients_equal_the_formula(shape, width_in, width_out, rank):
    layer, x = adapted_layer(width_in, width_out, rank, alpha=5.0), torch.randn(shape, dtype=torch.float64)
    x.requires_grad_()
    expected = linear(x, layer.weight + 5.0 / rank * layer.lora_B @ layer.lora_A, layer.bias)
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    inputs = (x, layer.lora_A, layer.lora_B)
    upstream = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(layer(x), inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_shapes_cover_every_way_to_compute_the_update():
    few = [adapted_layer(i, o).has_few_rows(math.prod(shape) // i) for shape, i, o in SHAPES]
    assert few == [False, False, False, True, True, True]
    low = [[adapted_layer(i, o, rank).has_low_rank() for rank in (1, 3, 70)] for _, i, o in SHAPES[:3]]
    assert low == [[False] * 3, [False] * 3, [True, True, False]]


def test_first_and_second_derivatives_equal_finite_differences():
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 4), (5, 4), (5,), (2, 4), (5, 2)]
    inputs = [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(lambda *tensors: MergedLinear.apply(*tensors, 0.7), inputs)
    assert torch.autograd.gradgradcheck(lambda *tensors: MergedLinear.apply(*tensors, 0.7), inputs)


@pytest.mark.parametrize("rows", [2, 200])
def test_second_derivatives_of_a_layer_equal_autograd(rows):
    """A loss on derivatives differentiates the output by the input, then by the adapter."""
    layer, x = adapted_layer(64, 64, alpha=6.0), torch.randn(rows, 64, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(layer(x).sin().sum(), x, create_graph=True)[0]
    ours = torch.autograd.grad(slope.square().sum(), (layer.lora_A, layer.lora_B))
    expected = linear(x, layer.weight + 2.0 * layer.lora_B @ layer.lora_A, layer.bias)
    slope = torch.autograd.grad(expected.sin().sum(), x, create_graph=True)[0]
    for one, other in zip(ours, torch.autograd.grad(slope.square().sum(), (layer.lora_A, layer.lora_B)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("make", [encoder, decoder, lambda: encoder(readout="flatten")])
def test_a_new_adapter_does_not_change_the_output(make):
    model, (past, future) = make(), windows()
    before = model.eval().forecast(past), model.train()(past, future)
    add_lora(model, rank=4, alpha=9)
    assert torch.equal(model.eval().forecast(past), before[0])
    assert torch.equal(model.train()(past, future), before[1])


def test_only_adapters_receive_gradients():
    model, (past, future) = encoder(), windows()
    names = add_lora(model, rank=2)
    expected = {f"{name}.{side}" for name in names for side in ("lora_A", "lora_B")}
    for is_random in (False, True):
        model.zero_grad()
        mse_loss(model(past, future), future).backward()
        assert {name for name, p in model.named_parameters() if p.grad is not None} == expected
        sizes = {name: p.grad.abs().max() for name, p in model.named_parameters() if p.grad is not None}
        for name, size in sizes.items():  # the bias of the key, whose gradient is zero, has no adapter
            assert (size > 1e-7) == (is_random or name.endswith("lora_B")), name
        randomize_updates(model)


def test_a_is_initialised_as_torch_initialises_a_weight_and_b_is_zero():
    model = encoder()
    torch.manual_seed(11)
    names = add_lora(model, rank=3)
    torch.manual_seed(11)
    for name in names:
        layer = model.get_submodule(name)
        assert torch.equal(layer.lora_A, nn.Linear(layer.in_features, 3, bias=False).weight)
        assert layer.lora_B.shape == (layer.out_features, 3) and not layer.lora_B.any()


@pytest.mark.parametrize("name", [name for name, layer in encoder().named_modules() if isinstance(layer, nn.Linear)])
def test_each_adapter_changes_the_output(name):
    model, past = encoder().eval(), windows()[0]
    before = model.forecast(past)
    assert add_lora(model, rank=2, target=name) == [name]
    randomize_updates(model)
    with torch.no_grad():
        assert (model.forecast(past) - before).abs().max() > 1e-3


@pytest.mark.parametrize("make", [encoder, decoder, lambda: encoder(readout="flatten")])
def test_merged_equals_unmerged(make):
    model, (past, _) = make().eval(), windows()
    keys, classes = list(model.state_dict()), [type(module) for module in model.modules()]
    base = model.forecast(past)
    add_lora(model, rank=3, alpha=8)
    randomize_updates(model)
    unmerged = model.forecast(past).detach()
    merged = copy.deepcopy(model)
    merge(merged)
    torch.testing.assert_close(merged.forecast(past).detach(), unmerged, rtol=1e-5, atol=1e-5)
    assert (unmerged - base).abs().max() > 1e-2
    assert list(merged.state_dict()) == keys
    assert [type(module) for module in merged.modules()] == classes
    assert all(parameter.requires_grad for parameter in merged.parameters())
    torch.testing.assert_close(
        model.forecast(past).detach(), unmerged, rtol=0, atol=0
    )  # the copy shares no weight with it
    add_lora(merged, rank=2)  # a merged model can be adapted again
    torch.testing.assert_close(merged.forecast(past).detach(), unmerged, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [None, 4])
def test_a_readout_of_several_values_keeps_its_shape(steps):
    spec = SeriesSpec(SPEC.series, 12, 4, outputs=3)
    model, plain = nn.ModuleList([ForecastHead(16, spec, steps)]), ForecastHead(16, spec, steps)
    add_lora(model, rank=2)
    randomize_updates(model)
    head = model[0]
    assert isinstance(head, ForecastHead)
    x = torch.randn(6, 16)
    expected = linear(x, head.weight + head.lora_B @ head.lora_A, head.bias).view(plain(x).shape)
    torch.testing.assert_close(head(x), expected, rtol=1e-5, atol=1e-6)
    assert expected.shape == ((6, 3, 3) if steps is None else (6, 4, 3, 3))


def test_an_lstm_is_frozen_and_passes_gradients_to_its_input():
    model, (past, future) = decoder(), windows()
    assert add_lora(model, rank=2) == ["head"]
    past.requires_grad_()
    mse_loss(model(past, future), future).backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {"head.lora_A", "head.lora_B"}
    assert past.grad.abs().max() > 1e-6
