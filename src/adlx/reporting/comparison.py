"""A comparison of runs in a terminal."""

import numpy as np
import pandas as pd
from rich.table import Table

from adlx.comparison.comparison import Comparison
from adlx.metrics.tables import readable
from adlx.reporting.terminal import blank_table, frame_table

MOST_COLUMNS = 8


def comparison_tables(comparison: Comparison) -> list[Table]:
    """The comparison itself, then its details, of many columns those that fit on a line."""
    texts = comparison.texts
    table = blank_table(comparison.title, list(texts.columns))
    for row in texts.itertuples(index=False):
        table.add_row(*row)
    table.caption = "\n".join(comparison.notes) or None
    details = comparison.details.values()
    return [table, *(frame_table(few_columns(readable(frame)), str(frame.columns[0])) for frame in details)]


def few_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, or of many columns an even choice that still fits on a line; the files hold them all."""
    first, *columns = frame.columns
    if len(columns) > MOST_COLUMNS:
        places = np.linspace(0, len(columns) - 1, MOST_COLUMNS).round().astype(int)
        columns = [columns[place] for place in places]
    return frame.loc[:, [first, *columns]].set_axis(["run", *columns], axis=1)
