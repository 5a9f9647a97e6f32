"""How a file writes its times, so that forecasts are written the same way."""

import re
from dataclasses import dataclass

import pandas as pd

FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y.%m.%d", "%Y%m%d", "%Y%m%d%H", "%Y%m%d %H:%M",
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%y", "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d-%m-%Y", "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S", "%m-%d-%Y",
    "%d/%m/%y", "%m/%d/%y", "%b %d %Y", "%b %d, %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%B %d, %Y", "%b %Y", "%B %Y",
    "%m/%Y", "%b %d %Y %I:%M%p", "%m/%d/%Y %I:%M %p", "%d/%m/%Y %I:%M %p",
    "%G-W%V-%u", "%G-W%V", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f",
)  # fmt: skip
"""Notations that a file may use, as of `strftime`."""

_OFFSET = re.compile(r"([+-]\d{2}:?\d{2}|Z)$")


@dataclass(frozen=True)
class Notation:
    """How times are written.

    Attributes:
        format: of `strftime`; None: ISO 8601, or whole numbers.
        has_offset: whether times have an offset, as in `2024-01-01 00:00:00+09:00`, and with it a zone.
        separator: between a date and a time of ISO 8601.
    """

    format: str | None = None
    has_offset: bool = False
    separator: str = " "

    def write(self, times: pd.Index) -> pd.Index:
        """The times as text; whole numbers stay as they are."""
        if not isinstance(times, pd.DatetimeIndex):
            return times
        if self.format is not None:
            return pd.Index(times.strftime(self.format), name=times.name)
        shown = times if self.has_offset else times.tz_localize(None)
        return pd.Index([time.isoformat(sep=self.separator) for time in shown], name=times.name)


def notation_of(texts: pd.Series, times: pd.DatetimeIndex) -> Notation:
    """The notation of texts (N,) that were read as times (N,): one that writes the first and the last as they were."""
    if len(texts) == 0:
        return Notation()
    ends = [(str(texts.iloc[at]).strip(), times[at]) for at in (0, -1)]
    has_offset = bool(_OFFSET.search(ends[0][0])) and ":" in ends[0][0]
    for form in FORMATS:
        if all(time.strftime(form) == text for text, time in ends):
            return Notation(form, has_offset)
    return Notation(None, has_offset, "T" if "T" in ends[0][0] else " ")
