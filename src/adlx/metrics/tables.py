"""Tables with a row for each configuration: means over its runs, their deviations, and how both read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from adlx.metrics.text import mean_and_deviation, number, percent, signed


def means(heading: str, rows: dict[str, np.ndarray], columns: Sequence[str]) -> pd.DataFrame:
    """Rows (columns,) by label as a frame whose first column, `heading`, holds the labels."""
    frame = pd.DataFrame(list(rows.values()), columns=list(columns))
    frame.insert(0, heading, list(rows))
    return frame


def means_and_deviations(heading: str, rows: dict[str, np.ndarray], columns: Sequence[str]) -> pd.DataFrame:
    """Rows (runs, columns) by label as columns `NAME` and `NAME_std`: mean and deviation over runs."""
    frame = pd.DataFrame({heading: list(rows)})
    for place, name in enumerate(columns):
        values = [by_run[:, place] for by_run in rows.values()]
        frame[name] = [float(column.mean()) for column in values]
        frame[f"{name}_std"] = [deviation(column) for column in values]
    return frame


def deviation(values: np.ndarray) -> float:
    """Standard deviation over runs; NaN of one run, and of values that are not all finite."""
    return float(values.std(ddof=1)) if len(values) > 1 and np.isfinite(values).all() else float("nan")


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as text: text and counts as they are, skills with their sign, else a few digits.

    Where each column NAME but the first is followed by its deviation NAME_std, the two are one: `0.263 ± 0.012`. Of
    such, NAME_reduction is a share, written in percent as NAME.
    """
    first, *names = (str(name) for name in frame.columns)
    averaged = names[::2]
    if not names or names[1::2] != [f"{name}_std" for name in averaged]:
        columns = {name: [_cell(name, value) for value in frame[name]] for name in (first, *names)}
        return pd.DataFrame(columns)
    texts = {first: [str(value) for value in frame[first]]}
    for name in averaged:
        write_pair = percent if name.endswith("_reduction") else mean_and_deviation
        pairs = zip(frame[name], frame[f"{name}_std"], strict=True)
        texts[name.removesuffix("_reduction")] = [write_pair(mean, spread) for mean, spread in pairs]
    return pd.DataFrame(texts)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return signed(value) if name.endswith("skill") else number(value)
    return str(value)
