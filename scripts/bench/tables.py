"""Tables in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any


def show(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], words: int) -> None:
    """Prints rows under their headings.

    Args:
        columns: keys of the rows; a missing value stays empty.
        rows: the rows, from top to bottom.
        words: number of columns, from the left, with words and not numbers.
    """
    lines = [list(columns), *([str(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        aligned = [
            cell.ljust(width) if index < words else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(aligned).rstrip(), flush=True)
