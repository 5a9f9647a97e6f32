"""Training of adapters: the trained parameters, the error they reach, dropout, autocast, modules without adapters."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, mse_loss

from adlx.models.forecasting.forecaster import Forecaster, ForecastHead
from adlx.models.forecasting.transformer import Transformer
from adlx.models.lora import adapter_state, add_lora
from adlx.specs import SeriesSpec

SPEC = SeriesSpec(("a", "b", "c"), context=12, horizon=4)


def encoder() -> Transformer:
    torch.manual_seed(1)
    return Transformer(SPEC, hidden=16, blocks=2, heads=2, zero_init=False)


def windows() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    past = torch.randn(5, SPEC.context, len(SPEC.series), generator=generator)
    return past, torch.randn(5, SPEC.horizon, len(SPEC.series), generator=generator)


def test_only_adapters_are_trained_and_only_they_have_optimizer_state():
    model, (past, future) = encoder(), windows()
    base = copy.deepcopy(model.state_dict())
    add_lora(model, rank=2)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(20):
        loss = mse_loss(model(past, future), future)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    num_values = sum(value.numel() for state in optimizer.state.values() for value in state.values() if value.dim())
    assert num_values == 2 * sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in base.items())
    assert [name for name in after if "lora_" not in name] == list(base)


def regression() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = torch.linalg.qr(torch.randn(40, 6, generator=generator, dtype=torch.float64)).Q
    return x, torch.randn(40, 5, generator=generator, dtype=torch.float64)


def fit(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.LBFGS(parameters, max_iter=2000, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = (model(x) - y).square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return (model(x) - y).square().sum().item()


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_training_reaches_the_best_update_of_its_rank(rank):
    """At full rank the best update equals full fine-tuning. Below it is the truncated singular value decomposition of
    the full update (Eckart & Young 1936), because the columns of x are orthonormal.
    """
    torch.manual_seed(0)
    x, y = regression()
    model = nn.Sequential(nn.Linear(6, 5, bias=False)).double()
    full = fit(copy.deepcopy(model), x, y)
    missing = torch.linalg.svdvals(y.t() @ x - model[0].weight)[rank:].square().sum().item()
    add_lora(model, rank)
    assert fit(model, x, y) == pytest.approx(full + missing, rel=1e-6)
    assert (missing > 0.5) == (rank < 5)


@pytest.mark.parametrize("rows", [2, 300])
def test_dropout_affects_only_the_input_of_the_adapter_and_only_in_training(rows):
    model, x = nn.Sequential(nn.Linear(16, 16)).double(), torch.randn(rows, 16, dtype=torch.float64)
    add_lora(model, rank=3, alpha=6.0, dropout=0.4)
    layer = model[0]
    nn.init.normal_(layer.lora_B)
    torch.manual_seed(0)
    output = layer(x)
    torch.manual_seed(0)
    input_with_dropout = nn.functional.dropout(x, 0.4)
    expected = linear(x, layer.weight, layer.bias) + 2.0 * input_with_dropout @ layer.lora_A.t() @ layer.lora_B.t()
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
    expected = linear(x, layer.weight + 2.0 * layer.lora_B @ layer.lora_A, layer.bias)
    torch.testing.assert_close(layer.eval()(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [2, 300])
def test_autocast_keeps_small_updates(rows):
    model = nn.Sequential(nn.Linear(64, 64))
    add_lora(model, rank=1)
    with torch.no_grad():
        sign = torch.ones(64)
        sign[::2] = -1.0
        model[0].weight.fill_(1.0)
        model[0].bias.zero_()
        model[0].lora_A.copy_(sign[None])
        model[0].lora_B.fill_(2.0**-12)  # added to a weight of 1, it would be lost in bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        output = model(sign.expand(rows, 64))
    assert output.dtype == torch.bfloat16
    assert torch.equal(output.float(), torch.full((rows, 64), 64 * 2.0**-12))
    output.float().sum().backward()
    assert model[0].lora_B.grad.dtype == torch.float32
    torch.testing.assert_close(model[0].lora_B.grad, torch.full((64, 1), 64.0 * rows))


def test_autocast_changes_the_output_of_a_model_by_rounding_only():
    model, (past, future) = encoder(), windows()
    for name in add_lora(model, rank=2):
        nn.init.normal_(model.get_submodule(name).lora_B, std=0.3)
    exact = model(past, future)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(past, future)
    difference = (rounded.float() - exact).abs().max().item()
    assert 0 < difference < 0.1 * exact.abs().max().item()


class OwnForward(Forecaster):
    """A model with a batch norm and a parameter of its own, which stay frozen unless `trainable` names them."""

    def __init__(self) -> None:
        super().__init__(SPEC)
        self.gain = nn.Parameter(torch.ones(1))
        self.body = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(12), nn.Linear(8, 8, bias=False))
        self.head = ForecastHead(8, SPEC)

    def forecast(self, past: torch.Tensor) -> torch.Tensor:
        return self.head(self.gain * self.body(past))[:, -4:]


@pytest.mark.parametrize("trainable", ["head", ["head"], ("body.1", "h*d")])
def test_trainable_modules_are_trained_without_an_adapter(trainable):
    torch.manual_seed(0)
    model, (past, future) = OwnForward(), windows()
    base = copy.deepcopy(model)
    assert add_lora(model, rank=2, trainable=trainable) == ["body.0", "body.2"]
    mse_loss(model(past, future), future).backward()
    free = {"head.weight", "head.bias"} | ({"body.1.weight", "body.1.bias"} if len(trainable) == 2 else set())
    low_rank = {f"body.{layer}.lora_{side}" for layer in (0, 2) for side in "AB"}
    assert {name for name, p in model.named_parameters() if p.grad is not None} == free | low_rank
    with torch.no_grad():
        for value in adapter_state(model).values():
            value.add_(0.1)  # changes the parameters: the state shares their memory
    state = adapter_state(model)
    assert set(state) == free | low_rank
    add_lora(base, rank=2, trainable=trainable)
    unexpected = base.load_state_dict(state, strict=False).unexpected_keys
    assert unexpected == []
    torch.testing.assert_close(base.train().forecast(past), model.train().forecast(past), rtol=0, atol=0)
