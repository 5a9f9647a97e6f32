"""The product of a forecaster as tables: a column for each series, or a row for each series and time.

Shapes: H horizon, S series, Q levels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adlx.atomic import replacing


def quantile_columns(names: Sequence[str], levels: Sequence[float]) -> list[list[str]]:
    """Names of the columns of quantiles of each series, such as `BTC/0.1`; none of them is the name of a series."""
    mark = "/"
    while any(f"{name}{mark}{level:g}" in names for name in names for level in levels):
        mark = f"{mark}q" if mark == "/" else f"{mark}_"
    return [[f"{name}{mark}{level:g}" for level in levels] for name in names]


def wide_table(
    times: pd.Index, names: Sequence[str], values: np.ndarray, levels: Sequence[float] = (), bands: Any = None
) -> pd.DataFrame:
    """A column for each series, and then one for each series and level.

    Args:
        times: (H,)
        names: of the S series.
        values: (H, S)
        levels: of the Q quantiles.
        bands: (H, S, Q) quantiles, if there are levels.
    """
    columns, cells = list(names), [values]
    if bands is not None:
        columns += [name for group in quantile_columns(names, levels) for name in group]
        cells.append(bands.reshape(len(bands), -1))
    return pd.DataFrame(np.concatenate(cells, axis=1), index=times.rename("time"), columns=columns)


def long_table(
    wide: pd.DataFrame, names: Sequence[str], levels: Sequence[float], columns: tuple[str, str, str]
) -> pd.DataFrame:
    """A row for each series and time: its id, the time, the value and its quantiles.

    Args:
        wide: as `wide_table` gives it.
        names: of the series.
        levels: of the quantiles.
        columns: names of the columns of ids, times and values.
    """
    identity, time, value = columns
    parts = []
    for name, quantiles in zip(names, quantile_columns(names, levels), strict=True):
        part = wide[[name, *quantiles]].set_axis([value, *(f"{value}/{level:g}" for level in levels)], axis=1)
        part.insert(0, time, wide.index)
        part.insert(0, identity, name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def write_tables(folder: Path, table: pd.DataFrame, written: pd.DataFrame, index: bool) -> None:
    """Writes `forecast.csv`, in the notation of the data, and `forecast.parquet`, with times as times."""
    with replacing(folder / "forecast.csv") as file:
        file.write(written.to_csv(lineterminator="\n", index=index).encode())
    with replacing(folder / "forecast.parquet") as file:
        table.to_parquet(file, index=index)  # pyright: ignore[reportArgumentType]
