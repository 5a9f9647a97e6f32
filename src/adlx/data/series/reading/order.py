"""The order of rows: each time once, the oldest first."""

import logging
from typing import Any

import numpy as np
import pandas as pd

from adlx.data.series.reading.gaps import stamp
from adlx.data.series.reading.options import Duplicates
from adlx.data.series.reading.zones import summer_time_of
from adlx.errors import UserError

log = logging.getLogger("adlx")


def in_order(frame: pd.DataFrame, where: str, duplicates: Duplicates = "error", sort: bool = False) -> pd.DataFrame:
    """The rows in order of time, each time once.

    Args:
        frame: its index are the times.
        where: the name of the source, for errors.
        duplicates: which of several rows of one time counts.
        sort: whether rows may be in any order.

    Raises:
        UserError: naming the rows, and the setting that helps.
    """
    times = frame.index
    if not times.is_unique:
        if duplicates == "error":
            raise UserError(_repeated(times, where))
        log.info("%s: of rows of one time, the %s counts", where, duplicates)
        frame = frame.groupby(level=0, sort=False).agg(duplicates)
        times = frame.index
    if times.is_monotonic_increasing:
        return frame
    if sort:
        return frame.sort_index()
    advice = "set data.sort=true"
    if times.is_monotonic_decreasing:
        raise UserError(f"{where} runs from the newest row to the oldest: {advice}")
    row = int(np.flatnonzero(np.diff(_integers(times)) < 0)[0]) + 1
    raise UserError(
        f"{where} is not in order of time: data row {row + 1} ({stamp(times[row])}) is before row {row} "
        f"({stamp(times[row - 1])}): {advice}"
    )


def _integers(times: pd.Index) -> np.ndarray:
    return times.asi8 if isinstance(times, pd.DatetimeIndex) else times.to_numpy()


def _repeated(times: pd.Index, where: str) -> str:
    repeated: Any = times[times.duplicated()]
    second = int(np.flatnonzero(times.duplicated())[0])
    first = int(np.flatnonzero(times == times[second])[0])
    text = f"{where}: time {stamp(times[second])} occurs more than once (data rows {first + 1} and {second + 1}; "
    text += f"{len(repeated):,} rows too many in all)"
    if isinstance(times, pd.DatetimeIndex) and str(times.tz) == "UTC":
        wall = repeated.tz_localize(None)
        if (zone := summer_time_of(wall, wall[:0])) is not None:
            return f"{text}, where the clock is set back in {zone}: set data.timezone to its zone, such as {zone}"
    return (
        f"{text}: set data.duplicates=first, last or mean, or data.id_column=NAME if its rows belong to several series"
    )
