"""Derives the clock of a table from its rows. What no clock explains is refused, not guessed."""

from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BDay, Day, Tick, Week

from adlx.data.series.clock import DAY, WEEK, Clock, Days, Numbers, Offset, Steps, Timetable, words_of
from adlx.errors import UserError

MOST_TIMES = 20_000_000
"""Largest number of expected times; more would fill the memory, and a row of the table must be wrong."""
RARE = 0.02
"""Rows at less than this share of the usual count are exceptions, such as a session on a Saturday."""
LONGEST_CLOSURE = 4 * DAY  # nanoseconds
"""A longer time without rows is a gap, and says nothing about the hours of the week."""


def clock_of(times: pd.Index, freq: str | None, where: str, known: Clock | None = None) -> Clock:
    """The clock of strictly increasing times.

    Args:
        times: a `DatetimeIndex` with a zone, or whole numbers.
        freq: `data.freq`: an offset of pandas such as `h`, `B`, `W-MON`, `MS` or `QE-MAR`, or the distance of whole
            numbers; None: derived.
        where: the name of the source, for errors.
        known: the clock of the same series before, which counts if it explains these times.

    Raises:
        UserError: there is no clock on which more than half of the rows follow the row before by one step.
    """
    if freq is not None:
        return _given(times, str(freq), where)
    if len(times) < 3:
        raise UserError(
            f"{where} has {len(times)} row(s), too few to see their step: set data.freq, such as data.freq=h"
        )
    _check_span(times, where)
    for clock in _candidates(times):
        if clock.explains(times, RARE):
            return clock
    raise UserError(f"{where}: {_irregular(times)}; set data.freq to their step (15min, h, D, B, W, MS, ...)")


def _check_span(times: pd.Index, where: str) -> None:
    """Raises UserError where one gap is so long that a time must be wrong."""
    integers = times.as_unit("ns").asi8 if isinstance(times, pd.DatetimeIndex) else times.to_numpy("int64")
    gaps = np.diff(integers)
    missing = int(gaps.max() // np.median(gaps))
    if missing > MOST_TIMES:
        row = int(gaps.argmax())
        raise UserError(
            f"{where}: {missing:,} times are missing between data row {row + 1} ({times[row]}) and row {row + 2} "
            f"({times[row + 1]}); one of these two may be wrong"
        )


def _candidates(times: pd.Index) -> list[Clock]:
    """Clocks that may fit, the most specific one first."""
    if not isinstance(times, pd.DatetimeIndex):
        return [Numbers(int(np.gcd.reduce(np.diff(times.to_numpy("int64")))))]
    wall = times.tz_localize(None).as_unit("ns")
    days = np.diff(wall.asi8) // DAY
    if np.ptp(wall.asi8 % DAY) > 0:
        step = int(np.gcd.reduce(np.diff(times.as_unit("ns").asi8)))
    elif days.min() >= 28 and (offset := _monthly(wall)) is not None:
        return [offset]
    else:
        step = int(np.gcd.reduce(days)) * DAY
    steps = Days(step // DAY) if np.ptp(wall.asi8 % DAY) == 0 else Steps(step)
    if (wall.asi8[-1] - wall.asi8[0]) // step > MOST_TIMES:
        return []
    timetable = _timetable(wall, step) if WEEK % step == 0 else None
    return [steps] if timetable is None else [timetable, steps]


def _timetable(wall: pd.DatetimeIndex, step: int) -> Timetable | None:
    """The times of the week at which there are rows; None if these are all times, or if too few weeks show it.

    A time of the week at which there never is a row must have come twice, outside of long gaps.
    """
    rows = wall.asi8
    grid = np.arange(rows[0], rows[-1] + 1, step)
    previous = np.searchsorted(rows, grid, side="right") - 1
    in_long_gap = np.append(np.diff(rows) > LONGEST_CLOSURE, False)[previous] & (rows[previous] != grid)
    slots, chances = np.unique(_since_monday(grid[~in_long_gap]), return_counts=True)
    seen, times_seen = np.unique(_since_monday(rows), return_counts=True)
    counts = np.zeros(len(slots), dtype=int)
    counts[np.searchsorted(slots, seen)] = times_seen
    is_open = counts > RARE * counts.max()
    if is_open.all() or (chances[~is_open] < 2).any():
        return None
    return Timetable(tuple(slots[is_open].tolist()))


def _since_monday(times: np.ndarray) -> np.ndarray:
    """Nanoseconds since the last Monday 00:00, of nanoseconds since 1970, which began on a Thursday."""
    return (times + 3 * DAY) % WEEK


def _monthly(wall: pd.DatetimeIndex) -> Offset | None:
    """The clock of times that are one or more months apart, if there is one."""
    year, month, day, length = (np.asarray(part) for part in (wall.year, wall.month, wall.day, wall.days_in_month))
    months = np.diff(12 * year + month)
    if (months == 0).any():
        return None
    count = int(np.gcd.reduce(months))
    for alias in ("MS", "ME", "BMS", "BME"):
        if all(_offset(alias).is_on_offset(time) for time in wall):
            return Offset(_anchored(alias, count, int(month[0])))
    if (day == np.minimum(day.max(), length)).all():
        return Offset(count * _offset("MS"), int(day.max()))
    weekdays, weeks = np.unique(wall.day_of_week), np.unique((day - 1) // 7)
    if len(weekdays) > 1:
        return None
    name = str(wall.day_name()[0])[:3].upper()
    if len(weeks) == 1:
        return Offset(count * _offset(f"WOM-{weeks[0] + 1}{name}"))
    return Offset(count * _offset(f"LWOM-{name}")) if (day > length - 7).all() else None


def _offset(alias: str) -> Any:
    return to_offset(alias)


def _anchored(alias: str, count: int, month: int) -> Any:
    """Several months as quarters or years, as pandas names them: `QE-DEC` for 3 `ME` that begin in March."""
    names = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
    is_start = alias.endswith("S")
    if count % 12 == 0:
        return count // 12 * _offset(f"{alias.replace('M', 'Y')}-{names[month - 1]}")
    if count % 3 == 0:
        anchor = (month - 1) % 3 + (0 if is_start else 9)
        return count // 3 * _offset(f"{alias.replace('M', 'Q')}-{names[anchor]}")
    return count * _offset(alias)


def _given(times: pd.Index, freq: str, where: str) -> Clock:
    clock = _clock_named(times, freq)
    expected = clock.between(times[0], times[-1])
    off = np.flatnonzero(expected.get_indexer(times) < 0)
    if len(off) > RARE * len(times):
        raise UserError(
            f"data.freq={freq} does not fit {where}: no row is expected at {times[off[0]]} (data row {off[0] + 1})"
        )
    return clock


def _clock_named(times: pd.Index, freq: str) -> Clock:
    if not isinstance(times, pd.DatetimeIndex):
        if not freq.isdecimal() or int(freq) < 1:
            raise UserError(f"data.freq={freq}: the times are whole numbers, so it is their distance, such as 1")
        return Numbers(int(freq))
    try:
        offset = _offset(freq)
    except ValueError:
        raise UserError(f"data.freq={freq} is not a step: write it as pandas does: 15min, h, D, B, W, MS, QE") from None
    if offset is None or offset.n < 1:
        raise UserError(f"data.freq={freq} must be a step ahead in time")
    if isinstance(offset, Tick):
        return Steps(offset.nanos)
    if isinstance(offset, Day):
        return Days(offset.n)
    if isinstance(offset, Week):
        return Days(7 * offset.n)
    if isinstance(offset, BDay) and offset.n == 1:
        clock_time = int(times.tz_localize(None).as_unit("ns").asi8[0] % DAY)
        return Timetable(tuple(day * DAY + clock_time for day in range(5)))
    is_month = offset.rule_code.split("-")[0] in ("MS", "ME")
    day = int(np.max(times.day))
    if is_month and not all(offset.is_on_offset(time) for time in times[:24]):
        return Offset(offset.n * _offset("MS"), day)
    return Offset(offset)


def _irregular(times: pd.Index) -> str:
    """The most frequent distances of neighbours, in words."""
    are_dates = isinstance(times, pd.DatetimeIndex)
    steps, counts = np.unique(np.diff(times.as_unit("ns").asi8 if are_dates else times), return_counts=True)
    most = np.argsort(-counts)[:3]
    words = [words_of(int(step)) if are_dates else str(step) for step in steps[most]]
    listed = ", ".join(f"{word} ({count:,})" for word, count in zip(words, counts[most], strict=True))
    return f"its rows have no common step; the most frequent distances are {listed}"
