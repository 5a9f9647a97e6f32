"""Writes two tables of hourly series with equal seasons, but other phases, levels and noise, to test transfer.

usage: python scripts/seasonal_tables.py FOLDER    # writes FOLDER/base.csv and FOLDER/related.csv
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

PERIODS = ((24, 60), (24, 36), (12, 48))  # hours, two seasons for each series


def table(rows: int, seed: int) -> pd.DataFrame:
    """Three series of two sines each, with noise of a tenth of the amplitude of the first sine."""
    rng = np.random.default_rng(seed)
    hours = np.arange(rows)
    columns = {}
    for number, periods in enumerate(PERIODS):
        phases, level = rng.uniform(0, 2 * np.pi, 2), rng.uniform(50, 200)
        waves = [np.sin(2 * np.pi * hours / p + phase) for p, phase in zip(periods, phases, strict=True)]
        columns[f"S{number}"] = level + 10 * (waves[0] + 0.6 * waves[1] + 0.1 * rng.normal(size=rows))
    return pd.DataFrame(columns, index=pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC", name="time"))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    table(3000, seed=0).to_csv(folder / "base.csv")
    table(1600, seed=1).to_csv(folder / "related.csv")
