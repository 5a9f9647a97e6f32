"""Simulated hourly prices of seven coins, with the statistics of the real ones and none of their history.

Log-returns are `r = sigma * q(rank)`: the ranks come from a stochastic-volatility process,

    x[t] = mix(shock[t] * exp(s * h[t])),     shock ~ N(0, 1),     h = a sum of AR(1) processes,

(Taylor, 1982, "Financial returns modelled by the product of two stochastic processes") in which most of the
log-volatility `h` is common to all coins, as in the market, and `mix` gives the coins their correlations. `q` is one
fixed heavy-tailed quantile function, Tukey's `z * exp(tail * z^2 / 2)`. Ranks carry the clustering and the
correlations; the fixed `q` makes the volatility exact and the kurtosis the same for every seed, where an unbounded
process would draw a different one each time.
"""

import numpy as np
import pandas as pd

from adlx.data.series.table import Table, check_frame
from adlx.errors import UserError

HOURS_A_YEAR = 8760

# Hourly closes of October 2021 to December 2022: first price in USD, volatility a year, Tukey tail.
COINS: dict[str, tuple[float, float, float]] = {
    "BTC": (43700.0, 0.63, 0.199),
    "ETH": (3020.0, 0.83, 0.199),
    "DOGE": (0.2034, 1.11, 0.234),
    "ADA": (2.119, 0.93, 0.207),
    "LTC": (153.6, 0.92, 0.212),
    "SOL": (143.18, 1.22, 0.228),
    "DOT": (29.02, 1.01, 0.240),
}

# Of x; the returns' own come out lower by less than .01.
_CORRELATION_BTC_ETH, _CORRELATION_DOGE, _CORRELATION_REST = 0.885, 0.64, 0.75

_COMMON = 0.85  # share of the log-volatility's variance that all coins have in common
_VOLATILITY_OF_VOLATILITY = 0.65
_MEMORY = ((0.55, 1.5), (0.45, 72.0))  # (share, half-life in hours): bursts, and calm or wild weeks


def simulate_crypto(hours: int = 17520, seed: int = 0, end: str = "2025-01-01") -> Table:
    """Simulates seven series of hourly closes, without drift.

    Args:
        hours: how many rows.
        seed: the same seed gives the same bytes.
        end: the first hour after the last row, UTC.
    """
    if hours < 24:
        raise UserError(f"data.hours={hours}: must be at least 24")
    if seed < 0:
        raise UserError(f"data.simulation_seed={seed}: must be at least 0")
    try:
        stop = pd.Timestamp(end)
        stop = stop.tz_localize("UTC") if stop.tzinfo is None else stop.tz_convert("UTC")
        index = pd.date_range(end=stop, periods=hours + 1, freq="h", name="time", unit="us")[:-1]
    except ValueError as error:  # also what pandas raises for NaT and times out of bounds
        raise UserError(f"the simulation cannot end at {end!r}; give a time such as 2025-01-01") from error
    start, volatility, tail = np.array(list(COINS.values())).T
    returns = _returns(hours - 1, tail, np.random.default_rng(seed)) * volatility / np.sqrt(HOURS_A_YEAR)
    prices = start * np.exp(np.vstack([np.zeros(len(start)), returns.cumsum(axis=0)]))
    frame = pd.DataFrame(prices, index=index, columns=list(COINS))
    return Table.of(check_frame(frame, "the simulation"), "simulated", f"seed {seed}")


def _returns(steps: int, tail: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(steps, coins) log-returns of unit variance."""
    from scipy.special import ndtri

    coins = len(tail)
    shocks = rng.standard_normal((steps, coins))
    raw = shocks * np.exp(_VOLATILITY_OF_VOLATILITY * _log_volatility(steps, coins, rng))
    # Whitened in time and across coins: with such tails a sample's correlations stray far from what they should be.
    raw[1:] -= raw[:-1] * (raw[1:] * raw[:-1]).sum(axis=0) / (raw**2).sum(axis=0)
    raw = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    raw = raw @ np.linalg.cholesky(_correlation(coins)).T
    z = ndtri((np.arange(steps) + 0.5) / steps)[:, None]
    quantiles = z * np.exp(tail * z**2 / 2)
    ranks = raw.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    returns = np.take_along_axis(quantiles / quantiles.std(axis=0), ranks, axis=0)
    # The quantiles sum to zero, which would bring every price back to where it began; a random walk does not.
    return returns + raw.mean(axis=0) / raw.std(axis=0)


def _correlation(coins: int) -> np.ndarray:
    btc, eth, doge = (list(COINS).index(name) for name in ("BTC", "ETH", "DOGE"))
    matrix = np.full((coins, coins), _CORRELATION_REST)
    matrix[doge, :] = matrix[:, doge] = _CORRELATION_DOGE
    matrix[btc, eth] = matrix[eth, btc] = _CORRELATION_BTC_ETH
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _log_volatility(steps: int, coins: int, rng: np.random.Generator) -> np.ndarray:
    """(steps, coins), each a stationary process of variance 1."""
    from scipy.signal import lfilter

    total = np.zeros((steps, coins))
    for share, half_life in _MEMORY:
        phi = 0.5 ** (1 / half_life)
        common, own = rng.standard_normal((steps, 1)), rng.standard_normal((steps, coins))
        noise = np.sqrt(_COMMON) * common + np.sqrt(1 - _COMMON) * own
        noise[1:] *= np.sqrt(1 - phi**2)  # the first is a draw from the stationary law itself
        total += np.sqrt(share) * np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=0))
    return total
