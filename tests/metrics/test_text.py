"""How numbers are written."""

import math

import pytest

from adlx.metrics.text import number, signed, significant, write, write_mean

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (NAN, "-"),
        (0.0, "0"),
        (1.0, "1"),
        (1.23456, "1.235"),
        (-0.00123456, "-0.001235"),
        (0.00099, "9.90e-04"),
        (-1e-12, "-1.00e-12"),
        (12345.6, "12,346"),
        (99999.0, "99,999"),
        (123456.7, "123,457"),
        (-2.5e9, "-2,500,000,000"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_number_and_sign_with_digits_of_choice():
    assert number(0.123456, 2) == "0.12"
    assert [signed(value) for value in (0.01234, -0.5, 0.0, NAN)] == ["+0.0123", "-0.5000", "+0.0000", "-"]


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
        (float("nan"), "\N{EN DASH}"),
    ],
)
def test_significant_digits(value, text):
    assert significant(value) == text


@pytest.mark.parametrize(
    ("format", "value", "text"),
    [
        ("number", 0.123456, "0.1235"),
        ("skill", 0.123456, "+0.1235"),
        ("pvalue", 0.123456, "0.12"),
        ("pvalue", 1e-9, "1.00e-09"),
        ("count", 1234567, "1,234,567"),
        ("count", 1.5e3, "1,500"),
        ("seconds", 70.25, "70.2"),
        *(
            (format, nothing, "-")
            for format in ("number", "skill", "pvalue", "count", "seconds")
            for nothing in (None, NAN)
        ),
    ],
)
def test_formats(format, value, text):
    assert write(value, format) == text


@pytest.mark.parametrize(
    ("format", "mean", "deviation", "text"),
    [
        ("number", 0.5, NAN, "0.5000"),
        ("number", 0.2634, 0.0123, "0.263 ± 0.012"),
        ("skill", 0.5, NAN, "+0.5000"),
        ("skill", -0.1, 0.14142, "-0.1000 ± 0.1414"),
        ("count", 1234.0, NAN, "1,234"),
        ("seconds", 2.0, NAN, "2.0"),
        ("seconds", 2.0, 0.5, "2.00 ± 0.50"),
    ],
)
def test_a_mean_with_its_deviation(format, mean, deviation, text):
    assert write_mean(mean, deviation, format) == text
