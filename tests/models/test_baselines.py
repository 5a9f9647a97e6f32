"""Forecasts without training, by hand."""

import pytest
import torch

from adlx.models.baselines import Drift, Naive, SeasonalNaive
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


def test_drift_draws_the_line_on():
    forecast = Drift(spec(4, 3)).forecast(PAST)
    assert column(forecast, 0) == [9.0, 11.0, 13.0]  # 7 + 2 h, for (7 - 1) / 3 = 2
    assert column(forecast, 1) == [50.0, 60.0, 70.0]
    line = torch.arange(20.0)[None, :, None] * torch.tensor([0.5, -2.0])
    assert torch.equal(Drift(spec(10, 10)).forecast(line[:, :10]), line[:, 10:])


def test_drift_needs_two_values():
    with pytest.raises(ValueError, match=r"model=drift needs a data\.context of at least 2"):
        Drift(spec(1, 2))


@pytest.mark.parametrize("model", [Naive, SeasonalNaive, Drift])
def test_baselines_have_nothing_to_train(model):
    assert list(model(spec(24, 2)).parameters()) == []


@pytest.mark.parametrize("model", [Naive, Drift])
def test_baselines_keep_the_units(model):
    """a x + b forecast is a times the forecast of x, plus b: scaling, or none, scores the same."""
    made = model(spec(4, 5))
    torch.testing.assert_close(made.forecast(3 * PAST - 8), 3 * made.forecast(PAST) - 8, rtol=1e-6, atol=0)
