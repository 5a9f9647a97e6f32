"""Reads numbers out of columns of text: decimal commas, groups of thousands, and marks of absent values."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from adlx.data.series.reading.options import Decimal
from adlx.errors import UserError

MOST_MARKS = 3
"""Largest number of different texts in a column of numbers that may mark absent values."""

_GROUPED_BY_POINTS = re.compile(r"^[+-]?\d{1,3}(\.\d{3})+(,\d*)?$")
_GROUPED_BY_COMMAS = re.compile(r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$")
_DECIMAL_COMMA = re.compile(r"^[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?$")
_GROUPS = r"(?<=\d)[ \u00a0\u202f'\u2019](?=\d{3})"  # spaces and apostrophes between thousands


def decimal_of(texts: Iterable[str], where: str) -> Decimal | None:
    """The decimal mark that texts of numbers show; None if they show none.

    Raises:
        UserError: all of them are like `1,234`, which may be 1.234 or 1234.
    """
    unclear = None
    for text in texts:
        if _GROUPED_BY_POINTS.match(text) and ("," in text or text.count(".") > 1):
            return "comma"
        if _GROUPED_BY_COMMAS.match(text) and ("." in text or text.count(",") > 1):
            return "point"
        if _DECIMAL_COMMA.match(text):
            if not re.match(r"^[+-]?\d{1,3},\d{3}$", text) or text.lstrip("+-").startswith("0,"):
                return "comma"
            unclear = text
    if unclear is None:
        return None
    raise UserError(
        f"{where}: {unclear} is {unclear.replace(',', '.')} or {unclear.replace(',', '')}: set data.decimal=comma if "
        "the comma is the decimal mark, or data.decimal=point if it separates thousands"
    )


def numbers_of(column: pd.Series, decimal: Decimal) -> pd.Series:
    """The numbers of texts, NaN for what is none."""
    text = column.astype("str").str.strip().str.replace(_GROUPS, "", regex=True)
    text = text.str.replace("\u2212", "-")
    if decimal == "comma":
        text = text.where(~text.str.contains(r"\.\d{3}"), text.str.replace(".", "")).str.replace(",", ".")
    else:
        text = text.where(~text.str.match(_GROUPED_BY_COMMAS.pattern), text.str.replace(",", ""))
    numbers: Any = pd.to_numeric(text.where(column.notna()), errors="coerce")
    return numbers.astype("float64")


def marks_in(column: pd.Series, numbers: pd.Series) -> list[str]:
    """The texts that are no numbers, if they may be marks of absent values: few different ones among many numbers."""
    others = column.loc[numbers.isna() & column.notna()].astype("str").str.strip()
    marks = others.drop_duplicates().tolist()
    return marks if len(marks) <= MOST_MARKS and 2 * len(others) < column.notna().sum() else []


def refuse_marks(column: pd.Series, marks: Sequence[str], where: str) -> None:
    rows = np.flatnonzero(column.astype("str").str.strip().isin(marks).to_numpy())
    listed = ",".join(mark if re.fullmatch(r"[\w?.*/-]+", mark) else f'"{mark}"' for mark in marks)
    raise UserError(
        f"{where}: column {column.name} has {marks[0]!r} in place of a number (data row {rows[0] + 1}; {len(rows):,} "
        f"such rows): if it marks absent values, set 'data.na_values=[{listed}]', and then data.gaps"
    )
