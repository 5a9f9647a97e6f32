"""Forecasts as lines of text for a terminal."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from adlx.metrics.quantiles import intervals
from adlx.metrics.tables import DataTable
from adlx.metrics.text import format_column
from adlx.tasks.forecast_tables import quantile_columns

MOST_SERIES = 20
"""The most series whose forecasts are printed; the file holds all."""


def describe_forecasts(product: pd.DataFrame, series: Sequence[str], levels: Sequence[float] | None) -> str:
    """The forecasts of the first series, each with its widest interval if there are quantiles.

    Args:
        product: a row for each step ahead; the columns are the series, and then `<series>/<level>`.
        series: their names.
        levels: of the quantiles; None: there are none.
    """
    names = list(series)[:MOST_SERIES]
    lines = [f"and {len(series) - len(names):,} more series in forecast.csv"] if len(series) > len(names) else []
    bounds = next(iter(intervals(np.array(levels or [])).values()), None)
    if bounds is None or levels is None:
        texts = DataTable.of_data(product.loc[:, names]).texts.set_index(product.index)
        return "\n".join([texts.to_string(), *lines])
    columns = {}
    for name, quantiles in zip(names, quantile_columns(series, levels), strict=False):
        values = [product[column].tolist() for column in (name, *(quantiles[index] for index in bounds))]
        cells = iter(format_column([value for column in values for value in column], "value"))
        points, lower, upper = ([next(cells) for _ in column] for column in values)
        columns[name] = [f"{point} [{a}, {b}]" for point, a, b in zip(points, lower, upper, strict=True)]
    low, high = (levels[index] for index in bounds)
    table = pd.DataFrame(columns, index=product.index).to_string()
    return "\n".join([table, *lines, f"in brackets: quantiles {low:g} and {high:g}"])
