"""Numbers as a person writes them, in tables, sentences and figures."""

import math
from typing import Literal

MINUS = "\N{MINUS SIGN}"

Format = Literal["number", "skill", "pvalue", "count", "seconds"]
"""`number`, a few significant digits; `skill`, with its sign, since around 0 that is what matters; `pvalue`, two
digits; `count`, whole, thousands separated; `seconds`, to a tenth."""


def write(value: float | None, format: Format = "number") -> str:
    """A value in its format; `-` where there is none."""
    if value is None or math.isnan(value):
        return "-"
    if format == "skill":
        return signed(value)
    if format == "count":
        return f"{value:,.0f}"
    if format == "seconds":
        return f"{value:.1f}"
    return number(value, 2 if format == "pvalue" else 4)


def write_mean(mean: float, deviation: float, format: Format = "number") -> str:
    """A mean over runs, with its deviation where there is one (NaN: there is none)."""
    if format == "skill":  # always around 0, so always to the same digits
        return signed(mean) + ("" if math.isnan(deviation) else f" ± {deviation:.4f}")
    if format != "number" and math.isnan(deviation):
        return write(mean, format)
    return mean_and_deviation(mean, deviation)


def number(value: float | None, digits: int = 4) -> str:
    """A few significant digits for a table or a sentence, without trailing zeros: 0.5, 0.1235, 9.90e-04, 123,457."""
    if value is None or math.isnan(value):
        return "-"
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.2e}"
    text = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e" in text else text  # `g` writes 31,520 as 3.152e+04


def signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.4f}"


def percent(share: float, deviation: float) -> str:
    """`+12.3 ± 2.1 %` of a share of 0.123; NaN is no deviation."""
    if math.isnan(share):
        return "-"
    return f"{100 * share:+,.1f}" + ("" if math.isnan(deviation) else f" ± {100 * deviation:,.1f}") + " %"


def significant(value: float, digits: int = 4) -> str:
    """Just so many significant digits, zeros too, for values side by side: 64,321, 0.5000, 1.235 G, 1.200e-6."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    if value == 0:
        return "0"
    factor, unit = unit_of(abs(value))
    whole = math.floor(math.log10(abs(value) / factor)) + 1
    return f"{value / factor:,.{max(0, digits - whole)}f}{unit}".replace("-", MINUS, 1 if value < 0 else 0)


def mean_and_deviation(mean: float, deviation: float) -> str:
    """`0.0225 ± 0.0054`: the mean to the decimals of the deviation's second digit; NaN is no deviation."""
    if not math.isfinite(deviation) or not math.isfinite(mean):
        return significant(mean)
    if deviation < 1e-12 * abs(mean):  # rounding, of equal values
        deviation = 0.0
    if not 1e-6 < deviation < 1e4 or abs(mean) >= 1e5:
        return f"{significant(mean)} ± {significant(deviation, 2)}"
    decimals = max(0, 1 - math.floor(math.log10(deviation)))
    return f"{mean:,.{decimals}f} ± {deviation:.{decimals}f}".replace("-", MINUS, 1 if mean < 0 else 0)


def unit_of(size: float) -> tuple[float, str]:
    """The factor that a number of this size is divided by, and its unit: 1e6 and ` M`."""
    for factor, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if size >= factor:
            return factor, unit
    if 0 < size < 1e-4:
        order = math.floor(math.log10(size))
        return 10.0**order, f"e{order}"
    return 1.0, ""
