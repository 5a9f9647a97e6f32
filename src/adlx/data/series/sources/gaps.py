"""Finds missing values and missing timestamps in a table, and drops or fills them.

A gap is a NaN value or a missing timestamp. Timestamps are expected at the usual step of the table, which is the most
frequent difference between neighbours. A difference of 1.5 steps or more is a gap, so months of 30 and 31 days and a
day of 25 hours are not. If fewer than half of the differences are close to that step (as in tick data), no timestamp
is expected, and only NaN is a gap.

Daily data without weekends are counted in working days: a missing weekend is not a gap. Up to `HOLIDAYS` missing
working days in a row (Easter, Golden Week, the four days after 9/11) are not a gap either, but they are logged.
"""

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from adlx.errors import UserError

log = logging.getLogger("adlx")

Gaps = Literal["error", "drop", "ffill"]

_TOO_MANY = 10_000_000  # missing timestamps: more would fill the memory
HOLIDAYS = 5  # working days in a row that an exchange may be closed for
_WEEKMASKS = ("1111100", "1111001")  # Monday to Friday, and Sunday to Thursday


@dataclass(frozen=True)
class TableGaps:
    """The gaps of one table.

    Attributes:
        nan_rows: (rows,) bool, true if at least one series has no value.
        missing: the expected timestamps that the table lacks.
        holidays: how many missing working days were counted as holidays.
    """

    nan_rows: np.ndarray
    missing: pd.DatetimeIndex
    holidays: int


def find_gaps(frame: pd.DataFrame, where: str) -> TableGaps:
    """Finds the gaps of a frame whose index is strictly increasing and in UTC.

    Raises:
        UserError: so many timestamps are missing that one of the others must be wrong.
    """
    index = frame.index
    assert isinstance(index, pd.DatetimeIndex)
    nan_rows = frame.isna().any(axis=1).to_numpy()
    if len(index) < 3:
        return TableGaps(nan_rows, index[:0], 0)
    step = usual_step(index)
    weekmask = _weekmask(index) if step == pd.Timedelta(days=1) else None
    if weekmask is not None:
        missing, holidays = _missing_working_days(index, weekmask)
        return TableGaps(nan_rows, missing, holidays)
    ratio = np.diff(index.asi8) / step.as_unit(index.unit)._value
    if np.mean((ratio > 0.5) & (ratio < 1.5)) < 0.5:
        log.info("%s: timestamps are irregular, so only empty values count as gaps", where)
        return TableGaps(nan_rows, index[:0], 0)
    counts = np.where(ratio >= 1.5, np.round(ratio).astype(int) - 1, 0)
    if counts.sum() > _TOO_MANY:
        row = int(counts.argmax())
        raise UserError(
            f"{where}: {counts.max():,} timestamps are missing between data row {row + 1} ({_stamp(index[row])}) and "
            f"row {row + 2} ({_stamp(index[row + 1])}); one of these two may be wrong"
        )
    return TableGaps(nan_rows, _after(index, counts, step), 0)


def usual_step(index: pd.DatetimeIndex) -> pd.Timedelta:
    """Returns the most frequent difference between neighbours; in a tie, the smallest."""
    steps, counts = np.unique(np.diff(index.asi8), return_counts=True)
    return pd.to_timedelta(int(steps[np.argmax(counts)]), unit=index.unit)


def apply_policy(frame: pd.DataFrame, found: TableGaps, policy: Gaps, where: str) -> pd.DataFrame:
    """Drops or fills the gaps as the policy says, and logs what it did.

    Raises:
        UserError: there is a gap and the policy is "error", or fewer than two rows are left.
    """
    if found.holidays:
        log.info("%s: %s counted as holidays", where, _many(found.holidays, "missing working day"))
    nan_rows, missing = int(found.nan_rows.sum()), len(found.missing)
    if not nan_rows and not missing:
        return frame
    gaps = " and ".join(
        ([f"{_many(nan_rows, 'row')} with an empty value ({_first_nan(frame, found)})"] if nan_rows else [])
        + ([f"{_many(missing, 'missing timestamp')} (first {_stamp(found.missing[0])})"] if missing else [])
    )
    if policy == "error":
        raise UserError(f"{where} has {gaps}; data.gaps=drop leaves them out, data.gaps=ffill repeats the last value")
    if policy == "drop":
        log.info("%s: %s; they are left out", where, gaps)
        complete = frame.loc[~found.nan_rows]
    else:
        log.info("%s: %s; filled with the last value before them", where, gaps)
        complete = _filled(frame, found.missing, where)
    if len(complete) < 2:
        raise UserError(
            f"{where} has {gaps}, and data.gaps={policy} leaves {_many(len(complete), 'row')}; fix the file"
        )
    return complete


def _filled(frame: pd.DataFrame, missing: pd.DatetimeIndex, where: str) -> pd.DataFrame:
    full = frame.reindex(frame.index.union(missing).rename(frame.index.name)).ffill()
    leading = int(full.isna().any(axis=1).sum())  # a forward fill leaves only the rows before the first value empty
    if leading:
        log.info("%s: dropped the first %s, in which a series has no value yet", where, _many(leading, "row"))
    return pd.DataFrame(full.iloc[leading:])


def _weekmask(index: pd.DatetimeIndex) -> str | None:
    """Returns the working week of daily data; None if they have values on all days."""
    share = np.bincount(_days(index).astype("datetime64[D]").view("int64") % 7, minlength=7) / len(index)
    share = np.roll(share, 3)  # 1970-01-01 was a Thursday; now Monday is first
    return next((mask for mask in _WEEKMASKS if all(share[i] < 0.01 for i in range(7) if mask[i] == "0")), None)


def _days(index: pd.DatetimeIndex) -> np.ndarray:
    # Midnight of an exchange anywhere is within half a day of the UTC midnight of the same date.
    return index.tz_localize(None).round("D").to_numpy().astype("datetime64[D]")


def _missing_working_days(index: pd.DatetimeIndex, weekmask: str) -> tuple[pd.DatetimeIndex, int]:
    """Returns the timestamps missing for longer than holidays last, and the number of missing holidays."""
    days = _days(index)
    calendar = np.arange(days[0], days[-1])
    absent = np.setdiff1d(calendar[np.is_busday(calendar, weekmask=weekmask)], days)
    before = np.searchsorted(days, absent) - 1  # the row each absent day comes after
    in_a_row = np.bincount(before, minlength=len(days))[before]
    long = in_a_row > HOLIDAYS
    missing = index[before[long]] + pd.TimedeltaIndex((absent - days[before])[long].astype("timedelta64[s]"))
    return pd.DatetimeIndex(missing).as_unit(index.unit), int((~long).sum())


def _after(index: pd.DatetimeIndex, counts: np.ndarray, step: pd.Timedelta) -> pd.DatetimeIndex:
    """For each row with a count of n: the n timestamps that follow it by one step each."""
    starts = np.repeat(index.asi8[:-1], counts)
    nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    stamps = starts + nth * step.as_unit(index.unit)._value
    return pd.DatetimeIndex(stamps.view(f"datetime64[{index.unit}]"), tz="UTC")


def _first_nan(frame: pd.DataFrame, found: TableGaps) -> str:
    row = int(np.flatnonzero(found.nan_rows)[0])
    column = frame.columns[int(np.argmax(frame.iloc[row].isna().to_numpy()))]
    return f"first {column} at {_stamp(frame.index[row])}"


def _stamp(time: object) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
