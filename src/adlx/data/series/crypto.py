"""Hourly closes of seven cryptocurrencies in US dollars."""

from typing import Any

from adlx.data.series.reading.options import Gaps
from adlx.data.series.series import Series
from adlx.data.series.sources.crypto import CryptoSource, load_crypto
from adlx.data.series.table import Table
from adlx.data.splits import check_at_least
from adlx.paths import PathText


class Crypto(Series):
    """BTC, ETH, DOGE, ADA, LTC, SOL and DOT. Arguments in addition to those of `Series`:

    Args:
        source: `yahoo`, `csv`, `simulated`, or `auto`: fresh cache, else Yahoo, else stale cache, else simulated.
        path: the file, for `csv`.
        hours: rows to simulate.
        simulation_seed: which simulated history.
        gaps: what to do about missing rows and values: `error`, `drop` or `ffill`.
    """

    def __init__(
        self,
        source: CryptoSource = "auto",
        path: PathText | None = None,
        hours: int = 17520,
        simulation_seed: int = 0,
        gaps: Gaps = "error",
        **windows: Any,
    ) -> None:
        super().__init__(**windows)
        check_at_least(24, hours=hours)
        check_at_least(0, simulation_seed=simulation_seed)
        self.source: CryptoSource = source
        self.gaps: Gaps = gaps
        self.path, self.hours, self.simulation_seed = path, hours, simulation_seed

    def load(self) -> Table:
        return load_crypto(self.source, self.path, self.hours, self.simulation_seed, self.gaps)

    def pinned(self, about: dict[str, Any], newest: bool = False) -> dict[str, Any]:
        return {"source": about["source"], **super().pinned(about, newest)}
