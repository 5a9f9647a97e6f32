"""Numbers as text, in tables, sentences and figures: at most five significant digits, one notation for each column."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

Format = Literal["number", "value", "skill", "share", "pvalue", "count", "seconds"]
"""
- `number`: four significant digits
- `value`: five significant digits, for data in their own units
- `skill`: four decimals, with its sign
- `share`: in percent, with its sign
- `pvalue`: four decimals, `<0.0001` below
- `count`: whole, thousands separated
- `seconds`: one decimal
"""

MINUS = "\N{MINUS SIGN}"
MISSING = "-"
DIGITS, MOST_DIGITS = 4, 5
SMALLEST, LARGEST = 1e-7, 1e9
"""A column with a number of smaller size, except 0, or of larger size is in scientific notation."""


def format_value(value: float | None, format: Format = "number") -> str:
    """One value in a sentence; a `number` has no trailing zeros: 0.5, 0.1235, 132,670, 9.9e-08."""
    (text,) = format_column([value], format)
    mantissa, e, exponent = text.partition("e")
    if format != "number" or "." not in mantissa:
        return text
    return mantissa.rstrip("0").rstrip(".") + e + exponent


def format_column(values: Sequence[float | None], format: Format = "number") -> list[str]:
    """The values of a column; `-` for None, which means that there is no value.

    If the largest number is less than about ten times the smallest, all have the same number of decimals.
    """
    write = _writer([value for value in values if value is not None], format)
    return [MISSING if value is None else write(value) for value in values]


def format_means(means: Sequence[float], deviations: Sequence[float], format: Format = "number") -> list[str]:
    """Means over runs as a column, each with its deviation unless that is NaN: `0.2634 ± 0.0123`."""
    texts = []
    for text, deviation in zip(format_column(means, format), deviations, strict=True):
        if not math.isfinite(deviation) or not any(map(str.isdigit, text)):
            texts.append(text)
        elif "e" in text:
            texts.append(f"{text} ± {deviation:.{DIGITS - 1}e}")
        else:
            number, unit, _ = text.partition(" %")
            decimals = len(number.partition(".")[2])
            texts.append(f"{number} ± {_fixed(100 * deviation if unit else deviation, decimals)}{unit}")
    return texts


def _writer(values: Sequence[float], format: Format) -> Callable[[float], str]:
    """The function that writes each value of a column."""
    if format == "pvalue":
        return _pvalue
    if format == "count":
        return lambda value: f"{value:,.0f}"
    if format == "share":
        return lambda value: f"{_fixed(100 * value, 1, '+')} %" if math.isfinite(value) else str(value)
    sizes = [abs(value) for value in values if value != 0 and math.isfinite(value)]
    sign = "+" if format == "skill" else ""
    digits = MOST_DIGITS if format == "value" else DIGITS
    if any(size >= LARGEST or (size < SMALLEST and format in ("number", "value")) for size in sizes):
        return lambda value: f"{value:{sign}.{digits - 1}e}"
    if format == "skill":
        return lambda value: _fixed(value, 4, "+")
    if format == "seconds":
        return lambda value: _fixed(value, 1 if max(sizes, default=0.0) < 1e4 else 0)
    orders = [_order(size) for size in sizes] or [0]
    if max(orders) - min(orders) <= 1:
        decimals = MOST_DIGITS - 1 - max(orders) if format == "value" else DIGITS - 1 - min(orders)
        return lambda value: _fixed(value, decimals)
    return lambda value: _fixed(value, digits - 1 - _order(value)) if value else "0"


def _fixed(value: float, decimals: int, sign: str = "") -> str:
    """The value with the given number of decimals, or fewer if it would have more than five significant digits."""
    if not math.isfinite(value):
        return str(value)
    decimals = min(max(decimals, 0), MOST_DIGITS - 1 - _order(value))
    return f"{round(value, decimals):{sign},.{max(decimals, 0)}f}"


def _pvalue(value: float) -> str:
    if math.isnan(value):  # there was no test
        return MISSING
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _order(value: float) -> int:
    """The order of magnitude of a rounded value: 0 from 1 to 10; 0 for 0 and for values that are not finite."""
    return int(f"{value:.{MOST_DIGITS - 1}e}".partition("e")[2]) if math.isfinite(value) else 0


def significant(value: float, digits: int = 4) -> str:
    """A value in a figure, with the given number of significant digits: 64,321, 0.5000, 1.235 G, 1.200e-6."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    factor, unit = unit_of(abs(value))
    whole = math.floor(math.log10(abs(value) / factor)) + 1
    return with_minus(f"{value / factor:,.{max(0, digits - whole)}f}") + unit


def with_minus(text: str) -> str:
    """The text of a number with the minus sign that matplotlib draws on axes."""
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


def unit_of(size: float) -> tuple[float, str]:
    """The factor by which a figure divides a number of this size, and its unit: 1e6 and ` M`."""
    for factor, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if size >= factor:
            return factor, unit
    if 0 < size < 1e-4:
        order = math.floor(math.log10(size))
        return 10.0**order, f"e{order}"
    return 1.0, ""
