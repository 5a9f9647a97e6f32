"""A comparison of runs in a terminal."""

import numpy as np
import pandas as pd
from rich.table import Table

from adlx.comparison.comparison import Comparison
from adlx.reporting.terminal import text_table

MOST_COLUMNS = 8  # besides the first one, which holds the labels


def comparison_tables(comparison: Comparison) -> list[Table]:
    """The table of the comparison, then its detail tables; of many columns, only as many as fit on a line."""
    table = text_table(comparison.texts, comparison.title)
    table.caption = "\n".join(comparison.notes) or None
    texts = [details.texts for details in comparison.detail_tables.values()]
    return [table, *(text_table(few_columns(frame), str(frame.columns[0])) for frame in texts)]


def few_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with at most `MOST_COLUMNS` evenly spaced columns, which fit on a line; the files hold all."""
    count = frame.shape[1] - 1
    positions = np.linspace(1, count, min(count, MOST_COLUMNS)).round().astype(int)
    columns = frame.iloc[:, [0, *positions]]
    return columns.set_axis(["run", *columns.columns[1:]], axis=1)
