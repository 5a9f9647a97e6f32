"""Which columns of a file are its times, its series and their values."""

import difflib
import logging
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from adlx.data.series.reading.files import FILE
from adlx.data.series.reading.numbers_in_text import decimal_of, marks_in, numbers_of, refuse_marks
from adlx.data.series.reading.options import ReadOptions
from adlx.data.series.reading.timestamps import looks_like_times
from adlx.errors import UserError

log = logging.getLogger("adlx")

TIMES = ("time", "timestamp", "datetime", "date", "ds", "datum", "zeit", "zeitstempel", "fecha", "period")
COUNTS = (*TIMES, "year", "jahr", "month", "week", "day", "hour", "step", "t", "index", "epoch", "unix", "time_idx")
IDS = (FILE, "unique_id", "series_id", "item_id", "id", "series", "ticker", "symbol", "name", "group", "key", "entity")
TARGETS = ("y", "value", "target", "sales", "close")
CLOCK_ONLY = re.compile(r"^\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?$")


def without_row_numbers(raw: pd.DataFrame, where: str) -> pd.DataFrame:
    """Leaves out a first column that counts the rows and has no name of its own."""
    first = raw.columns[0]
    if len(raw.columns) < 3 or str(first).strip().lower() not in (
        "",
        "unnamed: 0",
        "index",
        "level_0",
        "column_1",
        "#",
    ):
        return raw
    numbers = pd.Series(raw[first])
    if not pd.api.types.is_integer_dtype(numbers) or not (np.diff(numbers.to_numpy("int64")) == 1).all():
        return raw
    log.info("%s: the first column counts the rows; it is left out", where)
    return raw.drop(columns=first)


def time_column_of(raw: pd.DataFrame, options: ReadOptions, where: str) -> str:
    """The name of the column of times: the named one, else the first that looks like it, usual names first.

    Raises:
        UserError: no column looks like times; it lists the columns.
    """
    if options.time_column is not None:
        return known(raw, options.time_column, where)
    usual = {name: name.strip().lower() for name in raw.columns}
    found = [name for name in raw.columns if looks_like_times(pd.Series(raw[name]))]
    dated = [name for name in found if not _is_clock_time(pd.Series(raw[name]))]
    if not dated:
        dated = [name for name in raw.columns if usual[name] in COUNTS and _counts(pd.Series(raw[name]))]
    if not dated:
        raise UserError(
            f"{where} has no column of times among {listed(list(raw.columns))}; name one with data.time_column=NAME "
            "(dates such as 2024-01-31 13:00, years, counts, or seconds since 1970)"
        )
    dated.sort(key=lambda name: usual[name] not in COUNTS)
    if len(dated) > 1:
        log.info("%s: time is column %s (not %s)", where, dated[0], ", ".join(dated[1:]))
    return dated[0]


def with_times_of_day(raw: pd.DataFrame, dates: str, where: str) -> tuple[pd.Series, list[str]]:
    """The column of times, joined with a column of times of day if there is one, and the names of the columns used."""
    column = pd.Series(raw[dates])
    others = [name for name in raw.columns if name != dates and _is_clock_time(pd.Series(raw[name]))]
    if len(others) != 1 or not column.duplicated().any() or pd.api.types.is_numeric_dtype(column):
        return column, [dates]
    log.info("%s: time is columns %s and %s", where, dates, others[0])
    text = column.dt.strftime("%Y-%m-%d") if pd.api.types.is_datetime64_any_dtype(column) else column.astype("str")
    return (text.str.strip() + " " + raw[others[0]].astype("str").str.strip()).rename(dates), [dates, others[0]]


def id_column_of(raw: pd.DataFrame, used: Sequence[str], options: ReadOptions, where: str) -> str | None:
    """The name of the column that says which series a row belongs to; None for a wide table."""
    if options.id_column is not None:
        return known(raw, options.id_column, where)
    usual = {name: name.strip().lower() for name in raw.columns if name not in used}
    named = sorted((name for name in usual if usual[name] in IDS), key=lambda name: IDS.index(usual[name]))
    repeats = raw.duplicated(list(used)).any()
    text = [name for name in usual if pd.api.types.is_string_dtype(raw[name]) or raw[name].dtype == "category"]
    for name in dict.fromkeys([*named, *text]):
        if (name in text or name == FILE or repeats) and not raw.duplicated([*used, name]).any() and repeats:
            log.info("%s: a long table, one series for each %s", where, name)
            return name
    return None


def _is_clock_time(column: pd.Series) -> bool:
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return False
    sample = column.dropna().iloc[:100].astype(str).str.strip()
    return len(sample) > 0 and bool(sample.str.match(CLOCK_ONLY).all())


def _counts(column: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    return len(column) > 0 and bool(column.notna().all())


def values_of(raw: pd.DataFrame, used: Sequence[str], options: ReadOptions, where: str) -> pd.DataFrame:
    """The columns of numbers as float64. Text columns are logged and left out, or are an error where asked for by name.

    Raises:
        UserError: there is no column of numbers, or one holds text that may mark absent values.
    """
    asked = options.columns is not None
    wanted = [known(raw, str(name), where) for name in options.columns or [n for n in raw.columns if n not in used]]
    for name in wanted:
        if name in used:
            raise UserError(f"{where}: {name} is the time column or the id column; leave it out of data.columns")
        if wanted.count(name) > 1:
            raise UserError(f"{where}: column {name} is named twice; every series needs one name")
    texts = {name: pd.Series(raw[name]) for name in wanted if not _is_numeric(pd.Series(raw[name]))}
    decimal = "point" if options.decimal == "auto" else options.decimal
    if options.decimal == "auto":
        samples = (str(text).strip() for column in texts.values() for text in column.dropna().unique()[:10_000])
        decimal = decimal_of(samples, where) or "point"
        if decimal == "comma":
            log.info("%s: numbers are read with a decimal comma", where)
    series, ignored = {}, []
    for name in wanted:
        if name not in texts:
            series[name] = raw[name].to_numpy("float64", na_value=np.nan)
            continue
        column = texts[name]
        numbers = numbers_of(column, decimal)
        bad = np.flatnonzero(numbers.isna().to_numpy() & column.notna().to_numpy())
        if len(bad) == 0 and column.notna().any():
            series[name] = numbers.to_numpy()
            continue
        if marks := marks_in(column, numbers):
            refuse_marks(column, marks, where)
        fault = f"data row {bad[0] + 1}: {str(column.iloc[bad[0]])[:30]!r}" if len(bad) else "it is empty"
        if asked:
            raise UserError(f"{where}: column {name} is not numeric ({fault}); fix it or leave it out of data.columns")
        ignored.append(f"{name} ({fault})")
    if ignored:
        log.info("%s: ignored columns that are not numeric: %s", where, listed(ignored))
    if not series:
        raise UserError(f"{where} has no numeric column other than {used[0]}; it has {listed(list(raw.columns))}")
    return pd.DataFrame(series)


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def known(raw: pd.DataFrame, name: str, where: str) -> str:
    """The name, if the file has such a column.

    Raises:
        UserError: with the nearest name.
    """
    names = [str(column) for column in raw.columns]
    if name in names:
        return name
    lower = {column.lower(): column for column in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    hint = f"did you mean {lower[near[0]]}? " if near else ""
    raise UserError(f"{where} has no column {name}; {hint}it has {listed(names)}")


def listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
