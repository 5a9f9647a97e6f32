"""The curves of a run: `metrics.csv`."""

import csv
from pathlib import Path

import pandas as pd

from adlx.errors import UserError


def read_curves(path: Path) -> pd.DataFrame:
    """Reads `metrics.csv` with all digits, without the last line if a kill cut it off.

    Raises:
        UserError: the file is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))
        columns = [_numbers(texts) for texts in zip(*rows[1:], strict=True)]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    names = rows[0] if rows else []
    if names[:2] != ["step", "epoch"] or len(columns) not in (0, len(names)):
        raise UserError(f"{path} is damaged: it needs the columns step and epoch, and one column for each metric")
    return pd.DataFrame(dict(zip(names, columns, strict=True)) if columns else {name: [] for name in names})


def _numbers(texts: tuple[str, ...]) -> list[float]:
    """The numbers of a column: integers if all of them are; an empty text is NaN."""
    if all(text.removeprefix("-").isdecimal() for text in texts):
        return [int(text) for text in texts]
    return [float(text or "nan") for text in texts]
