"""How a text file writes a table: its separator, header rows, decimal mark and marks of absent values."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pandas.io.common import get_handle

from adlx.errors import UserError

SEPARATORS = ",;\t|"
LINES = 200
"""Lines of a file from which its dialect is derived."""
HEADERS = 6
"""Most lines above the first row of data."""

_NUMBER = re.compile(r"^[+-]?(\d[\d.,  ' ]*|\.\d+|,\d+)([eE][+-]?\d+)?%?$")
_DATE = re.compile(r"^\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?([T ].*)?$|^\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?$")
_EMPTY = ("", "na", "nan", "null", "none", "n/a", "#n/a", "nat", "<na>", "?", "-", "--", ".")


@dataclass(frozen=True)
class Dialect:
    """What a text file is read by.

    Attributes:
        separator: of the fields of a row.
        names: one for each column, in order.
        skipped: lines above the first row of data.
        notes: what was derived and a user should know, in words.
    """

    separator: str
    names: tuple[str, ...]
    skipped: int
    notes: tuple[str, ...] = ()


def dialect_of(path: Path) -> Dialect:
    """Derives the dialect from the first lines of a file.

    Raises:
        UserError: two columns have one name, or rows have more fields than the header.
        OSError, UnicodeDecodeError: the file cannot be read as text.
    """
    lines = first_lines(path)
    if not lines:
        raise UserError(f"{path.name} is empty; give a CSV or Parquet file with a header and rows")
    separator = _separator(lines)
    rows = [[field.strip() for field in row] for row in csv.reader(lines, delimiter=separator, skipinitialspace=True)]
    width = int(np.bincount([len(row) for row in rows[len(rows) // 2 :]]).argmax())
    first = next((at for at, row in enumerate(rows) if len(row) == width and _is_data(row)), None)
    if first is None or first > HEADERS:
        first = 1  # no row of numbers: the columns are checked later
    above = rows[:first]
    headers = [row for row in above if len([field for field in row if field]) > 1 or len(row) == width]
    notes = []
    if len(above) > len(headers):
        notes.append(f"skipped {len(above) - len(headers)} line(s) above the header")
    if not headers:
        names = tuple(f"column_{at + 1}" for at in range(width))
        notes.append(f"no header: the columns are named {names[0]} to {names[-1]}")
    else:
        if len(headers[-1]) < width and len(headers) == 1:
            raise UserError(f"{path.name}: {_more_fields(headers[-1], rows[first], separator)}")
        names = _joined_names(headers, width)
        if len(headers) > 1:
            notes.append(f"{len(headers)} header rows, joined to names such as {names[-1]}")
    _check_unique(names, path.name)
    return Dialect(separator, names, first, tuple(notes))


def first_lines(path: Path) -> list[str]:
    """The first lines with text, of a file that may be compressed."""
    with get_handle(path, "r", encoding="utf-8-sig", compression="infer") as handles:
        file: Any = handles.handle
        return [line for line in islice(file, LINES) if line.strip()]


def _separator(lines: Sequence[str]) -> str:
    """The separator that gives most rows one and the same number of fields, above one; a comma if none does.

    Where a comma and another mark do so alike, the comma is the decimal mark.
    """
    best, most = ",", (0.0, False, 0)
    for separator in SEPARATORS:
        widths = [len(row) for row in csv.reader(lines, delimiter=separator)]
        width = int(np.bincount(widths).argmax())
        if width > 1 and (score := (widths.count(width) / len(widths), separator != ",", width)) > most:
            best, most = separator, score
    return best


def _is_data(row: Sequence[str]) -> bool:
    """Whether a row holds a number or a date, and hardly anything else but ids."""
    kinds = [bool(_NUMBER.match(field) or _DATE.match(field)) for field in row]
    full = [field for field in row if field.lower() not in _EMPTY]
    if not any(kinds) or not full:
        return False
    return sum(kinds) >= len(full) / 2


def _joined_names(headers: Sequence[Sequence[str]], width: int) -> tuple[str, ...]:
    """One name a column of one or more header rows; a row that says the same of all columns adds nothing."""
    rows = [[*row, *[""] * (width - len(row))] for row in headers]
    if len(rows) > 1:
        told_apart = [row for row in rows if len({field for field in row[1:] if field}) > 1] or rows[:1]
        last = rows[-1]
        names = [" ".join(filter(None, (row[at] for row in told_apart))) for at in range(width)]
        return tuple(name if at or not last[0] else last[0] for at, name in enumerate(names))
    return tuple(rows[0])


def _more_fields(header: Sequence[str], row: Sequence[str], separator: str) -> str:
    commas = "; where the comma is a decimal mark, separate fields by semicolons" if separator == "," else ""
    return (
        f"the rows have {len(row)} fields, more than the header, which has {len(header)}: name every column in the "
        f"first row{commas}"
    )


def _check_unique(names: Sequence[str], where: str) -> None:
    for at, name in enumerate(names):
        if name and name in names[:at]:
            raise UserError(
                f"{where}: columns {names.index(name) + 1} and {at + 1} are both named {name}; give every column a "
                "name of its own"
            )
