"""Numbers as text."""

import math

import pytest

from adlx.metrics.text import format_column, format_means, format_value, significant, with_minus

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (NAN, "nan"),
        (INF, "inf"),
        (-INF, "-inf"),
        (0.0, "0"),
        (1.0, "1"),
        (100.0, "100"),
        (1.23456, "1.235"),
        (-0.00123456, "-0.001235"),
        (0.00099, "0.00099"),
        (-1e-12, "-1e-12"),
        (9.87654e-9, "9.877e-09"),
        (9999.96, "10,000"),
        (12345.6, "12,346"),
        (99999.6, "100,000"),
        (123456.7, "123,460"),
        (-2.5e9, "-2.5e+09"),
    ],
)
def test_a_number_in_a_sentence(value, text):
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([132665.3, 31523.4, 0.0, None, NAN, -INF], ["132,670", "31,523", "0", "-", "nan", "-inf"]),
        ([0.5975, 0.5, 1.2], ["0.5975", "0.5000", "1.2000"]),
        ([82.49, 9.39, -10, 0], ["82.490", "9.390", "-10.000", "0.000"]),
        ([82.49, 0.1], ["82.49", "0.1000"]),
        ([0.00002, 0.5], ["0.00002000", "0.5000"]),
        ([1e12, 0.85, 0], ["1.000e+12", "8.500e-01", "0.000e+00"]),
        ([1e-9, 1], ["1.000e-09", "1.000e+00"]),
        ([], []),
    ],
)
def test_a_column_of_numbers_has_one_notation(values, texts):
    assert format_column(values) == texts


@pytest.mark.parametrize(
    ("format", "values", "texts"),
    [
        ("skill", [0.123456, -0.5, 0.0, NAN], ["+0.1235", "-0.5000", "+0.0000", "nan"]),
        ("skill", [-9375670.1, 0.0023, -123.456], ["-9,375,700", "+0.0023", "-123.46"]),
        ("skill", [-1e12, 0.5], ["-1.000e+12", "+5.000e-01"]),
        ("share", [0.12345, -12.5, NAN], ["+12.3 %", "-1,250.0 %", "nan"]),
        ("pvalue", [0.00151, 1e-9, 0.0, 1.0, 0.0001], ["0.0015", "<0.0001", "<0.0001", "1.0000", "0.0001"]),
        ("pvalue", [NAN, None], ["-", "-"]),
        ("count", [1234567.0, 7.6, 0.0, NAN], ["1,234,567", "8", "0", "nan"]),
        ("seconds", [70.25, 3.0], ["70.2", "3.0"]),
        ("seconds", [12345.6, 3.0, 1234567.0], ["12,346", "3", "1,234,600"]),
    ],
)
def test_formats(format, values, texts):
    assert format_column(values, format) == texts
    assert format_column([None], format) == ["-"]


@pytest.mark.parametrize(
    ("format", "means", "deviations", "texts"),
    [
        ("number", [0.5, 0.2634, INF], [NAN, 0.0123, NAN], ["0.5000", "0.2634 ± 0.0123", "inf"]),
        ("number", [1234567.0, 2e6], [12.0, 1e5], ["1,234,600 ± 12", "2,000,000 ± 100,000"]),
        ("number", [1e12, 0.5], [1e3, NAN], ["1.000e+12 ± 1.000e+03", "5.000e-01"]),
        ("number", [0.5, 0.6], [0.0, 1e-12], ["0.5000 ± 0.0000", "0.6000 ± 0.0000"]),
        ("skill", [0.5, -0.1], [NAN, 0.14142], ["+0.5000", "-0.1000 ± 0.1414"]),
        ("share", [0.1234, -12.5], [0.021, NAN], ["+12.3 ± 2.1 %", "-1,250.0 %"]),
        ("count", [1234.0, 10.0], [NAN, 2.6], ["1,234", "10 ± 3"]),
        ("seconds", [2.0, 3.0], [NAN, 0.5], ["2.0", "3.0 ± 0.5"]),
    ],
)
def test_a_mean_with_its_deviation(format, means, deviations, texts):
    assert format_means(means, deviations, format) == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (64321.4, "64,321"),
        (0.12345, "0.1235"),
        (9.0, "9.000"),
        (123456789012.0, "123.5 G"),
        (-2.5e6, "\N{MINUS SIGN}2.500 M"),
        (1.8234e-5, "1.823e-5"),
        (-1.8e-5, "\N{MINUS SIGN}1.800e-5"),
        (0.0, "0"),
        (NAN, "nan"),
    ],
)
def test_significant_digits_in_a_figure(value, text):
    assert significant(value) == text


def test_the_minus_sign_of_a_figure():
    assert [with_minus(text) for text in ("-0.5 ± 1e-05", "0.5")] == ["\N{MINUS SIGN}0.5 ± 1e-05", "0.5"]
