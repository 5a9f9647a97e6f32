from datetime import UTC, datetime

import pandas as pd
import pytest

from adlx.data.series.reading.read_table import read_table
from adlx.data.series.sources import yahoo


@pytest.fixture(scope="session")
def real_crypto(real_crypto_path) -> pd.DataFrame:
    """10,968 hours of the real seven coins, which are not part of the project."""
    return read_table(real_crypto_path).frame


class FakeYahoo:
    """Stands in for `yfinance.Ticker`: answers with deterministic prices, or with what a test puts in its way.

    Attributes:
        now: the clock of the loader; the bar of the running hour is part of each answer, as with the real one.
        hours: the length of the history.
        price: the close at hour n since 2024 is `price + n % 97` (times a factor of each coin's own).
        faults: exceptions raised by the next calls, first come first served.
        answers: by symbol, a function that changes its history.
        asked: the symbols, in the order they were asked for.
        waits: the seconds slept between tries.
    """

    def __init__(self) -> None:
        self.now = datetime(2024, 6, 1, 12, 30, tzinfo=UTC)
        self.hours = 200
        self.price = 100.0
        self.faults: list[Exception] = []
        self.answers: dict = {}
        self.asked: list[str] = []
        self.waits: list[float] = []

    def __call__(self, symbol: str) -> "FakeYahoo":
        self.asked.append(symbol)
        return self

    def history(self, period: str, interval: str) -> pd.DataFrame:
        assert (period, interval) == ("730d", "1h")
        if self.faults:
            raise self.faults.pop(0)
        index = pd.date_range(end=self.now.replace(minute=0), periods=self.hours + 1, freq="h", unit="s")
        hour = (index - pd.Timestamp("2024-01-01", tz="UTC")) // pd.Timedelta(hours=1)
        close = (self.price + hour % 97) * (1 + len(set(self.asked)))
        history = pd.DataFrame({"Open": 1.0, "Close": close}, index=index.rename("Datetime"))
        return self.answers.get(self.asked[-1], lambda h: h)(history)


@pytest.fixture
def fake(monkeypatch, tmp_path) -> FakeYahoo:
    import yfinance

    fake = FakeYahoo()
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(yfinance, "Ticker", fake)
    monkeypatch.setattr(yahoo, "_now", lambda: fake.now)
    return fake
