"""The user's own table of series."""

from typing import Any

from adlx.data.series.series import Series
from adlx.data.series.sources.gaps import Gaps
from adlx.data.series.sources.table import Table, read_table
from adlx.paths import PathText


class CSV(Series):
    """Any wide CSV or Parquet file. Arguments in addition to those of `Series`:

    Args:
        path: the file.
        time_column: the timestamps; None: found.
        columns: the series to use; None: every numeric column.
        gaps: what to do about missing rows and values: `error`, `drop` or `ffill`.
    """

    def __init__(
        self,
        path: PathText,
        time_column: str | None = None,
        columns: list[str] | None = None,
        gaps: Gaps = "error",
        **windows: Any,
    ) -> None:
        super().__init__(**windows)
        self.gaps: Gaps = gaps
        self.path, self.time_column, self.columns = path, time_column, columns

    def load(self) -> Table:
        return read_table(self.path, self.time_column, self.columns, self.gaps)
