"""Tiny tables of series, made from a seed."""

import numpy as np
import pandas as pd

PERIODS = ((8.0, 21.0), (10.0, 17.0), (12.0, 29.0))  # of the two sines of each series, in rows


def predictable_frame(rows: int = 1200, series: int = 3, noise: float = 0.02, seed: int = 0) -> pd.DataFrame:
    """Hourly sums of two sines, a trend and noise. A forecaster can predict them, and a naive forecast cannot."""
    rng = np.random.default_rng(seed)
    time = np.arange(rows)
    columns = {}
    for index in range(series):
        fast, slow = PERIODS[index % len(PERIODS)]
        phases = rng.uniform(0, 2 * np.pi, 2)
        wave = np.sin(2 * np.pi * time / fast + phases[0]) + 0.6 * np.sin(2 * np.pi * time / slow + phases[1])
        values = 50 * (index + 1) + 10 * (wave + 0.001 * time + noise * rng.normal(size=rows))
        columns[f"S{index}"] = values
    return pd.DataFrame(columns, index=pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC", name="time"))


def walk_frame(rows: int = 240, series: int = 2, seed: int = 0) -> pd.DataFrame:
    """Hourly positive random walks, in which no model can predict the next step."""
    rng = np.random.default_rng(seed)
    steps = 0.01 * rng.normal(size=(rows, series))
    values = 100.0 * np.arange(1, series + 1) * np.exp(np.cumsum(steps, axis=0))
    index = pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC", name="time")
    return pd.DataFrame(values, index=index, columns=[f"S{i}" for i in range(series)])
