"""The simulation has the statistics of the market; the same function measures both."""

import time

import numpy as np
import pandas as pd
import pytest

from adlx.data.series.sources.simulated import COINS, simulate_crypto
from adlx.errors import UserError

VOLATILITY = {"BTC": 0.63, "ETH": 0.83, "DOGE": 1.11, "ADA": 0.93, "LTC": 0.92, "SOL": 1.22, "DOT": 1.01}


def check_facts(prices: pd.DataFrame) -> None:
    returns = np.log(prices).diff().dropna()
    volatility = returns.std() * np.sqrt(8760)
    assert volatility.to_dict() == pytest.approx(VOLATILITY, rel=0.01)  # the calibration has two digits

    correlation = returns.corr()
    assert correlation.loc["BTC", "ETH"] == pytest.approx(0.88, abs=0.02)
    with_doge = correlation["DOGE"].drop("DOGE")
    assert with_doge.mean() == pytest.approx(0.63, abs=0.03)
    assert with_doge.between(0.58, 0.68).all()
    others = correlation.drop(index="DOGE", columns="DOGE").to_numpy()[np.triu_indices(6, 1)]
    others = np.delete(others, 0)  # BTC with ETH
    assert others.mean() == pytest.approx(0.75, abs=0.03)
    assert others.min() > 0.68
    assert others.max() < 0.80

    kurtosis = returns.kurt()
    assert kurtosis.min() > 9.9
    assert kurtosis.max() < 28.6

    assert returns.apply(lambda r: r.autocorr(1)).abs().max() < 0.025
    clustering = returns.abs().apply(lambda r: r.autocorr(1))
    assert clustering.between(0.22, 0.33).all()
    assert clustering.mean() == pytest.approx(0.267, abs=0.025)
    # Volatility is remembered for days, not only for an hour.
    assert returns.abs().apply(lambda r: r.autocorr(24)).between(0.07, 0.22).all()


@pytest.mark.parametrize("hours", [10_968, 17_520])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_simulation_has_the_facts(hours, seed):
    frame = simulate_crypto(hours, seed).frame
    assert len(frame) == hours
    check_facts(frame)


def test_market_has_the_same_facts(real_crypto):
    assert real_crypto.shape == (10_968, 7)
    check_facts(real_crypto)


def test_start_prices_clock_and_provenance():
    table = simulate_crypto(hours=17_520, seed=3)
    assert table.frame.iloc[0].to_dict() == pytest.approx({coin: start for coin, (start, *_) in COINS.items()})
    assert table.frame.iloc[0]["DOGE"] == pytest.approx(0.2034)
    assert table.frame.index[-1] == pd.Timestamp("2024-12-31 23:00", tz="UTC")
    assert (np.diff(table.frame.index.asi8) == 3600 * 10**6).all()
    assert (table.source, table.detail, table.simulated) == ("simulated", "seed 3", True)


def test_same_seed_same_bytes_and_no_drift():
    first, again, other = (simulate_crypto(2000, seed).frame for seed in (5, 5, 6))
    assert first.to_numpy().tobytes() == again.to_numpy().tobytes()
    assert not np.allclose(first, other)
    # Without drift the yearly log-return is N(0, volatility^2): over 60 seeds its mean is small and it does not bridge.
    ends = np.array([np.log(f.iloc[-1] / f.iloc[0]) for f in (simulate_crypto(2000, s).frame for s in range(60))])
    z = ends / (np.array(list(VOLATILITY.values())) * np.sqrt(1999 / 8760))
    assert np.abs(z.mean(axis=0)).max() < 0.45
    assert z.std(axis=0) == pytest.approx(np.ones(7), abs=0.3)


def test_two_years_take_less_than_a_second():
    simulate_crypto(100)  # imports
    begin = time.perf_counter()
    simulate_crypto(17_520)
    assert time.perf_counter() - begin < 1.0


@pytest.mark.parametrize(
    ("options", "says"),
    [({"hours": 23}, "data.hours=23"), ({"seed": -1}, "seed=-1"), ({"end": "soon"}, "cannot end at 'soon'")],
)
def test_nonsense_is_one_line(options, says):
    with pytest.raises(UserError, match=says):
        simulate_crypto(**options)
