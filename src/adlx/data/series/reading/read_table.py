"""The reader that makes series of any table: wide or long, from a file, a folder of files or a frame."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adlx.data.series.clock import Clock
from adlx.data.series.clock_detection import clock_of
from adlx.data.series.reading.columns import (
    id_column_of,
    listed,
    time_column_of,
    values_of,
    with_times_of_day,
    without_row_numbers,
)
from adlx.data.series.reading.files import columns_of, read_columns
from adlx.data.series.reading.gaps import apply_policy, find_gaps, stamp
from adlx.data.series.reading.notation import Notation
from adlx.data.series.reading.options import ReadOptions
from adlx.data.series.reading.order import in_order
from adlx.data.series.reading.timestamps import Times, parse_times
from adlx.data.series.table import Table, check_frame, check_values
from adlx.errors import UserError

log = logging.getLogger("adlx")


def read_table(
    source: str | Path | pd.DataFrame,
    options: ReadOptions | None = None,
    needed: Sequence[str] | None = None,
    clock: Clock | None = None,
) -> Table:
    """Reads a table, wide (a column for each series) or long (a row for each series and time).

    Args:
        source: a CSV file (also compressed), a Parquet or Excel file, a folder of such files, or a frame.
        options: how to read it.
        needed: the series that a trained model knows; other columns may hold anything then.
        clock: that of the same series before.

    Raises:
        UserError: it cannot be read, or a series in it would be wrong.
    """
    options = options or ReadOptions()
    if isinstance(source, pd.DataFrame):
        raw, where = columns_of(source), "the frame"
    else:
        path = Path(source).expanduser()
        raw, where = read_columns(path, options), path.name
    if raw.empty:
        raise UserError(f"{where} holds no data row; give a file with a header and rows of times and values")
    raw = without_row_numbers(raw, where)
    name = time_column_of(raw, options, where)
    column, used = with_times_of_day(raw, name, where)
    series = id_column_of(raw.assign(**{name: column}), [name], options, where)
    if needed is not None and series is None and options.columns is None and set(needed) <= set(raw.columns):
        if others := [each for each in raw.columns if each not in (*used, *needed)]:
            log.info("ignoring series that the run was not trained on: %s", listed(others))
        options = replace(options, columns=tuple(needed))
    values = values_of(raw, [*used, *([] if series is None else [series])], options, where)
    times = parse_times(column, where, options.timezone, options.dayfirst)
    for note in times.notes:
        log.info("%s: %s", where, note.removeprefix(f"{where}: "))
    if series is None:
        frame = values.set_axis(times.index, axis=0)
        frame, times = _with_known_days(frame, times, where)
    else:
        frame = _pivoted(values, times.index, pd.Series(raw[series]), options, where)
    frame = in_order(frame, where, options.duplicates, options.sort)
    check_values(frame, where)
    clock = clock_of(frame.index, options.freq, where, clock)
    frame, filled, breaks = apply_policy(frame, find_gaps(frame, clock), options.gaps, where)
    long_columns = None if series is None else (series, name, _value_column(values))
    return Table(check_frame(frame, where), "csv", where, clock, times.notation, filled, breaks, long_columns)


def _value_column(values: pd.DataFrame) -> str:
    return "y" if "y" in values or values.shape[1] > 1 else str(values.columns[0])


def _with_known_days(frame: pd.DataFrame, times: Times, where: str) -> tuple[pd.DataFrame, Times]:
    """Where day and month cannot be told apart, the reading that is regular.

    Raises:
        UserError: both readings are regular, or none.
    """
    if times.other is None:
        return frame, times
    readings = {"true": times.index, "false": times.other}
    missing = {}
    for name, index in readings.items():
        try:
            ordered = index.sort_values().unique()
            clock = clock_of(ordered, None, where)
            missing[name] = len(clock.between(ordered[0], ordered[-1])) - len(ordered)
        except UserError:
            continue
    best = min(missing, key=lambda name: missing[name], default=None)
    if best is None or (len(missing) == 2 and max(missing.values()) <= 10 * missing[best]):
        raise UserError(
            f"{where}: the times may have the day or the month first ({stamp(times.index[1])} or "
            f"{stamp(times.other[1])} in data row 2): set data.dayfirst=true or data.dayfirst=false"
        )
    log.info(
        "%s: times are read with the %s first, since they are regular so",
        where,
        {"true": "day", "false": "month"}[best],
    )
    index = readings[best].rename("time")
    notation = (
        times.notation if best == "true" else Notation((times.notation.format or "").replace("%d/%m", "%m/%d") or None)
    )
    return frame.set_axis(index, axis=0), Times(index, notation)


def _pivoted(values: pd.DataFrame, index: pd.Index, ids: pd.Series, options: ReadOptions, where: str) -> pd.DataFrame:
    """One column for each series of a long table."""
    if ids.isna().any():
        raise UserError(f"{where}: data row {int(np.flatnonzero(ids.isna())[0]) + 1} has no {ids.name}; fill it in")
    if values.shape[1] > 1 and options.columns is None:
        if "y" not in values:
            raise UserError(
                f"{where} has several columns of numbers ({listed(list(values.columns))}) for each {ids.name}: choose "
                f"with data.columns=[{values.columns[0]}]"
            )
        values = values.loc[:, ["y"]]
    keys = ids.astype("str").str.strip()
    frame = values.assign(id=keys.to_numpy(), time=index)
    twice = frame.duplicated(["id", "time"])
    if twice.any() and options.duplicates == "error":
        row = int(np.flatnonzero(twice)[0])
        raise UserError(
            f"{where}: {keys.iloc[row]} has more than one row at {stamp(index[row])} (data row {row + 1}): set "
            "data.duplicates=first, last or mean"
        )
    how = "first" if options.duplicates == "error" else options.duplicates
    grouped = frame.groupby(["time", "id"], sort=True, observed=True).agg(how)
    wide: Any = grouped.unstack("id")
    names = [identity if values.shape[1] == 1 else f"{identity} {column}" for column, identity in wide.columns]
    wide = wide.set_axis(names, axis=1).rename_axis("time")
    order = list(dict.fromkeys(keys))
    wide = wide[sorted(names, key=lambda name: order.index(name) if name in order else len(order))]
    starts = [wide[name].first_valid_index() for name in names]
    ends = [wide[name].last_valid_index() for name in names]
    if max(starts) != min(starts) or max(ends) != min(ends):
        log.info("%s: the series are used where all of them have begun and none has ended", where)
    common = wide.loc[max(starts) : min(ends)]
    if len(common) < 2:
        raise UserError(f"{where}: its series have no time in common")
    return common
