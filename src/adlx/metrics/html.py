"""Tables in a notebook."""

import html
from collections.abc import Iterable

import pandas as pd

MOST_ROWS = 40
"""A longer table is shortened to its first and last rows."""


def notebook_html(title: str, texts: pd.DataFrame | None, lines: Iterable[str] = ()) -> str:
    """A title, a table and lines of text as HTML; all text is escaped. A wide table scrolls.

    Args:
        title: stands above the table.
        texts: the cells as they are shown; None or without rows: there is no table.
        lines: stand below it.
    """
    parts = [f"<p><b>{html.escape(title)}</b></p>"]
    if texts is not None and len(texts):
        with pd.option_context("display.max_colwidth", None, "display.html.use_mathjax", False):  # `$` is in names
            table = texts.to_html(index=False, max_rows=MOST_ROWS)
        parts.append(f'<div style="overflow-x: auto">{table}</div>')
    parts += [f"<p>{html.escape(line)}</p>" for line in lines]
    return "\n".join(parts)
