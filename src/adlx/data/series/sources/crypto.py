"""Hourly prices of seven coins, from wherever they can be had."""

import difflib
import logging
from pathlib import Path
from typing import Literal, get_args

from adlx.data.series.reading.options import Gaps, ReadOptions
from adlx.data.series.reading.read_table import read_table
from adlx.data.series.sources.download import DownloadFailed
from adlx.data.series.sources.simulated import simulate_crypto
from adlx.data.series.sources.yahoo import load_yahoo
from adlx.data.series.table import Table
from adlx.errors import UserError

log = logging.getLogger("adlx")

CryptoSource = Literal["auto", "yahoo", "csv", "simulated"]


def load_crypto(
    source: CryptoSource = "auto",
    path: str | Path | None = None,
    hours: int = 17520,
    seed: int = 0,
    gaps: Gaps = "error",
) -> Table:
    """Loads the prices; `auto` takes the fresh cache, else Yahoo, else the cache however old, else a simulation.

    Args:
        source: `auto` with a path reads the file.
        path: of the file for `csv`.
        hours: how many to simulate; the other sources give all they have.
        seed: of the simulation.
        gaps: the policy for a file; Yahoo's short gaps are always filled and said aloud.

    Raises:
        UserError: source and path contradict each other, or the source has no data.
    """
    if source not in get_args(CryptoSource):
        near = difflib.get_close_matches(str(source), get_args(CryptoSource), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"data.source={source} is unknown; {hint}choose one of {', '.join(get_args(CryptoSource))}")
    if source == "csv" and path is None:
        raise UserError("data.source=csv needs a file: add data.path=FILE")
    if source in ("yahoo", "simulated") and path is not None:
        raise UserError(
            f"data.path={path} contradicts data.source={source}; use data.source=csv for the file, or drop data.path"
        )
    if path is not None:
        log.info("crypto: reading %s", path)
        return read_table(path, ReadOptions(gaps=gaps))
    if source == "simulated":
        return _simulate(hours, seed)
    if source == "yahoo":
        return load_yahoo()
    try:
        return load_yahoo()
    except DownloadFailed as error:
        log.info("crypto: %s", str(error).split("; use ")[0])
        return _simulate(hours, seed)


def _simulate(hours: int, seed: int) -> Table:
    log.info("crypto: SIMULATED prices, %s hours, seed %d", f"{hours:,}", seed)
    return simulate_crypto(hours, seed)
