"""Means over runs, and how they read."""

import numpy as np
import pandas as pd
import pytest

from adlx.metrics.tables import deviation, means, means_and_deviations, readable


def test_means():
    frame = means("MASE by series", {"a": np.array([0.5, 1.0]), "b": np.array([2.0, 3.0])}, ("x", "y"))
    assert frame.columns.tolist() == ["MASE by series", "x", "y"]
    assert frame.to_numpy().tolist() == [["a", 0.5, 1.0], ["b", 2.0, 3.0]]


def test_means_and_deviations():
    rows = {"a": np.array([[1.0, 2.0], [3.0, np.inf]]), "b": np.array([[5.0, 6.0]])}
    frame = means_and_deviations("VRMSE by field", rows, ("u", "p"))
    assert frame.columns.tolist() == ["VRMSE by field", "u", "u_std", "p", "p_std"]
    assert frame["u"].tolist() == [2.0, 5.0]
    assert frame["u_std"].tolist() == pytest.approx([np.sqrt(2), np.nan], nan_ok=True)
    assert frame["p"].tolist() == [np.inf, 6.0]
    assert frame["p_std"].isna().all()
    assert np.isnan(deviation(np.array([1.0])))


def test_a_deviation_stands_beside_its_mean():
    nan = float("nan")
    frame = pd.DataFrame({"run": ["a", "b", "c"], "u": [0.2634, 0.5, -np.inf], "u_std": [0.0123, nan, nan]})
    told = readable(frame.assign(v_reduction=[0.1234, -12.5, nan], v_reduction_std=[0.021, nan, nan]))
    assert told.columns.tolist() == ["run", "u", "v"]
    assert told.to_numpy().tolist() == [
        ["a", "0.263 ± 0.012", "+12.3 ± 2.1 %"],
        ["b", "0.5000", "-1,250.0 %"],
        ["c", "\N{EN DASH}", "-"],
    ]
    pd.testing.assert_frame_equal(readable(told), told)


def test_a_series_that_is_called_like_a_deviation_is_one_of_its_own():
    frame = pd.DataFrame({"MASE by series": ["a"], "x": [0.5], "x_std": [0.25], "cost_reduction": [0.1]})
    assert readable(frame).to_numpy().tolist() == [["a", "0.5", "0.25", "0.1"]]
    assert readable(frame).columns.tolist() == frame.columns.tolist()
