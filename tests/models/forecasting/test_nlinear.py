"""NLinear equals its formula, and its training gives the least-squares solution."""

import numpy as np
import pytest
import torch

from adlx.models.forecasting.nlinear import NLinear
from adlx.specs import SeriesSpec

SPEC = SeriesSpec(("a", "b", "c"), context=6, horizon=4)


def made(individual: bool) -> NLinear:
    torch.manual_seed(2)
    model = NLinear(SPEC, individual=individual).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


@pytest.mark.parametrize("individual", [False, True])
def test_forecast_equals_the_formula(individual):
    model = made(individual)
    past = torch.randn(5, SPEC.context, 3, dtype=torch.float64)
    expected = torch.empty(5, SPEC.horizon, 3, dtype=torch.float64)
    for series in range(3):
        linear = model.maps[series if individual else 0]
        for window in range(5):
            x = past[window, :, series]
            expected[window, :, series] = linear.weight @ (x - x[-1]) + linear.bias + x[-1]
    torch.testing.assert_close(model.forecast(past), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("individual", "maps"), [(False, 1), (True, 3)])
def test_number_of_parameters(individual, maps):
    assert sum(p.numel() for p in made(individual).parameters()) == maps * (6 * 4 + 4)


def test_series_share_a_map_unless_individual():
    past = torch.randn(2, SPEC.context, 1, dtype=torch.float64).expand(-1, -1, 3)
    shared, own = made(False).forecast(past), made(True).forecast(past)
    torch.testing.assert_close(shared[..., 0], shared[..., 1], rtol=1e-12, atol=1e-12)
    assert (own[..., 0] - own[..., 1]).abs().max() > 0.1


def test_a_constant_added_to_the_past_is_added_to_the_forecast():
    model, past = made(False), torch.randn(2, SPEC.context, 3, dtype=torch.float64)
    torch.testing.assert_close(model.forecast(past + 50), model.forecast(past) + 50, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("individual", [False, True])
def test_an_untrained_model_is_the_naive_forecast(individual):
    past = torch.randn(2, SPEC.context, 3)
    assert torch.equal(NLinear(SPEC, individual).forecast(past), past[:, -1:].expand(-1, SPEC.horizon, -1))


def test_gradient_reaches_every_parameter():
    model = made(True)
    model.forecast(torch.randn(5, SPEC.context, 3, dtype=torch.float64)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 1e-6, name


@pytest.mark.parametrize("individual", [False, True])
def test_scores_of_quantiles_do_not_depend_on_the_level(individual):
    torch.manual_seed(2)
    model = NLinear(SeriesSpec(SPEC.series, 6, 4, outputs=5), individual).double()
    assert torch.equal(model.forecast(torch.ones(2, 6, 3).double()), torch.eye(5)[0].double().expand(2, 4, 3, 5))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    past = torch.randn(2, 6, 3, dtype=torch.float64)
    expected = torch.empty(2, 4, 3, 5, dtype=torch.float64)
    for series in range(3):
        linear = model.maps[series if individual else 0]
        for window in range(2):
            x = past[window, :, series]
            expected[window, :, series] = (linear.weight @ (x - x[-1]) + linear.bias).reshape(4, 5)
            expected[window, :, series, 0] += x[-1]
    torch.testing.assert_close(model.forecast(past), expected, rtol=1e-12, atol=1e-12)


def test_training_gives_the_least_squares_solution():
    """For a noisy autoregression the loss is convex; the normal equations give its only minimum."""
    rng = np.random.default_rng(0)
    series = np.zeros(400)
    for t in range(2, 400):
        series[t] = 1.2 * series[t - 1] - 0.5 * series[t - 2] + rng.normal()
    context, horizon = 4, 2
    windows = np.lib.stride_tricks.sliding_window_view(series, context + horizon)
    past, future = windows[:, :context], windows[:, context:]
    inputs = np.c_[past[:, :-1] - past[:, -1:], np.ones(len(past))]  # the last input is always 0
    best, *_ = np.linalg.lstsq(inputs, future - past[:, -1:], rcond=None)

    model = NLinear(SeriesSpec(("a",), context, horizon)).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)
    x, y = torch.from_numpy(past.copy())[..., None], torch.from_numpy(future.copy())[..., None]

    def closure():
        optimizer.zero_grad()
        loss = (model(x, y) - y).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(model.maps[0].weight[:, :-1].detach().numpy(), best[:-1].T, atol=1e-6)
    np.testing.assert_allclose(model.maps[0].bias.detach().numpy(), best[-1], atol=1e-6)


def test_a_noiseless_recursion_is_learned_without_error():
    """x_t = 2 cos(w) x_{t-1} - x_{t-2} has no noise, and it is linear also in differences from the last value."""
    time = np.arange(300)
    series = np.sin(2 * np.pi * time / 17) + 0.5 * np.cos(2 * np.pi * time / 11) + 3.0
    context, horizon = 8, 5
    windows = np.lib.stride_tricks.sliding_window_view(series, context + horizon)
    x = torch.from_numpy(windows[:, :context].copy())[..., None]
    y = torch.from_numpy(windows[:, context:].copy())[..., None]
    model = NLinear(SeriesSpec(("a",), context, horizon)).double()
    inputs = np.c_[windows[:200, :context] - windows[:200, context - 1 : context], np.ones(200)]
    best, *_ = np.linalg.lstsq(inputs, windows[:200, context:] - windows[:200, context - 1 : context], rcond=None)
    with torch.no_grad():
        model.maps[0].weight.copy_(torch.from_numpy(best[:-1].T))
        model.maps[0].bias.copy_(torch.from_numpy(best[-1]))
    assert (model.forecast(x[200:]) - y[200:]).abs().max() < 1e-9
