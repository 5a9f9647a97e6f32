"""The one thing that every source of time series returns."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from adlx.data.series.clock import Clock
from adlx.data.series.clock_detection import clock_of
from adlx.data.series.reading.gaps import breaks_of, find_gaps, stamp
from adlx.data.series.reading.notation import Notation
from adlx.data.series.reading.order import in_order
from adlx.errors import UserError

log = logging.getLogger("adlx")

Source = Literal["yahoo", "csv", "simulated", "ecb"]


@dataclass(frozen=True)
class Table:
    """Series over a shared clock, and where they come from.

    Attributes:
        frame: float64 columns, one a series, in their original units; the index is a `DatetimeIndex` in the zone of the
            source, or whole numbers, named "time", strictly increasing; no NaN, no infinity.
        source: the kind of source.
        detail: one phrase for humans, as "prices.csv", "seed 0" or "stale cache, 4 days old".
        clock: the times at which rows are expected.
        notation: how the source writes times.
        filled: (rows, S) bool, values that the source lacks.
        breaks: (rows,) bool, whether rows are missing before a row.
        long_columns: names of the columns of ids, times and values of a long table; None: a wide one.
    """

    frame: pd.DataFrame
    source: Source
    detail: str
    clock: Clock
    notation: Notation
    filled: np.ndarray
    breaks: np.ndarray
    long_columns: tuple[str, str, str] | None = None

    @classmethod
    def of(cls, frame: pd.DataFrame, source: Source, detail: str) -> "Table":
        """The table of a checked frame; where rows are missing by its clock, they break windows."""
        clock = clock_of(frame.index, None, detail)
        missing = find_gaps(frame, clock).missing
        index = frame.index
        are_days = isinstance(index, pd.DatetimeIndex) and bool((index == index.normalize()).all())
        notation = Notation("%Y-%m-%d") if are_days else Notation(has_offset=True)
        return cls(frame, source, detail, clock, notation, np.zeros(frame.shape, bool), breaks_of(frame.index, missing))

    @property
    def simulated(self) -> bool:
        return self.source == "simulated"

    @property
    def zone(self) -> str | None:
        """The name of the time zone, if the source names one."""
        index = self.frame.index
        has_zone = isinstance(index, pd.DatetimeIndex) and self.notation.has_offset
        return str(index.tz) if has_zone else None  # type: ignore[attr-defined]

    def rows(self, start: int, stop: int) -> "Table":
        """The rows from `start` to `stop`."""
        part = slice(start, stop)
        return replace(self, frame=self.frame.iloc[part], filled=self.filled[part], breaks=self.breaks[part])

    def columns(self, names: Sequence[str]) -> "Table":
        """The series of these names, in this order."""
        at = self.frame.columns.get_indexer(list(names))
        return replace(self, frame=self.frame.iloc[:, at], filled=self.filled[:, at])

    def conform(self, known: tuple[str, ...]) -> "Table":
        """Keeps the series that a trained model knows, in its order.

        Raises:
            UserError: one of them is absent.
        """
        present = list(map(str, self.frame.columns))
        if absent := [name for name in known if name not in present]:
            raise UserError(
                f"the run was trained on the series {', '.join(known)}; {self.detail} lacks {', '.join(absent)} "
                f"(it has {', '.join(present)})"
            )
        if extra := [name for name in present if name not in known]:
            log.info(f"ignoring series that the run was not trained on: {', '.join(extra)}")
        return self.columns(known)

    def arranged_like(self, known: tuple[str, ...]) -> "Table":
        """The series in the order of those that a model was trained on, by name. Says what goes by position."""
        own = list(map(str, self.frame.columns))
        if set(own) == set(known):
            if own != list(known):
                log.info(f"the series are in the order of the base run: {', '.join(known)}")
            return self.columns(known)
        if len(own) == len(known):
            log.info(f"other series than those of the base run, so by position: {', '.join(own)} as {', '.join(known)}")
        return self

    def written_times(self, times: pd.Index) -> pd.Index:
        """Times as the source writes them."""
        return self.notation.write(times)

    def shown_times(self, times: pd.Index) -> pd.Index:
        """Times without a zone, if the source names none."""
        if self.notation.has_offset or not isinstance(times, pd.DatetimeIndex):
            return times
        return times.tz_localize(None)

    @staticmethod
    def clock_times(times: pd.Index) -> np.ndarray:
        """Times as `datetime64` of the clock of their zone; whole numbers as they are."""
        return times.tz_localize(None).to_numpy() if isinstance(times, pd.DatetimeIndex) else times.to_numpy()

    def time(self, key: str, value: str | int) -> pd.Timestamp | int:
        """A time of the table from the text of a setting; without an offset it is a clock time of the table's zone.

        Raises:
            UserError: naming the key.
        """
        index = self.frame.index
        if not isinstance(index, pd.DatetimeIndex):
            if not re.fullmatch(r"[+-]?\d+", str(value)):
                raise UserError(f"{key}={value}: the times of {self.detail} are whole numbers, such as {index[0]}")
            return int(value)
        try:
            time = pd.Timestamp(str(value))
        except ValueError:
            raise UserError(f"{key}={value} is not a time: write it as 2024-01-31 or 2024-01-31T12:00") from None
        if not isinstance(time, pd.Timestamp):  # NaT
            raise UserError(f"{key}={value} is not a time: write it as 2024-01-31 or 2024-01-31T12:00")
        zoned: Any = time.tz_localize(index.tz) if time.tzinfo is None else time.tz_convert(index.tz)
        return zoned


def check_frame(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Checks that the frame is as `Table.frame` describes, and returns it unchanged.

    Raises:
        UserError: naming `where`, the column and the row of the first fault.
    """
    index = frame.index
    if not pd.api.types.is_integer_dtype(index) and (not isinstance(index, pd.DatetimeIndex) or index.tz is None):
        raise UserError(f"{where} has no index of times with a zone, or of whole numbers")
    if len(frame) < 2 or frame.shape[1] == 0:
        raise UserError(f"{where} holds {len(frame)} row(s) of {frame.shape[1]} series; at least 2 rows are needed")
    in_order(frame, where)
    check_values(frame, where)
    rows, cols = np.nonzero(frame.isna().to_numpy())
    if len(rows):
        raise UserError(f"{where}: column {frame.columns[cols[0]]} has no value at {stamp(index[rows[0]])}")
    return frame


def check_values(frame: pd.DataFrame, where: str) -> None:
    """Faults that no gap policy may hide: an infinity, and a column without any value."""
    rows, cols = np.nonzero(np.isinf(frame.to_numpy()))
    if len(rows):
        raise UserError(
            f"{where}: column {frame.columns[cols[0]]} is infinite at {stamp(frame.index[rows[0]])} "
            f"(data row {rows[0] + 1}); put a number there, or leave the cell empty and choose data.gaps"
        )
    empty = frame.columns[frame.isna().all()]
    if len(empty):
        raise UserError(f"{where}: column {empty[0]} has no value at all; leave it out with data.columns=[...]")
