"""How a user's table is read: what a file does not say by itself, or says in more than one way."""

from dataclasses import dataclass
from typing import Literal, get_args

from adlx.errors import UserError

Gaps = Literal["error", "drop", "ffill", "interpolate"]
Decimal = Literal["auto", "point", "comma"]
Duplicates = Literal["error", "first", "last", "mean"]


@dataclass(frozen=True)
class ReadOptions:
    """The settings `data.*` of a table.

    Attributes:
        time_column: the column of times; None: derived.
        id_column: in a long table, the column that names the series of each row; None: derived.
        columns: the series of a wide table, or the values of a long one; None: every column of numbers.
        timezone: the zone of times that name none, and the zone to convert others to; None: UTC, or that of the file.
        freq: the step, as pandas writes it; None: derived.
        dayfirst: whether 01/02/2024 is in February; None: derived.
        decimal: the decimal mark of numbers.
        na_values: texts that mark an absent value, beside `NA`, `NaN`, `null` and empty cells.
        duplicates: which of several rows of one time counts, or their mean.
        sort: whether rows may be in any order.
        gaps: what to do about absent values and missing times, see `gaps.py`.
    """

    time_column: str | None = None
    id_column: str | None = None
    columns: tuple[str, ...] | None = None
    timezone: str | None = None
    freq: str | None = None
    dayfirst: bool | None = None
    decimal: Decimal = "auto"
    na_values: tuple[str, ...] = ()
    duplicates: Duplicates = "error"
    sort: bool = False
    gaps: Gaps = "error"

    def __post_init__(self) -> None:
        for key, kind in (("gaps", Gaps), ("decimal", Decimal), ("duplicates", Duplicates)):
            if getattr(self, key) not in get_args(kind):
                raise UserError(
                    f"data.{key}={getattr(self, key)} is unknown; choose one of {', '.join(get_args(kind))}"
                )
