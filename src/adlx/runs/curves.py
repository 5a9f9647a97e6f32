"""The curves of a run: `metrics.csv`."""

import io
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from adlx.errors import UserError


def read_curves(path: Path) -> pd.DataFrame:
    """Reads `metrics.csv`; a last line cut short by a kill is left out.

    Raises:
        UserError: the file is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        table = pd.read_csv(io.StringIO(whole), float_precision="round_trip")
    except (OSError, ValueError) as error:  # pandas raises subclasses of ValueError
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if list(table.columns[:2]) != ["step", "epoch"] or not (table.empty or all(map(is_numeric_dtype, table.dtypes))):
        raise UserError(f"{path} is damaged: it must have the columns step, epoch and one of numbers for each metric")
    return table
