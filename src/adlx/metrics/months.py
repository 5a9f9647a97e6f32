"""Scores of a forecast by calendar month."""

from typing import Any

import numpy as np
import pandas as pd

from adlx.metrics.forecast_errors import (
    Forecasts,
    inside,
    mean_of_known,
    naive_window_crps,
    naive_window_losses,
    window_crps,
    window_losses,
)
from adlx.metrics.quantiles import intervals
from adlx.metrics.skill import skill
from adlx.metrics.tables import Column, DataTable

COLUMNS = {
    "month": Column("month", None),
    "windows": Column("windows", "count"),
    "mase": Column("MASE"),
    "naive_mase": Column("naive MASE"),
    "skill": Column("skill", "skill"),
    "crps": Column("CRPS"),
    "naive_crps": Column("naive CRPS"),
    "crps_skill": Column("CRPS skill", "skill"),
    "coverage_80": Column("coverage 80"),
}
"""How the columns of `by_month` are shown."""


def month_table(result: Forecasts) -> DataTable:
    """The table of `by_month` with the formats of its columns."""
    frame = by_month(result)
    return DataTable(frame, tuple(COLUMNS[name] for name in frame))


def by_month(result: Forecasts) -> pd.DataFrame:
    """Scores by calendar month of the forecast origin (UTC), a row for each month.

    Columns: `month`, `windows` (their number), `mase`, `naive_mase`, `skill`; with quantiles also `crps`, `naive_crps`,
    `crps_skill`, and `coverage_80` if two levels bound that interval.
    """
    losses = {"mase": window_losses(result), "naive_mase": naive_window_losses(result)}
    if result.quantiles is not None:
        losses |= {"crps": window_crps(result), "naive_crps": naive_window_crps(result)}
        if 80 in (central := intervals(result.quantiles.levels)):
            losses["coverage_80"] = mean_of_known(
                result, inside(result, result.quantiles.values, *central[80]), axis=(1, 2)
            )
    months, positions, counts = np.unique(
        result.origin.astype("datetime64[M]").astype(str), return_inverse=True, return_counts=True
    )
    means = {name: np.bincount(positions, weights=loss) / counts for name, loss in losses.items()}
    table: dict[str, Any] = {"month": months, "windows": counts}
    for name, values in means.items():
        table[name] = values
        if name.startswith("naive_"):
            of = name.removeprefix("naive_")
            skills = [skill(*pair) for pair in zip(means[of], values, strict=True)]
            table["skill" if of == "mase" else f"{of}_skill"] = skills
    return pd.DataFrame(table)
