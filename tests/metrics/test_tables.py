"""Means over runs, and tables that declare the formats of their columns."""

import math

import numpy as np
import pandas as pd
import pytest

from adlx.metrics.tables import Column, DataTable, deviation, means, means_and_deviations

NAMES = [
    *("f1_car", "kidney", "x_skill", "skill", "x", "x_std", "a_reduction", "a_reduction_std", "pvalue_x", "p", "count"),
    *(":smile:", "[red]", "[/]", "a/b_c", "_tax", "sales_us", "x|y", "std", "seconds", "label", "mean", "n", "e-05"),
]
"""Names of series, classes and fields that look like names of metrics, formats, markup or paths."""


def test_means():
    table = means("MASE by series", {"a": np.array([0.5, 1.0]), "b": np.array([2.0, 3.0])}, ("x", "y"))
    assert table.frame.columns.tolist() == ["MASE by series", "x", "y"]
    assert table.frame.to_numpy().tolist() == [["a", 0.5, 1.0], ["b", 2.0, 3.0]]
    assert table.texts.to_numpy().tolist() == [["a", "0.5000", "1.000"], ["b", "2.0000", "3.000"]]


def test_means_and_deviations():
    rows = {"a": np.array([[1.0, 2.0], [3.0, np.inf]]), "b": np.array([[5.0, 6.0]])}
    table = means_and_deviations("VRMSE by field", rows, ("u", "p"))
    frame = table.frame
    assert frame.columns.tolist() == ["VRMSE by field", "u", "u_std", "p", "p_std"]
    assert frame["u"].tolist() == [2.0, 5.0]
    assert frame["u_std"].tolist() == pytest.approx([np.sqrt(2), np.nan], nan_ok=True)
    assert frame["p"].tolist() == [np.inf, 6.0]
    assert frame["p_std"].isna().all()
    assert np.isnan(deviation(np.array([1.0])))
    assert table.texts.to_numpy().tolist() == [["a", "2.000 ± 1.414", "inf"], ["b", "5.000", "6.000"]]


def test_shares_with_deviations():
    rows = {"a": np.array([[0.1], [0.2]]), "b": np.array([[-12.5]])}
    table = means_and_deviations("error lower than c", rows, ("u",), "share", "_reduction")
    assert table.frame.columns.tolist() == ["error lower than c", "u_reduction", "u_reduction_std"]
    assert table.texts.columns.tolist() == ["error lower than c", "u"]
    assert table.texts["u"].tolist() == ["+15.0 ± 7.1 %", "-1,250.0 %"]


def test_names_do_not_decide_formats_headings_or_deviations():
    values = np.array([0.5, 0.25])
    table = means("MASE by series", dict.fromkeys(NAMES, np.tile(values, len(NAMES) // 2 + 1)[: len(NAMES)]), NAMES)
    assert table.texts.columns.tolist() == ["MASE by series", *NAMES]
    assert table.texts.iloc[:, 0].tolist() == NAMES
    assert set(table.texts.iloc[:, 1:].to_numpy().ravel()) == {"0.5000", "0.2500"}
    runs = {"a": np.tile([[1.0], [3.0]], len(NAMES))}
    for format, suffix, text in (("number", "", "2.000 ± 1.414"), ("share", "_reduction", "+200.0 ± 141.4 %")):
        table = means_and_deviations("VRMSE by field", runs, NAMES, format, suffix)
        assert table.texts.columns.tolist() == ["VRMSE by field", *NAMES]
        assert table.texts.iloc[0].tolist() == ["a", *[text] * len(NAMES)]


def test_a_field_called_like_the_deviation_of_another_keeps_its_column():
    table = means_and_deviations("VRMSE by field", {"a": np.array([[1.0, 5.0]])}, ("u", "u_std"))
    assert table.frame.columns.tolist() == ["VRMSE by field", "u", "u_std_", "u_std", "u_std_std"]
    assert table.frame["u_std"].tolist() == [5.0]


def test_a_series_may_have_the_name_of_the_first_column():
    table = means("MASE by series", {"a": np.array([0.5])}, ("MASE by series",))
    assert table.texts.iloc[0].tolist() == ["a", "0.5000"]


def test_declared_formats():
    frame = pd.DataFrame({"a": ["x", "y"], "b": [1200.0, 3.0], "c": [0.5, math.nan], "d": [0.00001, 0.5]})
    table = DataTable(frame, (Column("A", None), Column("B", "count"), Column("C", "skill"), Column("D", "pvalue")))
    assert table.texts.columns.tolist() == ["A", "B", "C", "D"]
    assert table.texts.to_numpy().tolist() == [["x", "1,200", "+0.5000", "<0.0001"], ["y", "3", "nan", "0.5000"]]
    with pytest.raises(ValueError, match="the frame has 4 columns, 2 are declared"):
        DataTable(frame, (Column("A"), Column("B")))
