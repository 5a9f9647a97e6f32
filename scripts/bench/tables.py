"""Tables in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any


def show(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], words: int) -> None:
    """Prints rows under their headings.

    Args:
        columns: keys of the rows; one that a row lacks stays empty.
        rows: from top to bottom.
        words: how many columns, from the left, are words and not numbers.
    """
    lines = [list(columns), *([str(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        placed = [
            cell.ljust(width) if at < words else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(placed).rstrip(), flush=True)
