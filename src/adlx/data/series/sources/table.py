"""The one thing every time-series source returns, and the reader that makes it from any wide CSV or Parquet file."""

import difflib
import logging
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from adlx.data.series.sources.gaps import Gaps, apply_policy, find_gaps
from adlx.data.series.sources.timestamps import parse_times, time_column_of
from adlx.errors import UserError

log = logging.getLogger("adlx")

Source = Literal["yahoo", "csv", "simulated", "ecb"]


@dataclass(frozen=True)
class Table:
    """Series over a shared clock, and where they come from.

    Attributes:
        frame: float64 columns, one a series, in their original units; the index is a UTC `DatetimeIndex` named
            "time", strictly increasing; no NaN, no infinity, no constant column.
        source: the kind of source.
        detail: one phrase for humans, as "prices.csv", "seed 0" or "stale cache, 4 days old".
    """

    frame: pd.DataFrame
    source: Source
    detail: str

    @property
    def simulated(self) -> bool:
        return self.source == "simulated"


def read_table(
    path: str | Path,
    time_column: str | None = None,
    columns: Sequence[str] | None = None,
    gaps: Gaps = "error",
) -> Table:
    """Reads a wide file: one row for each timestamp, one column for each series.

    Args:
        path: a CSV file (also compressed: .gz, .zip, .bz2, .xz) or a Parquet file.
        time_column: the column with the timestamps; None: detected. Times without a zone count as UTC.
        columns: the series to keep, in this order; every numeric column if None.
        gaps: what to do about NaN values and missing timestamps, see `gaps.py`.

    Raises:
        UserError: the file cannot be read, or a series in it would be wrong.
    """
    path = Path(path).expanduser()
    where = path.name
    if gaps not in get_args(Gaps):
        raise UserError(f"data.gaps={gaps} is unknown; choose one of {', '.join(get_args(Gaps))}")
    raw = _read_file(path)
    if raw.empty:
        raise UserError(f"{where} holds no data row; give a file with a header and rows of timestamp and values")
    name = time_column_of(raw, _known(raw, time_column, where) if time_column is not None else None, where)
    times = parse_times(pd.Series(raw[name]), where)
    frame = _numeric(raw.drop(columns=name), columns, str(name), where).set_axis(times, axis=0)
    _check_times(times, where)
    _check_values(frame, where)
    found = find_gaps(frame, where)
    frame = apply_policy(frame, found, gaps, where)
    return Table(check_frame(frame, where), "csv", where)


def check_frame(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Checks that the frame is as `Table.frame` describes, and returns it unchanged.

    Raises:
        UserError: naming `where`, the column and the row of the first fault.
    """
    if not isinstance(frame.index, pd.DatetimeIndex) or frame.index.tz is None:
        raise UserError(f"{where} has no index of timestamps in UTC")
    if len(frame) < 2 or frame.shape[1] == 0:
        raise UserError(f"{where} holds {len(frame)} row(s) of {frame.shape[1]} series; at least 2 rows are needed")
    _check_times(frame.index, where)
    _check_values(frame, where)
    rows, cols = np.nonzero(frame.isna().to_numpy())
    if len(rows):
        raise UserError(
            f"{where}: column {frame.columns[cols[0]]} has no value at {frame.index[rows[0]]:%Y-%m-%d %H:%M:%S}"
        )
    for column, values in frame.items():
        if np.ptp(values.to_numpy()) == 0:
            raise UserError(
                f"{where}: column {column} is constant ({values.iloc[0]:g} in each of {len(frame)} rows), "
                "so there is nothing to learn; leave it out with data.columns=[...]"
            )
    return frame


def _read_file(path: Path) -> pd.DataFrame:
    """The raw columns; an index that a Parquet file brings along becomes a column."""
    if path.is_dir():
        raise UserError(f"data.path={path} is a folder; name one CSV or Parquet file in it")
    if not path.exists():
        raise UserError(f"data.path={path} does not exist; check the spelling and the folder you are in")
    parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        frame = pd.read_parquet(path) if parquet else _read_csv(path)
    except pd.errors.EmptyDataError as error:
        raise UserError(f"{path.name} is empty; give a CSV or Parquet file with a header and rows") from error
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile, pd.errors.ParserError) as error:
        kind = "Parquet" if parquet else "CSV (UTF-8 text)"
        raise UserError(f"{path.name} cannot be read as {kind}: {_one_line(error)}; give a CSV or Parquet") from error
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    if not parquet:
        # pandas would shift every name by one here, and say nothing.
        raise UserError(f"{path.name}: the rows have more fields than the header; name every column in the first row")
    return frame.reset_index()


def _read_csv(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path, low_memory=False)
    separator = next((s for s in ";\t|" if frame.shape[1] == 1 and s in str(next(iter(frame)))), None)
    return frame if separator is None else pd.read_csv(path, sep=separator, low_memory=False)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."


def _known(raw: pd.DataFrame, name: str, where: str) -> str:
    """The name, if the file has such a column; else an error with the nearest one."""
    names = [str(column) for column in raw.columns]
    if name in names:
        return name
    lower = {column.lower(): column for column in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    hint = f"did you mean {lower[near[0]]}? " if near else ""
    raise UserError(f"{where} has no column {name}; {hint}it has {_listed(names)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _numeric(raw: pd.DataFrame, columns: Sequence[str] | None, time_name: str, where: str) -> pd.DataFrame:
    """The series as float64; text columns are named aloud and left, or are an error where asked for by name."""
    raw = raw.set_axis([str(column) for column in raw.columns], axis=1)
    wanted = list(raw.columns) if columns is None else [str(column) for column in columns]
    if time_name in wanted:
        raise UserError(f"{where}: {time_name} is the time column; leave it out of data.columns")
    if len(set(wanted)) < len(wanted):
        twice = next(name for name in wanted if wanted.count(name) > 1)
        raise UserError(f"{where}: column {twice} is named twice; every series needs one name")
    series, ignored = {}, []
    for name in wanted:
        column = pd.Series(raw[_known(raw, name, where)])
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            series[name] = column.to_numpy("float64", na_value=np.nan)
            continue
        fault = _first_text(column)
        if columns is not None:
            raise UserError(f"{where}: column {name} is not numeric ({fault}); fix it or leave it out of data.columns")
        ignored.append(f"{name} ({fault})")
    if ignored:
        log.info("%s: ignored columns that are not numeric: %s", where, _listed(ignored))
    if not series:
        raise UserError(f"{where} has no numeric column other than {time_name}; it has {_listed(list(raw.columns))}")
    return pd.DataFrame(series)


def _first_text(column: pd.Series) -> str:
    as_numbers = pd.Series(pd.to_numeric(column.astype("object"), errors="coerce"))
    bad = np.flatnonzero(as_numbers.isna().to_numpy() & column.notna().to_numpy())
    return f"data row {bad[0] + 1}: {str(column.iloc[bad[0]])[:30]!r}" if len(bad) else str(column.dtype)


def _check_times(times: pd.DatetimeIndex, where: str) -> None:
    if times.is_monotonic_increasing and times.is_unique:
        return
    if len(times) > 1 and times.is_monotonic_decreasing and times.is_unique:
        raise UserError(f"{where} runs from the newest row to the oldest; sort its rows by time, oldest first")
    if not times.is_unique:
        second = int(np.flatnonzero(times.duplicated())[0])
        first = int(np.flatnonzero(times == times[second])[0])
        raise UserError(
            f"{where}: timestamp {times[second]:%Y-%m-%d %H:%M:%S} occurs more than once (data rows {first + 1} and "
            f"{second + 1}; {int(times.duplicated().sum())} rows too many in all); keep one row for each timestamp"
        )
    row = int(np.flatnonzero(np.diff(times.asi8) < 0)[0]) + 1
    raise UserError(
        f"{where} is not in order of time: data row {row + 1} ({times[row]:%Y-%m-%d %H:%M:%S}) is before row {row} "
        f"({times[row - 1]:%Y-%m-%d %H:%M:%S}); sort its rows by time"
    )


def _check_values(frame: pd.DataFrame, where: str) -> None:
    """Faults that no gap policy may hide: an infinity, and a column without any value."""
    values = frame.to_numpy()
    rows, cols = np.nonzero(np.isinf(values))
    if len(rows):
        raise UserError(
            f"{where}: column {frame.columns[cols[0]]} is infinite at {frame.index[rows[0]]:%Y-%m-%d %H:%M:%S} "
            f"(data row {rows[0] + 1}); put a number there, or leave the cell empty and choose data.gaps"
        )
    for column, values in frame.items():
        if len(values.dropna()) == 0:
            raise UserError(f"{where}: column {column} has no value at all; leave it out with data.columns=[...]")
