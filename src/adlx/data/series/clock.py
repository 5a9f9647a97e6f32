"""The clock of a table: the times at which a row is expected, which finds gaps and continues a table ahead.

A clock is derived from all rows of a table, or given by `data.freq`. It works on the clock time of the table's own
zone wherever people do (days, weeks, months, trading sessions), and on elapsed time below that (hours, minutes).

Times are a `DatetimeIndex` with a zone, or an index of whole numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
WEEK = 7 * DAY
"""Durations are whole numbers of nanoseconds, as in pandas."""


class Clock(ABC):
    """The expected times of rows.

    Attributes:
        name: the step in words, such as `1 hour` or `month, on day 15`; equal for equal clocks.
    """

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def between(self, first: Any, last: Any) -> pd.Index:
        """All expected times from `first` to `last`, both of which are included if they are expected."""

    @abstractmethod
    def ahead(self, last: Any, count: int) -> pd.Index:
        """The `count` expected times that follow `last`."""

    def explains(self, times: pd.Index, rare: float = 0.02) -> bool:
        """Whether all times but rare ones are expected, and more than half of them come one step after the last."""
        try:
            at = self.between(times[0], times[-1]).get_indexer(times)
        except (AttributeError, TypeError, ValueError):  # whole numbers on a clock of dates, or the other way round
            return False
        on_clock = at[at >= 0]
        is_expected = len(on_clock) >= (1 - rare) * len(at)
        return is_expected and (len(times) < 2 or bool(np.mean(np.diff(on_clock) == 1) > 0.5))

    def plain(self) -> dict[str, Any]:
        """The clock in plain values, for `run.json`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        if "offset" in values:
            values["offset"] = values["offset"].freqstr
        return {"kind": type(self).__name__, **values}

    def is_closed(self, missing: pd.Index, times: pd.Index) -> np.ndarray:
        """Which of the missing times (bool) are holidays, on which no row is expected after all."""
        return np.zeros(len(missing), dtype=bool)


@dataclass(frozen=True)
class Numbers(Clock):
    """Whole numbers, such as years or counters, one `step` after another."""

    step: int

    @property
    def name(self) -> str:
        return str(self.step)

    def between(self, first: int, last: int) -> pd.Index:
        return pd.RangeIndex(first, last + 1, self.step)

    def ahead(self, last: int, count: int) -> pd.Index:
        return pd.RangeIndex(last + self.step, last + self.step * (count + 1), self.step)


@dataclass(frozen=True)
class Steps(Clock):
    """Steps of equal elapsed time, such as an hour: a change to summer time does not move them."""

    step: int

    @property
    def name(self) -> str:
        return words_of(self.step)

    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
        return pd.date_range(first, last, freq=pd.Timedelta(self.step))

    def ahead(self, last: pd.Timestamp, count: int) -> pd.DatetimeIndex:
        return pd.date_range(last, periods=count + 1, freq=pd.Timedelta(self.step))[1:]


@dataclass(frozen=True)
class Days(Clock):
    """Every so many days at the same clock time, such as every day at midnight or every second Monday."""

    days: int

    @property
    def name(self) -> str:
        weeks, rest = divmod(self.days, 7)
        count, unit = (self.days, "day") if rest else (weeks, "week")
        return unit if count == 1 else f"{count} {unit}s"

    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
        return localized(pd.date_range(naive(first), naive(last), freq=pd.Timedelta(self.days * DAY)), first)

    def ahead(self, last: pd.Timestamp, count: int) -> pd.DatetimeIndex:
        return localized(pd.date_range(naive(last), periods=count + 1, freq=pd.Timedelta(self.days * DAY))[1:], last)


@dataclass(frozen=True)
class Offset(Clock):
    """Times of a calendar offset of pandas, such as month ends, or the third Friday of each month.

    Attributes:
        day: the day of the month, where it is not the first or the last; shorter months use their last day.
    """

    offset: Any  # of pandas, which has no public type for all of them
    day: int | None = None

    @property
    def name(self) -> str:
        return self.offset.freqstr if self.day is None else f"{self.offset.freqstr}, on day {self.day}"

    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
        start, end = naive(first), naive(last)
        if self.day is None:
            return localized(pd.date_range(start, end, freq=self.offset), first)
        return localized(self._on_day(pd.date_range(start.replace(day=1), end, freq=self.offset)), first)

    def ahead(self, last: pd.Timestamp, count: int) -> pd.DatetimeIndex:
        start = naive(last)
        if self.day is None:
            times = pd.date_range(start, periods=count + 1, freq=self.offset)
            return localized(times[times > start][:count], last)
        return localized(
            self._on_day(pd.date_range(start.replace(day=1), periods=count + 1, freq=self.offset))[1:], last
        )

    def _on_day(self, months: pd.DatetimeIndex) -> pd.DatetimeIndex:
        assert self.day is not None
        return months + pd.to_timedelta(np.minimum(self.day, months.days_in_month) - 1, unit="D")


@dataclass(frozen=True)
class Timetable(Clock):
    """The same clock times in every week, such as working days, or the hours in which an exchange is open.

    Attributes:
        slots: times since Monday 00:00, in order.
    """

    slots: tuple[int, ...]
    longest_holiday = 5
    """Open days in a row on which an exchange may be closed (Golden Week, Easter); more are a gap."""
    rare = 0.05
    """Share of days that may begin late or end early; more do not follow the timetable."""

    @property
    def name(self) -> str:
        days = sorted({slot // DAY for slot in self.slots})
        words = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        week = " ".join(words[day] for day in days)
        return week if len(days) == len(self.slots) else f"{week}, {len(self.slots)} times a week"

    def between(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
        start, end = naive(first), naive(last)
        monday = start.normalize() - pd.Timedelta(days=start.day_of_week)
        weeks = pd.date_range(monday, end, freq=pd.Timedelta(WEEK)).to_numpy("datetime64[ns]")
        times = pd.DatetimeIndex((weeks[:, None] + np.array(self.slots, "timedelta64[ns]")).ravel())
        return localized(times[(times >= start) & (times <= end)], first)

    def ahead(self, last: pd.Timestamp, count: int) -> pd.DatetimeIndex:
        weeks = count // len(self.slots) + 2
        times = self.between(last, last + pd.Timedelta(weeks=weeks))  # type: ignore[arg-type]
        return times[times > last][:count]

    def is_closed(self, missing: pd.Index, times: pd.Index) -> np.ndarray:
        """Whole days, if they are not too many in a row, and a late opening or an early closing, if these are rare."""
        if len({slot // DAY for slot in self.slots}) not in (4, 5, 6):
            return np.zeros(len(missing), dtype=bool)  # no working week, so no holidays
        lost, seen = (pd.DatetimeIndex(index).tz_localize(None) for index in (missing, times))
        days, days_with_rows = lost.normalize(), seen.normalize()
        spans = pd.DataFrame({"time": seen}).groupby(days_with_rows)["time"].agg(["min", "max"]).reindex(days)
        at_edge = (lost < pd.DatetimeIndex(spans["min"])) | (lost > pd.DatetimeIndex(spans["max"]))
        edges_are_rare = days[at_edge].nunique() <= self.rare * days_with_rows.nunique()
        open_days = self.between(times[0], times[-1]).tz_localize(None).normalize().unique()
        absent = ~open_days.isin(days_with_rows)
        run = np.cumsum(np.diff(absent, prepend=False) != 0)
        is_long = (np.bincount(run)[run] > self.longest_holiday) & absent
        in_long_run = days.isin(open_days[is_long])
        return np.where(days.isin(days_with_rows), at_edge & edges_are_rare, ~in_long_run)


def clock_from(plain: Mapping[str, Any]) -> Clock:
    """The clock of which `Clock.plain` gave these values."""
    values = dict(plain)
    kind = {each.__name__: each for each in (Numbers, Steps, Days, Offset, Timetable)}[values.pop("kind")]
    if "offset" in values:
        values["offset"] = to_offset(values["offset"])
    if "slots" in values:
        values["slots"] = tuple(values["slots"])
    return kind(**values)


def naive(time: pd.Timestamp) -> pd.Timestamp:
    """The clock time without its zone."""
    return time.tz_localize(None)


def localized(times: pd.DatetimeIndex, like: pd.Timestamp) -> pd.DatetimeIndex:
    """Clock times in the zone of a timestamp. A time that a change to summer time skips moves on by that change; of a
    time that occurs twice, the first counts."""
    ambiguous = np.ones(len(times), dtype=bool)
    return times.tz_localize(like.tzinfo, ambiguous=ambiguous, nonexistent="shift_forward")


def words_of(step: int) -> str:
    """A step in its largest unit: `15 minutes`, `1 hour`."""
    for unit, size in (("day", DAY), ("hour", 3600 * SECOND), ("minute", 60 * SECOND), ("second", SECOND)):
        if step % size == 0:
            count = step // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{step / SECOND:g} seconds"
