"""Hourly closes of seven coins from Yahoo Finance, kept in a cache that only grows.

Yahoo gives the last 730 days and now and then revises them. The cache keeps every hour it has once held, so that its
history grows past those 730 days, and a run repeated tomorrow finds the same numbers where the two overlap.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from adlx.data.series.reading.gaps import find_gaps
from adlx.data.series.sources.cache import Cache
from adlx.data.series.sources.download import DownloadFailed, fetch, reach
from adlx.data.series.table import Table, check_frame
from adlx.errors import UserError

log = logging.getLogger("adlx")

HOST = "query2.finance.yahoo.com"
SYMBOLS = {f"{coin}-USD": coin for coin in ("BTC", "ETH", "DOGE", "ADA", "LTC", "SOL", "DOT")}

_HOUR = timedelta(hours=1)
_SHORT_GAP = 6  # hours in a row that are filled with the last close; a longer hole is left out and said aloud


def load_yahoo(sleep: Callable[[float], None] = time.sleep) -> Table:
    """The fresh cache, else a download merged into the cache, else the cache however old it is.

    Fresh is a cache whose last bar is younger than two hours, or that was fetched less than an hour ago.

    Raises:
        DownloadFailed: a `UserError`, if there is neither a cache nor a way to Yahoo.
    """
    cache = Cache("yahoo_crypto_hourly.parquet", list(SYMBOLS.values()))
    with cache.locked():  # two runs started together download once
        cached, fetched = cache.read()
        now = _now()
        if cached is not None and (now - cached.index[-1] < 2 * _HOUR or now - fetched < _HOUR):
            return _table(cached, f"cached {_age(now - fetched)} ago")
        try:
            log.info("yahoo: downloading %d symbols, 730 days of hours", len(SYMBOLS))
            new = reach(HOST, lambda: _download(now, sleep))
        except DownloadFailed as error:
            if cached is None:
                raise DownloadFailed(
                    f"{error}, and there is no cache yet; use data.source=csv data.path=FILE or data.source=simulated"
                ) from error
            log.info("yahoo: %s; using the cache", error)
            return _table(cached, f"stale cache, {_age(now - cached.index[-1])} old")
        merged = new if cached is None else cached.combine_first(new).reindex(columns=cached.columns)
        cache.write(merged, now)
    return _table(merged, "downloaded just now")


def _now() -> datetime:
    return datetime.now(UTC)


def _age(age: timedelta) -> str:
    hours = max(age / _HOUR, 0.0)
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def _table(frame: pd.DataFrame, detail: str) -> Table:
    table = Table.of(check_frame(frame, "Yahoo's prices"), "yahoo", detail)
    holes = find_gaps(frame, table.clock).missing
    if len(holes):
        log.info("yahoo: no bars for %d hours (first %s); left out", len(holes), f"{holes[0]:%Y-%m-%d %H:%M:%S}")
    log.info("yahoo: %s hours to %s, %s", f"{len(frame):,}", f"{frame.index[-1]:%Y-%m-%d %H:%M}", detail)
    return table


def _download(now: datetime, sleep: Callable[[float], None]) -> pd.DataFrame:
    joined = _joined({coin: _closes(symbol, now, sleep) for symbol, coin in SYMBOLS.items()})
    try:
        return check_frame(joined, "Yahoo's answer")
    except UserError as error:  # nothing the user did: auto goes on to the next source
        raise DownloadFailed(str(error)) from error


def _closes(symbol: str, now: datetime, sleep: Callable[[float], None]) -> pd.Series:
    """One symbol's finished hourly bars, indexed by the hour they begin."""
    import yfinance

    history = fetch(symbol, lambda: yfinance.Ticker(symbol).history(period="730d", interval="1h"), sleep)
    prices = history["Close"].to_numpy("float64") if "Close" in history else np.empty(0)
    index = pd.DatetimeIndex(pd.to_datetime(history.index, utc=True)).floor("h").as_unit("us")
    closes = pd.Series(prices, index=index[: len(prices)]).dropna().sort_index()
    # The bar of the running hour moves until the hour is over; Yahoo may add the last trade as a bar of its own.
    running = now.replace(minute=0, second=0, microsecond=0)
    closes = closes.loc[(closes.index < running) & ~closes.index.duplicated()]
    if len(closes) == 0:
        raise DownloadFailed(f"Yahoo has no prices for {symbol}")
    return closes


def _joined(closes: dict[str, pd.Series]) -> pd.DataFrame:
    """The hours common to all coins, once each coin's short gaps are filled with its last close."""
    start, stop = (pick([series.index[at] for series in closes.values()]) for pick, at in ((max, 0), (min, -1)))
    hours = pd.date_range(start, stop, freq="h", name="time", unit="us")
    frame = pd.DataFrame({coin: series.reindex(hours) for coin, series in closes.items()}, index=hours)
    empty = frame.isna()
    short = empty.apply(lambda gap: gap.groupby((~gap).cumsum()).transform("sum") <= _SHORT_GAP)
    filled = empty & short
    if filled.to_numpy().any():
        counts = ", ".join(f"{coin} {count}" for coin, count in filled.sum().items() if count)
        log.info("yahoo: filled short gaps with the last close (hours: %s)", counts)
    return frame.where(~filled, frame.ffill()).dropna()
