"""Numbers as a person writes them."""

from typing import Literal

MINUS = "\N{MINUS SIGN}"

Format = Literal["number", "skill", "pvalue", "count", "seconds"]
"""`number`, a few significant digits; `skill`, with its sign, since around 0 that is what matters; `pvalue`, two
digits; `count`, whole, thousands separated; `seconds`, to a tenth."""
