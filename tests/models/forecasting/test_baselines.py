"""Forecasts without training equal their formulas."""

import itertools

import pytest
import torch

from adlx.models.forecasting.baselines import EWMA, Drift, Naive, SeasonalNaive
from adlx.models.forecasting.forecaster import Forecaster, ewma_volatility
from adlx.specs import SeriesSpec


def spec(context: int, horizon: int) -> SeriesSpec:
    return SeriesSpec(("a", "b"), context, horizon)


PAST = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [4.0, 15.0], [7.0, 40.0]]])


def column(forecast: torch.Tensor, series: int) -> list[float]:
    return forecast[0, :, series].tolist()


def test_naive_repeats_the_last_value():
    forecast = Naive(spec(4, 3)).forecast(PAST)
    assert (column(forecast, 0), column(forecast, 1)) == ([7.0] * 3, [40.0] * 3)


def test_seasonal_naive_repeats_the_last_season():
    short = SeasonalNaive(spec(4, 2), season=3).forecast(PAST)
    assert (column(short, 0), column(short, 1)) == ([2.0, 4.0], [20.0, 15.0])
    beyond = SeasonalNaive(spec(4, 7), season=3).forecast(PAST)
    assert column(beyond, 0) == [2.0, 4.0, 7.0, 2.0, 4.0, 7.0, 2.0]
    assert column(beyond, 1) == [20.0, 15.0, 40.0, 20.0, 15.0, 40.0, 20.0]
    assert torch.equal(SeasonalNaive(spec(4, 3), season=1).forecast(PAST), Naive(spec(4, 3)).forecast(PAST))
    whole = SeasonalNaive(spec(4, 4), season=4).forecast(PAST)
    assert torch.equal(whole, PAST)


def test_seasonal_naive_is_exact_on_a_season():
    time = torch.arange(200.0)
    wave = torch.sin(2 * torch.pi * time / 24)[None, :, None].expand(1, -1, 2)
    forecast = SeasonalNaive(spec(48, 30), season=24).forecast(wave[:, 52:100])
    torch.testing.assert_close(forecast, wave[:, 100:130], rtol=0, atol=1e-5)


@pytest.mark.parametrize("season", [0, 5])
def test_a_season_must_fit_into_the_context(season):
    with pytest.raises(ValueError, match=rf"model.season={season} must lie within data.context=4"):
        SeasonalNaive(spec(4, 2), season=season)


def test_drift_continues_the_line():
    forecast = Drift(spec(4, 3)).forecast(PAST)
    assert column(forecast, 0) == [9.0, 11.0, 13.0]  # 7 + 2 h, for (7 - 1) / 3 = 2
    assert column(forecast, 1) == [50.0, 60.0, 70.0]
    line = torch.arange(20.0)[None, :, None] * torch.tensor([0.5, -2.0])
    assert torch.equal(Drift(spec(10, 10)).forecast(line[:, :10]), line[:, 10:])


def test_drift_needs_two_values():
    with pytest.raises(ValueError, match=r"model=drift needs a data\.context of at least 2"):
        Drift(spec(1, 2))


@pytest.mark.parametrize("model", [Naive, SeasonalNaive, Drift, EWMA])
def test_baselines_have_nothing_to_train(model):
    assert list(model(spec(24, 2)).parameters()) == []


@pytest.mark.parametrize("model", [Naive, Drift, EWMA])
def test_baselines_follow_shift_and_scale(model):
    """The forecast of a x + b is a times the forecast of x, plus b, so scaling does not change scores."""
    made = model(spec(4, 5))
    torch.testing.assert_close(made.forecast(3 * PAST - 8), 3 * made.forecast(PAST) - 8, rtol=1e-6, atol=0)


# The size of errors


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("decay", [0.94, 0.5, 1.0])
def test_the_volatility_equals_its_recursion(decay, power):
    past = torch.randn(3, 30, 2, dtype=torch.float64)
    expected = torch.empty(3, 1, 2, dtype=torch.float64)
    for window in range(3):
        for series in range(2):
            values, total, weight = past[window, :, series].tolist(), 0.0, 0.0
            for before, after in itertools.pairwise(values):
                total = decay * total + abs(after - before) ** power
                weight = decay * weight + 1
            expected[window, 0, series] = (total / weight) ** (1 / power)
    torch.testing.assert_close(ewma_volatility(past, decay, power), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(EWMA(spec(30, 2), decay, power).scale(past), expected, rtol=1e-12, atol=0)


def test_the_volatility_of_two_changes():
    past = torch.tensor([[[1.0], [4.0], [0.0]]])  # 3 up, then 4 down
    assert ewma_volatility(past, 0.5, 1).item() == pytest.approx((0.5 * 3 + 4) / 1.5)
    assert ewma_volatility(past, 0.5, 2).item() == pytest.approx(((0.5 * 9 + 16) / 1.5) ** 0.5)


@pytest.mark.parametrize("power", [1, 2])
def test_the_volatility_scales_with_the_unit_and_ignores_the_level(power):
    past = torch.randn(3, 30, 2, dtype=torch.float64)
    size = ewma_volatility(past, 0.94, power)
    torch.testing.assert_close(ewma_volatility(past + 50, 0.94, power), size, rtol=1e-10, atol=0)
    torch.testing.assert_close(ewma_volatility(-7 * past, 0.94, power), 7 * size, rtol=1e-10, atol=0)


def test_the_default_scale_of_errors_is_the_mean_recent_change():
    past = torch.randn(3, 30, 2)
    assert torch.equal(Forecaster(spec(30, 2)).scale(past), ewma_volatility(past, 0.94, 1))
    assert torch.equal(EWMA(spec(30, 2)).scale(past), ewma_volatility(past, 0.94, 2))
    for homoscedastic in (Naive, SeasonalNaive, Drift):
        assert homoscedastic(spec(30, 2)).scale(past) is None


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.01])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match=rf"^model\.decay={decay}: must be above 0 and at most 1$"):
        EWMA(spec(4, 2), decay=decay)


def test_ewma_needs_two_values():
    with pytest.raises(ValueError, match=r"model=ewma needs a data\.context of at least 2"):
        EWMA(spec(1, 2))
