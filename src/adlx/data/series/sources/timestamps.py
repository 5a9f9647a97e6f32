"""Which column of a file holds the time, and what its values mean. All times become UTC; naive ones are UTC already."""

import logging
import re
import warnings
from collections.abc import Hashable

import numpy as np
import pandas as pd

from adlx.errors import UserError

log = logging.getLogger("adlx")

_NAMES = ("time", "timestamp", "datetime", "date")
_CLOCK_ONLY = re.compile(r"^\s*\d{1,2}:\d{2}")
_EPOCH = {"s": (1e8, 1e11), "ms": (1e11, 1e14)}  # 1973 to 5138, so that row numbers are not read as times


def time_column_of(raw: pd.DataFrame, named: str | None, where: str) -> Hashable:
    """The label of the time column: the named one, else the first that looks like times, usual names first.

    Raises:
        UserError: if no column looks like times; it lists the columns.
    """
    labels = {str(label): label for label in raw.columns}
    if named is not None:
        return labels[named]
    found = [label for label in raw.columns if _looks_like_time(pd.Series(raw[label]))]
    if not found:
        listed = ", ".join(list(labels)[:12]) + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
        raise UserError(
            f"{where} has no column of timestamps among {listed}; name one with data.time_column=NAME "
            "(ISO dates such as 2024-01-31 13:00, or epoch seconds or milliseconds)"
        )
    found.sort(key=lambda label: str(label).strip().lower() not in _NAMES)
    if len(found) > 1:
        log.info("%s: time is column %s (not %s)", where, found[0], ", ".join(str(label) for label in found[1:]))
    return found[0]


def parse_times(column: pd.Series, where: str) -> pd.DatetimeIndex:
    """The column as UTC times, microsecond resolution, named "time".

    Raises:
        UserError: with the first row that cannot be read.
    """
    empty = np.flatnonzero(column.isna().to_numpy())
    if len(empty):
        raise UserError(f"{where}: column {column.name} has no timestamp in data row {empty[0] + 1}; fill it in")
    if pd.api.types.is_datetime64_any_dtype(column):
        times = pd.to_datetime(column, utc=True)
    elif pd.api.types.is_numeric_dtype(column):
        times = _from_numbers(column, where)
    else:
        times = _from_text(column.astype(str), where)
    bad = np.flatnonzero(times.isna().to_numpy())
    if len(bad):
        raise UserError(
            f"{where}: column {column.name}, data row {bad[0] + 1}: {str(column.iloc[bad[0]])[:40]!r} is not a "
            "timestamp like the others; write all as 2024-01-31 13:00 or as epoch seconds or milliseconds"
        )
    return pd.DatetimeIndex(times, name="time").as_unit("us")


def _looks_like_time(column: pd.Series) -> bool:
    """Checks the first hundred values: a bad value further down is an error, not a reason to use another column."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    sample = column.dropna().iloc[:100]
    if len(sample) == 0 or pd.api.types.is_bool_dtype(column):
        return False
    if pd.api.types.is_numeric_dtype(column):
        return str(column.name).strip().lower() in _NAMES and bool((sample % 1 == 0).all())
    text = sample.astype(str)
    if text.str.match(_CLOCK_ONLY).all():
        return False
    return bool(_parse_text(text).notna().mean() > 0.5)


def _from_numbers(column: pd.Series, where: str) -> pd.Series:
    """Reads epoch seconds or milliseconds, distinguished by size, or dates written as 20240131."""
    numbers = column.to_numpy("float64")
    if np.all((numbers >= 19000101) & (numbers <= 21001231)):
        dates = pd.to_datetime(
            pd.Series(numbers).astype("int64").astype(str), format="%Y%m%d", errors="coerce", utc=True
        )
        if dates.notna().all():
            return dates
    for unit, (low, high) in _EPOCH.items():
        if np.all((numbers >= low) & (numbers < high)):
            return pd.to_datetime(column.astype("int64"), unit=unit, utc=True)  # pyright: ignore[reportArgumentType]
    odd = numbers[0] if not _EPOCH["s"][0] <= numbers[0] < _EPOCH["ms"][1] else numbers.min()
    raise UserError(
        f"{where}: column {column.name} is neither epoch seconds nor epoch milliseconds throughout ({odd:.16g}); "
        "name the column of timestamps with data.time_column=NAME"
    )


def _from_text(column: pd.Series, where: str) -> pd.Series:
    times = _parse_text(column)
    if times.attrs.get("dayfirst"):
        log.info("%s: column %s is read as day/month/year", where, column.name)
    return times


def _parse_text(column: pd.Series) -> pd.Series:
    """ISO first (fast, and it allows dates and times mixed), then what pandas infers, then the day before the month.

    Returns:
        The attempt with the fewest NaT; an earlier one in a tie.
    """
    best = pd.Series(pd.NaT, index=column.index)
    for form, dayfirst in (("ISO8601", False), (None, False), (None, True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas warns that it guesses; a wrong guess is an error below
            times = pd.to_datetime(column, format=form, dayfirst=dayfirst, errors="coerce", utc=True)
        if times.isna().sum() < best.isna().sum():
            best = times
            best.attrs["dayfirst"] = dayfirst
        if not best.isna().any():
            break
    return best
