"""What the values of a time column mean: instants in the zone of the file, or whole numbers."""

import re
import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from adlx.data.series.reading.notation import Notation, notation_of
from adlx.data.series.reading.zones import in_zone, zone_of_offsets
from adlx.errors import UserError

_EPOCH = {"s": (1e8, 1e11), "ms": (1e11, 1e14), "us": (1e14, 1e17), "ns": (1e17, 1e20)}
"""Sizes of times since 1970 in each unit: from 1973, so that row numbers are not read as times."""
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_OFFSET = re.compile(r"(?:[+-]\d{2}:?\d{2}|Z)$")
_QUARTER = re.compile(r"^\d{4}[ -]?Q[1-4]$", re.IGNORECASE)
_WEEK = re.compile(r"^\d{4}-?W\d{2}(-?1)?$")
_SHORT_DATE = r"^(?P<a>\d{1,2})(?P<mark>[/.-])(?P<b>\d{1,2})[/.-](?P<c>\d{4}|\d{2})(?:[ T,]+(?P<rest>.*))?$"


@dataclass(frozen=True)
class Times:
    """The times of the rows of a file, in its order.

    Attributes:
        index: a `DatetimeIndex` in the zone of the file (UTC, if it names none), or whole numbers.
        notation: how the file writes them.
        other: where day and month cannot be told apart: the times with the month first.
        notes: what was derived and a user should know, in words.
    """

    index: pd.Index
    notation: Notation
    other: pd.DatetimeIndex | None = None
    notes: tuple[str, ...] = field(default=())


def parse_times(column: pd.Series, where: str, timezone: str | None = None, dayfirst: bool | None = None) -> Times:
    """Reads a column of times.

    Args:
        column: text, instants, numbers since 1970 in s, ms, us or ns, dates as 20240131, or whole numbers.
        where: the name of the file, for errors.
        timezone: `data.timezone`: the zone of times that name none, and the zone to convert others to.
        dayfirst: `data.dayfirst`, for dates such as 01/02/2024; None: derived.

    Raises:
        UserError: with the first row that cannot be read.
    """
    empty = np.flatnonzero(column.isna().to_numpy())
    if len(empty):
        raise UserError(f"{where}: column {column.name} has no timestamp in data row {empty[0] + 1}; fill it in")
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(column):
        index = pd.DatetimeIndex(column)
        times = Times(index, Notation(has_offset=index.tz is not None))
    elif pd.api.types.is_numeric_dtype(column):
        times = _from_numbers(column, where)
    else:
        times = _from_text(column.astype(str).str.strip(), where, dayfirst)
    if not isinstance(times.index, pd.DatetimeIndex):
        if timezone is not None:
            raise UserError(f"data.timezone={timezone}: the times of {where} are whole numbers, which have no zone")
        return times
    index = in_zone(times.index, timezone, where).as_unit("us").rename("time")
    other = None if times.other is None else in_zone(times.other, timezone, where).as_unit("us")
    notation = times.notation
    if timezone is not None and times.index.tz is not None and notation.format is not None:
        notation = Notation(has_offset=True)
    return Times(index, notation, other, times.notes)


def looks_like_times(column: pd.Series) -> bool:
    """Whether the first hundred values are times; a bad one further down is an error, no reason for another column."""
    if pd.api.types.is_datetime64_any_dtype(column) or isinstance(column.dtype, pd.PeriodDtype):
        return True
    if pd.api.types.is_numeric_dtype(column):
        return False
    sample = column.dropna().iloc[:100].astype(str).str.strip()
    return len(sample) > 0 and bool(_read(sample)[0].notna().mean() > 0.5)


def _from_numbers(column: pd.Series, where: str) -> Times:
    numbers = column.to_numpy("float64")
    is_whole = bool((numbers == np.round(numbers)).all())
    if is_whole and ((numbers >= 19000101) & (numbers <= 21001231)).all():
        texts = pd.Series(numbers).astype("int64").astype(str)
        dates = pd.to_datetime(texts, format="%Y%m%d", errors="coerce")
        if dates.notna().all():
            return Times(pd.DatetimeIndex(dates), Notation("%Y%m%d"))
    for unit, (low, high) in _EPOCH.items():
        if ((numbers >= low) & (numbers < high)).all():
            whole = column.astype("int64") if is_whole else pd.Series(np.round(numbers * (1e6 / _UNITS[unit]), 0))
            index = pd.DatetimeIndex(pd.to_datetime(whole.astype("int64"), unit=unit if is_whole else "us", utc=True))
            return Times(index, Notation(has_offset=True), notes=(f"{column.name} is read as {unit} since 1970",))
    if is_whole and np.abs(numbers).max() < 1e8:
        return Times(pd.Index(column.astype("int64"), name=str(column.name)), Notation())
    raise UserError(
        f"{where}: column {column.name} is neither a count nor seconds, ms, us or ns since 1970 throughout "
        f"({numbers[0]:.16g}, {numbers[-1]:.16g}); name the column of timestamps with data.time_column=NAME"
    )


def _from_text(texts: pd.Series, where: str, dayfirst: bool | None) -> Times:
    times, other = _read(texts, dayfirst)
    bad = np.flatnonzero(times.isna().to_numpy())
    if len(bad):
        raise UserError(
            f"{where}: column {texts.name}, data row {bad[0] + 1}: {texts.iloc[bad[0]][:40]!r} is not a timestamp like "
            "the others; write all as 2024-01-31 13:00 or as seconds since 1970"
        )
    index, notes = pd.DatetimeIndex(times), []
    offsets = texts.str.extract(f"({_OFFSET.pattern})")[0] if _OFFSET.search(texts.iloc[0]) else None
    if offsets is not None:
        index, note = zone_of_offsets(index, offsets, where)
        notes += [note] if note else []
    return Times(index, notation_of(texts, index), None if other is None else pd.DatetimeIndex(other), tuple(notes))


def _read(texts: pd.Series, dayfirst: bool | None = None) -> tuple[pd.Series, pd.Series | None]:
    """Times of texts, NaT where there is none, in UTC if the texts have offsets. The second result is there only where
    day and month cannot be told apart: then the first has the day first, and the second the month."""
    utc = bool(_OFFSET.search(texts.iloc[0])) and not re.fullmatch(r"[\d-]+", texts.iloc[0])
    iso = _attempt(texts, utc=utc, format="ISO8601")
    if iso.notna().all():
        return iso, None
    parts = texts.str.extract(_SHORT_DATE)
    if parts["a"].notna().mean() > 0.5:
        return _read_short(parts, utc, dayfirst)
    if texts.str.match(_QUARTER).all():
        quarters = pd.PeriodIndex(texts.str.upper().str.replace(r"[ -]", "", regex=True), freq="Q")
        return pd.Series(quarters.to_timestamp(), index=texts.index), None
    attempts = [iso, _attempt(texts, utc=utc)]
    if texts.str.match(_WEEK).all():
        attempts.append(_attempt(texts.str[:8].str.replace("-", "") + "1", utc=utc, format="%GW%V%u"))
    if attempts[-1].isna().any():
        attempts.append(_attempt(texts, utc=utc, format="mixed"))
    return max(attempts, key=lambda times: times.notna().sum()), None


def _read_short(parts: pd.DataFrame, utc: bool, dayfirst: bool | None) -> tuple[pd.Series, pd.Series | None]:
    """Times of dates such as 1/2/2024, in parts: a and b are day and month in some order, c is the year."""
    a, b, c = (parts[name].astype("float64") for name in "abc")
    may_be_day, may_be_month = (a <= 31) & (b <= 12), (b <= 31) & (a <= 12)
    is_unclear = bool(may_be_day.all() and may_be_month.all()) and parts["mark"].iloc[0] != "."
    is_known = dayfirst is not None or not is_unclear
    if dayfirst is None:
        dayfirst = bool(may_be_day.sum() >= may_be_month.sum())
    year = parts["c"].where(parts["c"].str.len() != 2, "20" + parts["c"])
    year = year.where((parts["c"].str.len() != 2) | (c < 70), "19" + parts["c"])

    def read(day: str, month: str) -> pd.Series:
        texts = (
            year + "-" + parts[month].str.zfill(2) + "-" + parts[day].str.zfill(2) + (" " + parts["rest"]).fillna("")
        )
        times = _attempt(texts, utc=utc, format="ISO8601")
        return times if times.notna().all() else _fuller(times, _attempt(texts, utc=utc))

    first = read(*("ab" if dayfirst else "ba"))
    if is_known:
        return first, None
    return first, None if first.equals(second := read("b", "a")) else second


def _attempt(texts: pd.Series, **options: object) -> pd.Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns that it guesses; a wrong guess is an error later
        return pd.Series(pd.to_datetime(texts, errors="coerce", **options))  # type: ignore[call-overload]


def _fuller(first: pd.Series, second: pd.Series) -> pd.Series:
    return second if second.notna().sum() > first.notna().sum() else first
