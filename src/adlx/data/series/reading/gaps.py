"""Finds absent values and missing times of a table by its clock, and leaves them out or fills them.

What is filled is marked: it is no target in training, and is not scored. Where rows are left out, no window runs across
the hole.
"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from adlx.data.series.clock import Clock
from adlx.data.series.reading.options import Gaps
from adlx.data.series.reading.zones import summer_time_of
from adlx.errors import UserError

log = logging.getLogger("adlx")


@dataclass(frozen=True)
class TableGaps:
    """The gaps of one table.

    Attributes:
        nan_rows: (rows,) bool, true if at least one series has no value.
        missing: the expected times that the table lacks.
        holidays: how many missing times were counted as holidays.
    """

    nan_rows: np.ndarray
    missing: pd.Index
    holidays: pd.Index


def find_gaps(frame: pd.DataFrame, clock: Clock) -> TableGaps:
    """The gaps of a frame whose index is strictly increasing."""
    times = frame.index
    absent = clock.between(times[0], times[-1]).difference(times)
    closed = clock.is_closed(absent, times) if len(absent) else np.zeros(0, bool)
    return TableGaps(frame.isna().any(axis=1).to_numpy(), absent[~closed], absent[closed])


def apply_policy(
    frame: pd.DataFrame, gaps: TableGaps, policy: Gaps, where: str
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Leaves out or fills the gaps as the policy says, and logs what it did.

    Returns:
        The frame, which of its values (rows, S) were filled, and before which of its rows (rows,) there is a hole.

    Raises:
        UserError: there is a gap and the policy is "error", or fewer than two rows are left.
    """
    if len(gaps.holidays):
        log.info("%s: %s counted as holidays", where, _many(len(gaps.holidays), "missing time"))
    nan_rows, missing = int(gaps.nan_rows.sum()), len(gaps.missing)
    times = frame.index.append(gaps.missing).sort_values() if missing else frame.index
    if not nan_rows and not missing:
        return frame, np.zeros(frame.shape, bool), np.zeros(len(frame), bool)
    text = " and ".join(
        ([f"{_many(nan_rows, 'row')} with an empty value ({_first_nan(frame, gaps)})"] if nan_rows else [])
        + ([f"{_many(missing, 'missing time')} (first {stamp(gaps.missing[0])})"] if missing else [])
    )
    if policy == "error":
        zone = _zone_that_skips(frame.index, gaps.missing) if missing and not nan_rows else None
        if zone is not None:
            raise UserError(
                f"{where} has {text}, which the change to summer time skips in {zone}: set data.timezone to the zone "
                f"of its clock, such as data.timezone={zone}"
            )
        raise UserError(
            f"{where} has {text}: data.gaps=ffill or interpolate fills them, and does not score what it filled; drop "
            "leaves them out"
        )
    if policy == "drop":
        log.info("%s: %s; they are left out, and no window runs across them", where, text)
        filled = frame.loc[~gaps.nan_rows]
    else:
        how = "with the last value before them" if policy == "ffill" else "on lines between their neighbours"
        log.info("%s: %s; filled %s, and not scored", where, text, how)
        filled = _filled(frame.reindex(times.rename(frame.index.name)), policy, where)
    if len(filled) < 2:
        raise UserError(f"{where} has {text}, and data.gaps={policy} leaves {_many(len(filled), 'row')}; fix the file")
    missing_or_empty = times.difference(filled.index)
    return filled, frame.reindex(filled.index).isna().to_numpy(), breaks_of(filled.index, missing_or_empty)


def breaks_of(times: pd.Index, missing: pd.Index) -> np.ndarray:
    """(rows,) bool, before which of the times at least one is missing."""
    at = times.searchsorted(missing)
    breaks = np.zeros(len(times), bool)
    breaks[at[(at > 0) & (at < len(times))]] = True
    return breaks


def _filled(frame: pd.DataFrame, policy: Gaps, where: str) -> pd.DataFrame:
    if policy == "interpolate":
        positions = np.arange(len(frame))  # rows are steps of the clock
        full = frame.set_axis(positions).interpolate("linear", limit_area="inside").ffill().set_axis(frame.index)
    else:
        full = frame.ffill()
    leading = int(full.isna().any(axis=1).sum())  # only rows before the first value of a series are still empty
    if leading:
        log.info("%s: dropped the first %s, in which a series has no value yet", where, _many(leading, "row"))
    return pd.DataFrame(full.iloc[leading:])


def _zone_that_skips(times: pd.Index, missing: pd.Index) -> str | None:
    if not isinstance(times, pd.DatetimeIndex) or str(times.tz) != "UTC":
        return None
    assert isinstance(missing, pd.DatetimeIndex)
    return summer_time_of(missing[:0].tz_localize(None), missing.tz_localize(None))


def _first_nan(frame: pd.DataFrame, gaps: TableGaps) -> str:
    row = int(np.flatnonzero(gaps.nan_rows)[0])
    column = frame.columns[int(np.argmax(frame.iloc[row].isna().to_numpy()))]
    return f"first {column} at {stamp(frame.index[row])}"


def stamp(time: object) -> str:
    """A time in a message; whole numbers as they are."""
    return f"{time:%Y-%m-%d %H:%M:%S}" if isinstance(time, pd.Timestamp) else str(time)


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
