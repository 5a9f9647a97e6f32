"""The user's own table of series."""

from typing import Any

from adlx.data.series.history import known_clock
from adlx.data.series.reading.options import Decimal, Duplicates, Gaps, ReadOptions
from adlx.data.series.reading.read_table import read_table
from adlx.data.series.series import Series
from adlx.data.series.table import Table
from adlx.paths import PathText
from adlx.ranges import PositiveInt


class CSV(Series):
    """Any table, wide or long: a CSV, Parquet or Excel file, or a folder of them. Beside the arguments of `Series`:

    Args:
        path: the file or folder.
        time_column, id_column, columns, timezone, freq, dayfirst, decimal, na_values, duplicates, sort, gaps: how it is
            read, see `ReadOptions`.
    """

    def __init__(
        self,
        path: PathText,
        time_column: str | None = None,
        id_column: str | None = None,
        columns: list[str] | None = None,
        timezone: str | None = None,
        freq: str | PositiveInt | None = None,
        dayfirst: bool | None = None,
        decimal: Decimal = "auto",
        na_values: list[str] | None = None,
        duplicates: Duplicates = "error",
        sort: bool = False,
        gaps: Gaps = "error",
        **windows: Any,
    ) -> None:
        super().__init__(**windows)
        self.path = path
        self.options = ReadOptions(
            time_column=time_column,
            id_column=id_column,
            columns=None if columns is None else tuple(columns),
            timezone=timezone,
            freq=None if freq is None else str(freq),
            dayfirst=dayfirst,
            decimal=decimal,
            na_values=tuple(na_values or ()),
            duplicates=duplicates,
            sort=sort,
            gaps=gaps,
        )

    def load(self) -> Table:
        clock = None if self.trained_on is None else known_clock(self.trained_on)
        needed = None if self.expected_spec is None else self.expected_spec.series
        return read_table(self.path, self.options, needed, clock)
