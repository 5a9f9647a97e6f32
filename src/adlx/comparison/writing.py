"""Writes tables and figures to files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from adlx.atomic import replacing
from adlx.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_suffix(out: Path) -> None:
    if out.suffix not in (".csv", ".md", ".png"):
        raise UserError(f"--out {out}: the suffix must be .csv, .md or .png")


def markdown(frames: Iterable[pd.DataFrame]) -> str:
    """Frames of text as Markdown tables, with an empty line between them."""
    tables = []
    for frame in frames:
        lines = (list(frame.columns), ["---"] * len(frame.columns), *frame.to_numpy().tolist())
        cells = ([" ".join(cell.split("\n")).replace("|", r"\|") for cell in line] for line in lines)
        tables.append("".join(f"| {' | '.join(line)} |\n" for line in cells))
    return "\n".join(tables)


def write_csv(frames: Mapping[Path, pd.DataFrame]) -> None:
    write_texts({path: frame.to_csv(index=False, lineterminator="\n") for path, frame in frames.items()})


def write_texts(texts: Mapping[Path, str]) -> None:
    for path, text in texts.items():
        with replacing(path) as file:
            file.write(text.encode())


def write_figures(figures: "Mapping[Path, Figure]") -> None:
    from adlx.figures.style import save  # importing matplotlib needs 0.3 s

    for path, figure in figures.items():
        save(figure, path)
