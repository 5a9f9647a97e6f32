"""The forecasts that `adlx predict` prints."""

import pandas as pd

from adlx.tasks.forecast_text import MOST_SERIES, describe_forecasts

INDEX = pd.Index(["t1", "t2"], name="time")


def test_each_series_has_one_notation_and_keeps_its_name():
    product = pd.DataFrame({"x_skill": [31520.4, 132666.0], ":smile:": [1.08534, 1.2], "a_b": [1e-9, 1.0]}, INDEX)
    lines = describe_forecasts(product, list(product), None).splitlines()
    assert lines[0].split() == ["x_skill", ":smile:", "a_b"]
    assert lines[2].split() == ["t1", "31,520", "1.0853", "1.0000e-09"]
    assert lines[3].split() == ["t2", "132,670", "1.2000", "1.0000e+00"]


def test_the_widest_interval_is_in_brackets():
    quantiles = {0.1: 0.5, 0.25: 0.7, 0.5: 1.0, 0.75: 1.2, 0.9: 9.5}
    product = pd.DataFrame({"a": [1.0]} | {f"a/{level}": [value] for level, value in quantiles.items()})
    lines = describe_forecasts(product, ["a"], list(quantiles)).splitlines()
    assert lines[1].split(maxsplit=1) == ["0", "1.0000 [0.5000, 9.5000]"]
    assert lines[-1] == "in brackets: quantiles 0.1 and 0.9"


def test_of_many_series_the_first_are_printed():
    names = [f"s{number}" for number in range(3000)]
    lines = describe_forecasts(pd.DataFrame({name: [1.0, 2.0] for name in names}, INDEX), names, None).splitlines()
    assert len(lines[0].split()) == MOST_SERIES
    assert lines[-1] == "and 2,980 more series in forecast.csv"
