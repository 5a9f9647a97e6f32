"""Tables that declare the format of each column, so that the format never depends on the name of a column."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from adlx.metrics.text import Format, format_column, format_means


@dataclass(frozen=True)
class Column:
    """The heading and the format of a column.

    Args:
        heading: the text above it.
        format: the format of its numbers; None: the column is text.
        has_deviation: the next column of the frame holds its standard deviations; the two are shown as one.
    """

    heading: str
    format: Format | None = "number"
    has_deviation: bool = False


@dataclass(frozen=True)
class DataTable:
    """A frame and the formats of its columns.

    Args:
        frame: the values; its columns may have any names, even equal ones.
        columns: the formats, in the order of the frame.
    """

    frame: pd.DataFrame
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        expected = sum(1 + column.has_deviation for column in self.columns)
        if expected != self.frame.shape[1]:
            raise ValueError(f"the frame has {self.frame.shape[1]} columns, {expected} are declared")

    @classmethod
    def of_data(cls, frame: pd.DataFrame) -> Self:
        """Makes a table from a frame: floats have five digits, other values are shown as they are."""
        is_float = [dtype.kind == "f" for dtype in frame.dtypes]
        headings = zip(frame.columns, is_float, strict=True)
        return cls(frame, tuple(Column(str(name), "value" if number else None) for name, number in headings))

    @property
    def texts(self) -> pd.DataFrame:
        """The table as text, with its headings."""
        values = [self.frame.iloc[:, position].tolist() for position in range(self.frame.shape[1])]
        texts, position = [], 0
        for column in self.columns:
            if column.format is None:
                texts.append([str(value) for value in values[position]])
            elif column.has_deviation:
                texts.append(format_means(values[position], values[position + 1], column.format))
            else:
                texts.append(format_column(values[position], column.format))
            position += 1 + column.has_deviation
        return text_frame([column.heading for column in self.columns], texts)


def text_frame(headings: Sequence[str], columns: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Columns of text under headings, which may be equal."""
    return pd.DataFrame(list(zip(*columns, strict=True)), columns=list(headings), dtype=object)


def means(heading: str, rows: dict[str, np.ndarray], columns: Sequence[str]) -> DataTable:
    """Rows (columns,) by label; the first column has the name `heading` and holds the labels."""
    frame = pd.DataFrame(list(rows.values()), columns=list(columns))
    frame.insert(0, heading, list(rows), allow_duplicates=True)
    return DataTable(frame, (Column(heading, None), *map(Column, columns)))


def means_and_deviations(
    heading: str, rows: dict[str, np.ndarray], columns: Sequence[str], format: Format = "number", suffix: str = ""
) -> DataTable:
    """Rows (runs, columns) by label as columns `NAME` and `NAME_std`: mean and deviation over runs.

    Args:
        heading: the name of the first column, which holds the labels.
        rows: the numbers.
        columns: their names.
        format: of the numbers.
        suffix: text after each name in the frame; the headings do not have it.
    """
    names, values = [heading], [list(rows)]
    for position, name in enumerate(columns):
        by_row = [by_run[:, position] for by_run in rows.values()]
        names += [f"{name}{suffix}", _free_name(f"{name}{suffix}_std", columns)]
        values += [[float(runs.mean()) for runs in by_row], [deviation(runs) for runs in by_row]]
    frame = pd.DataFrame(list(zip(*values, strict=True)), columns=names)
    return DataTable(frame, (Column(heading, None), *(Column(name, format, has_deviation=True) for name in columns)))


def _free_name(name: str, used: Sequence[str]) -> str:
    """The name, with underscores at its end if the user's own names contain it."""
    while name in used:
        name += "_"
    return name


def deviation(values: np.ndarray) -> float:
    """Standard deviation over runs; NaN for one run, and if a value is not finite."""
    return float(values.std(ddof=1)) if len(values) > 1 and np.isfinite(values).all() else float("nan")
