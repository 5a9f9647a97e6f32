"""Sizes, options and training of the encoder; its equations are in `test_transformer_equations.py`."""

import pytest
import torch
from generators import predictable_frame
from torch import nn

from adlx.data.series.scaling import SeriesScaler
from adlx.models.forecasting.transformer import Attention, Transformer
from adlx.specs import SeriesSpec

SPEC = SeriesSpec(("a", "b"), context=9, horizon=4)


@pytest.fixture
def past() -> torch.Tensor:
    return torch.randn(3, SPEC.context, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def make(spec: SeriesSpec = SPEC, **arguments) -> Transformer:
    torch.manual_seed(1)
    return Transformer(spec, **{"hidden": 8, "blocks": 2, "heads": 2, "zero_init": False, **arguments}).double()


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Sizes


def test_number_of_parameters():
    model = Transformer(SeriesSpec(tuple("abcdefg"), 96, 5), blocks=4, head_dim=64)
    attention = 3 * (64 * 512 + 512) + 512 * 64 + 64
    block = attention + 64 * 64 + 64 + 2 * 2 * 64
    assert count(model) == (7 * 64 + 64) + 4 * block + (64 * 7 + 7) == 549_319


@pytest.mark.parametrize(
    ("arguments", "expected"),
    # Embedding 24; a block: attention 4 (64 + 8), feed-forward 64 + 8, two norms of 16; head 18.
    [
        ({}, 24 + 2 * (288 + 72 + 32) + 18),
        ({"head_dim": 5}, 24 + 2 * (3 * (80 + 10) + 88 + 72 + 32) + 18),
        ({"feedforward": 13}, 24 + 2 * (288 + (8 * 13 + 13) + (13 * 8 + 8) + 32) + 18),
        ({"norm": "pre"}, 24 + 2 * (288 + 72 + 32) + 16 + 18),
        ({"readout": "flatten"}, 24 + 2 * (288 + 72 + 32) + (9 * 8 + 1) * 4 * 2),
    ],
)
def test_number_of_parameters_with_each_option(arguments, expected):
    assert count(make(**arguments)) == expected


def test_names_of_affine_layers():
    """LoRA selects layers by these names."""
    names = {name for name, module in make(blocks=1).named_modules() if isinstance(module, nn.Linear)}
    block = {f"blocks.0.attention.{name}" for name in ("query", "key", "value", "output")} | {"blocks.0.feedforward.0"}
    assert names == block | {"embedding", "head"}
    wide = {name for name, m in make(blocks=1, feedforward=13).named_modules() if isinstance(m, nn.Linear)}
    assert wide - names == {"blocks.0.feedforward.2"}


# Options


@pytest.mark.parametrize("readout", ["last", "flatten"])
@pytest.mark.parametrize("horizon", [1, 4])
def test_outputs_are_read_by_step_series_and_value(past, readout, horizon):
    """The first of P outputs is the point: two heads with equal rows for the point give equal points."""
    spec = SeriesSpec(("a", "b"), 9, horizon)
    point = make(spec, readout=readout)
    wide = make(SeriesSpec(("a", "b"), 9, horizon, outputs=5), readout=readout)
    states = point.state_dict()
    wide.load_state_dict({key: states[key] for key in states if not key.startswith("head.")}, strict=False)
    with torch.no_grad():
        for own, given in zip(wide.head.parameters(), point.head.parameters(), strict=True):
            own[::5] = given  # rows run over steps (of `flatten`), then series, then values
    output = wide.forecast(past)
    assert output.shape == (3, horizon, 2, 5)
    assert point.forecast(past).shape == (3, horizon, 2)
    torch.testing.assert_close(output[..., 0], point.forecast(past), rtol=1e-12, atol=1e-12)
    assert (output[..., 1:] - output[..., :1]).abs().amin(dim=(0, 1, 2)).min() > 1e-6


@pytest.mark.parametrize("outputs", [1, 5])
def test_zero_init_is_the_naive_forecast(past, outputs):
    spec = SeriesSpec(("a", "b"), 9, 4, outputs)
    for readout in ("last", "flatten"):
        model = make(spec, readout=readout, zero_init=True)
        assert torch.count_nonzero(model.forecast(past)) == 0
        model.forecast(past).sum().backward()  # and is no dead end
        assert model.head.weight.grad.abs().max() > 1e-3
        assert torch.count_nonzero(make(spec, readout=readout).forecast(past)) == past.shape[0] * 4 * 2 * outputs


def test_dropout_acts_only_in_training(past):
    plain, model = make().eval(), make(dropout=0.5)
    assert torch.equal(model.eval().forecast(past), plain.forecast(past))
    torch.manual_seed(0)
    first = model.train().forecast(past)
    assert (first - model.forecast(past)).abs().max() > 1e-3
    torch.manual_seed(0)
    assert torch.equal(model.forecast(past), first)


def test_dropout_acts_on_attention_weights():
    """If all values are 1, the output of attention is the sum of its weights, which is 1 on average."""
    attention = Attention(4, 2, 2, dropout=0.25).train()
    with torch.no_grad():
        for layer, bias in ((attention.value, 1.0), (attention.output, 0.0)):
            layer.weight.copy_(torch.eye(4) if layer is attention.output else torch.zeros(4, 4))
            layer.bias.fill_(bias)
    torch.manual_seed(0)
    x = torch.randn(400, 10, 4)
    left = attention(x, x)
    assert left.std() > 0.1
    assert left.mean().item() == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(attention.eval()(x, x), torch.ones_like(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_gradient_reaches_every_parameter(past, norm):
    model = make(feedforward=13, norm=norm)
    model.forecast(past).square().sum().backward()
    for name, parameter in model.named_parameters():
        if name.endswith("key.bias"):  # it moves all scores of a query alike, and softmax does not see that
            assert parameter.grad.abs().max() < 1e-12, name
        else:
            assert parameter.grad.abs().sum() > 1e-6, name


def test_half_precision_stays_close(past):
    model, past = make().float().eval(), past.float()
    with torch.autocast("cpu", torch.bfloat16):
        half = model.forecast(past)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), model.forecast(past), rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("context", "horizon", "arguments", "message"),
    [
        (9, 4, {"hidden": 10, "heads": 4}, r"model.hidden=10 is not a multiple of model.heads=4: set model.head_dim"),
        (9, 4, {"blocks": 0}, r"^model.blocks=0: must be at least 1$"),
        (9, 4, {"heads": 0}, r"^model.heads=0: must be at least 1$"),
        (9, 4, {"hidden": 0}, r"^model.hidden=0: must be at least 1$"),
        (9, 4, {"head_dim": 0}, r"^model.head_dim=0: must be at least 1$"),
        (9, 4, {"feedforward": -3}, r"^model.feedforward=-3: must be at least 1$"),
        (3, 4, {}, r"data.horizon=4 exceeds data.context=3; use model.readout=flatten"),
    ],
)
def test_contradictory_arguments_are_refused(context, horizon, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(SeriesSpec(("a", "b"), context, horizon), **arguments)


def test_the_advice_of_the_messages_works():
    assert make(hidden=10, heads=4, head_dim=3).blocks[0].attention.query.out_features == 12
    assert make(SeriesSpec(("a",), 3, 4), readout="flatten").forecast(torch.ones(1, 3, 1).double()).shape == (1, 4, 1)


# Learning


@pytest.fixture
def one_thread():
    """If another process is running, small products in several threads take a hundred times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("arguments", [{}, {"norm": "pre", "feedforward": 32, "readout": "flatten"}])
def test_training_learns_predictable_series(arguments, one_thread):
    """Sums of two sines; trained on the first three quarters and tested on the last."""
    values = predictable_frame(800).to_numpy()
    scaler = SeriesScaler("standard", ("S0", "S1", "S2"), instance_norm=True)
    scaler.fit(values[:600])
    windows = scaler(values).unfold(0, 24 + 3, 1).transpose(1, 2)
    shape, last, deviation = scaler.normalize(windows[:, :24])
    target = (windows[:, 24:] - last) / deviation
    torch.manual_seed(0)
    model = Transformer(SeriesSpec(scaler.names, 24, 3), hidden=32, blocks=1, heads=4, zero_init=True, **arguments)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(200):
        chosen = torch.randint(0, 600 - 26, (32,))
        optimizer.zero_grad()
        (model(shape[chosen], target[chosen]) - target[chosen]).abs().mean().backward()
        optimizer.step()
    test_part = slice(600, None)
    with torch.no_grad():
        error = (model.forecast(shape[test_part]) - target[test_part]).abs().mean()
    assert 1 - error / target[test_part].abs().mean() > 0.8
