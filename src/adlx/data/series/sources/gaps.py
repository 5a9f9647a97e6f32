"""What is missing in a table, and what to do about it.

Two things are gaps: a NaN value, and a timestamp that the table's usual step (the commonest difference between
neighbours) leads one to expect. A difference of one and a half steps or more is a gap, so that months of 30 and 31
days, or a day of 25 hours, are none. Where fewer than half of the differences are about that step (ticks, say), no
timestamp can be expected, and only NaN is a gap.

In daily data without weekends, days are counted on the working week: absent weekends are no gap, and neither are
up to `HOLIDAYS` working days in a row (Easter, Golden Week, the four days after 9/11), which are only said aloud.
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
class Found:
    """The gaps of one table.

    Attributes:
        nan_rows: (rows,) bool, true where at least one series has no value.
        missing: the timestamps that should be there and are not.
        holidays: how many absent working days were taken as holidays.
    """

    nan_rows: np.ndarray
    missing: pd.DatetimeIndex
    holidays: int


def find_gaps(frame: pd.DataFrame, where: str) -> Found:
    """Finds the gaps of a frame whose index is strictly increasing and in UTC.

    Raises:
        UserError: if so many timestamps are missing that one of those present must be wrong.
    """
    index = frame.index
    assert isinstance(index, pd.DatetimeIndex)
    nan_rows = frame.isna().any(axis=1).to_numpy()
    if len(index) < 3:
        return Found(nan_rows, index[:0], 0)
    step = usual_step(index)
    weekmask = _weekmask(index) if step == pd.Timedelta(days=1) else None
    if weekmask is not None:
        missing, holidays = _missing_working_days(index, weekmask)
        return Found(nan_rows, missing, holidays)
    ratio = np.diff(index.asi8) / step.as_unit(index.unit)._value
    if np.mean((ratio > 0.5) & (ratio < 1.5)) < 0.5:
        log.info("%s: timestamps are irregular, only empty values count as gaps", where)
        return Found(nan_rows, index[:0], 0)
    counts = np.where(ratio >= 1.5, np.round(ratio).astype(int) - 1, 0)
    if counts.sum() > _TOO_MANY:
        row = int(counts.argmax())
        raise UserError(
            f"{where}: {counts.max():,} timestamps are missing between data row {row + 1} ({_stamp(index[row])}) and "
            f"row {row + 2} ({_stamp(index[row + 1])}); one of the two may be wrong"
        )
    return Found(nan_rows, _after(index, counts, step), 0)


def usual_step(index: pd.DatetimeIndex) -> pd.Timedelta:
    """The commonest difference between neighbours; the smallest of them in a tie."""
    steps, counts = np.unique(np.diff(index.asi8), return_counts=True)
    return pd.to_timedelta(int(steps[np.argmax(counts)]), unit=index.unit)


def mend(frame: pd.DataFrame, found: Found, policy: Gaps, where: str) -> pd.DataFrame:
    """Applies the policy, and says aloud what was found and done.

    Raises:
        UserError: under "error" if there is a gap; under the others if they leave nothing.
    """
    if found.holidays:
        log.info("%s: %s taken as holidays", where, _many(found.holidays, "absent working day"))
    nan_rows, missing = int(found.nan_rows.sum()), len(found.missing)
    if not nan_rows and not missing:
        return frame
    gaps = " and ".join(
        ([f"{_many(nan_rows, 'row')} with an empty value ({_first_nan(frame, found)})"] if nan_rows else [])
        + ([f"{_many(missing, 'missing timestamp')} (first {_stamp(found.missing[0])})"] if missing else [])
    )
    if policy == "error":
        raise UserError(
            f"{where} has {gaps}; data.gaps=drop goes on without them, data.gaps=ffill carries the last value forward"
        )
    if policy == "drop":
        log.info("%s: %s; going on without them", where, gaps)
        mended = frame.loc[~found.nan_rows]
    else:
        log.info("%s: %s; filled with the last value before them", where, gaps)
        mended = _filled(frame, found.missing, where)
    if len(mended) < 2:
        raise UserError(f"{where} has {gaps}, and data.gaps={policy} leaves {_many(len(mended), 'row')}; mend the file")
    return mended


def _filled(frame: pd.DataFrame, missing: pd.DatetimeIndex, where: str) -> pd.DataFrame:
    full = frame.reindex(frame.index.union(missing).rename(frame.index.name)).ffill()
    leading = int(full.isna().any(axis=1).sum())  # after a forward fill only rows before a first value are left
    if leading:
        log.info("%s: dropped the first %s, where a series has not begun", where, _many(leading, "row"))
    return pd.DataFrame(full.iloc[leading:])


def _weekmask(index: pd.DatetimeIndex) -> str | None:
    """The working week of daily data, or None if it has values on all days."""
    share = np.bincount(_days(index).astype("datetime64[D]").view("int64") % 7, minlength=7) / len(index)
    share = np.roll(share, 3)  # 1970-01-01 was a Thursday; now Monday is first
    return next((mask for mask in _WEEKMASKS if all(share[i] < 0.01 for i in range(7) if mask[i] == "0")), None)


def _days(index: pd.DatetimeIndex) -> np.ndarray:
    # Midnight of an exchange anywhere is within half a day of the UTC midnight of the same date.
    return index.tz_localize(None).round("D").to_numpy().astype("datetime64[D]")


def _missing_working_days(index: pd.DatetimeIndex, weekmask: str) -> tuple[pd.DatetimeIndex, int]:
    """The timestamps absent for longer than holidays last, and how many working days were absent as holidays."""
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


def _first_nan(frame: pd.DataFrame, found: Found) -> str:
    row = int(np.flatnonzero(found.nan_rows)[0])
    column = frame.columns[int(np.argmax(frame.iloc[row].isna().to_numpy()))]
    return f"first {column} at {_stamp(frame.index[row])}"


def _stamp(time: object) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
