"""The hint that ends a message about a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, valid: Iterable[object]) -> str:
    """`; did you mean X?` for the closest of the valid names, or nothing."""
    close = get_close_matches(name, [str(v) for v in valid], n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
