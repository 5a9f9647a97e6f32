"""What a comparison of runs holds, and how it is told: in a terminal, as Markdown, CSV or figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from adlx.atomic import replacing
from adlx.comparison.evidence import Evidence
from adlx.errors import UserError
from adlx.figures import comparison as draw
from adlx.figures.style import mean_and_deviation, save
from adlx.reporting.terminal import frame_table, number, readable, signed

MCS_SIZE = 0.10
MOST_COLUMNS = 8


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Args:
        metric: what they are sorted by.
        where: names the data, and says `simulated` where any are.
        table: a row a configuration, best first: `label`, `n` seeds, `mean`, `std`, `baseline`,
            `dm_pvalue` and `mcnemar_pvalue` (against it), `mcs_pvalue` (of the model confidence set, NaN where the
            runs do not share their test samples), and the means of `adlx.comparison.compare.COLUMNS`.
        evidence: the test predictions of each configuration's runs, where they are of the same samples.
        details: what they tell beside the metric, by name: a row a configuration, mean over seeds, and deviation where
            there is a column `NAME_std`; `reduction` is what `adlx.comparison.reduction.reductions` makes.
        curve: the metric against some number, see `adlx.comparison.compare.trace`.
    """

    metric: str
    where: str
    table: pd.DataFrame
    evidence: Evidence | None
    details: dict[str, pd.DataFrame]
    curve: pd.DataFrame | None = None

    @property
    def title(self) -> str:
        count = self.table["n"].to_numpy().sum()
        return f"{self.metric} on {self.where}, {count} run{'s' if count > 1 else ''}"

    def write(self, out: str | Path) -> list[Path]:
        """Writes tables (`.md`; `.csv`, and beside it one for each of `details`) or figures (`.png`).

        Beside `NAME.png` lies what its evidence draws, such as `NAME_panels.png`, the forecasts by series, or
        `NAME_confusion.png`, or `NAME_fields.png`; and `NAME_against.png`, where the metric is drawn against something.
        """
        out = Path(out)
        check_suffix(out)
        if out.suffix == ".png":
            figures = {out: draw.comparison(self.table, self.metric, self.title)}
            drawn = self.evidence.figures(list(self.table["label"]), self.where, self.title) if self.evidence else {}
            figures |= {out.with_name(f"{out.stem}_{name}.png"): figure for name, figure in drawn.items()}
            if self.curve is not None:
                baseline = self.table["baseline"].to_numpy(dtype=float)
                figures[out.with_name(f"{out.stem}_against.png")] = draw.against(
                    self.curve, self.metric, str(self.curve.columns.name), self.title, baseline
                )
            for path, figure in figures.items():
                save(figure, path)
            return list(figures)
        if out.suffix == ".md":
            texts = {out: markdown(self)}
        else:
            frames = {out: self.table}
            if self.curve is not None:
                frames[out.with_name(f"{out.stem}_against.csv")] = self.curve
            frames |= {out.with_name(f"{out.stem}_{name}.csv"): frame for name, frame in self.details.items()}
            texts = {path: frame.to_csv(index=False, lineterminator="\n") for path, frame in frames.items()}
        for path, text in texts.items():
            with replacing(path) as file:
                file.write(text.encode())
        return list(texts)


def check_suffix(out: Path) -> None:
    if out.suffix not in (".csv", ".md", ".png"):
        raise UserError(f"--out {out}: the suffix says what to write, .csv, .md or .png")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def headings(comparison: Comparison) -> list[str]:
    told = comparison.metric.removeprefix("test/").replace("_", " ")
    return ["run", "seeds", told, *_beside(comparison), *_tests(comparison), *_sizes(comparison), "seconds"]


def _tests(comparison: Comparison) -> dict[str, str]:
    """Columns of p-values: heading and key."""
    wanted = {"DM p": "dm_pvalue", "McNemar p": "mcnemar_pvalue", "MCS p": "mcs_pvalue"}
    table = comparison.table
    return {heading: key for heading, key in wanted.items() if key in table and np.isfinite(table[key]).any()}


def _sizes(comparison: Comparison) -> dict[str, str]:
    """Columns on how large models are: heading and key. Of classifiers, how sparse too; of adapters, how small."""
    table = comparison.table
    wanted = {"parameters": "parameters"}
    if np.isfinite(table["f1_macro"]).any():
        return wanted | {"non-zeros": "nonzeros", "model kB": "size_kb"}
    if np.any(table["trainable"].to_numpy() < table["parameters"].to_numpy()):
        return wanted | {"trained": "trainable", "checkpoint kB": "checkpoint_kb"}
    return wanted


def _beside(comparison: Comparison) -> dict[str, str]:
    """Further columns: heading and key of what says more than the metric alone."""
    table, metric = comparison.table, comparison.metric
    wanted = {"baseline": "baseline"} if not metric.endswith("skill") else {}
    wanted |= {
        "one step": "onestep_vrmse",
        "balanced": "balanced_accuracy",
        "macro F1": "f1_macro",
        "perplexity": "perplexity",
    }
    wanted |= {"skill": "skill", "CRPS skill": "crps_skill", "coverage 80": "coverage_80"}
    return {
        heading: key for heading, key in wanted.items() if f"test/{key}" != metric and np.isfinite(table[key]).any()
    }


def cells(row: dict[str, Any], comparison: Comparison) -> list[str]:
    """One row as a person reads it, under `headings`."""
    value = mean_and_deviation(row["mean"], row["std"])
    if comparison.metric.endswith("skill"):  # always around 0, so always to the same digits
        value = signed(row["mean"]) + ("" if np.isnan(row["std"]) else f" ± {row['std']:.4f}")
    beside = [signed(row[key]) if key.endswith("skill") else number(row[key]) for key in _beside(comparison).values()]
    pvalues = [number(row[key], 2) for key in _tests(comparison).values()]
    counts = ["-" if np.isnan(row[key]) else f"{row[key]:,.0f}" for key in _sizes(comparison).values()]
    last = [*counts, f"{row['seconds']:.1f}"]
    return [row["label"], str(row["n"]), value, *beside, *pvalues, *last]


def shown(comparison: Comparison) -> list[Table]:
    """The tables for a terminal: the comparison, and its details while they fit."""
    table = comparison.table
    lines = Table(title=comparison.title, title_justify="left")
    for at, heading in enumerate(headings(comparison)):
        lines.add_column(heading, justify="right" if at else "left", no_wrap=at > 0)
    for row in records(table):
        lines.add_row(*cells(row, comparison))
    if np.isfinite(table["mcs_pvalue"]).sum() > 1:
        kept = (table["mcs_pvalue"] >= MCS_SIZE).sum()
        lines.caption = (
            f"model confidence set at 90 % (MCS p >= 0.10): {kept} of {len(table)} cannot be told from the best"
        )
    return [
        lines,
        *(frame_table(_few(readable(frame)), str(frame.columns[0])) for frame in comparison.details.values()),
    ]


def _few(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, or of many columns an even choice that still fits on a line; the files hold them all."""
    first, *columns = frame.columns
    if len(columns) > MOST_COLUMNS:
        places = np.linspace(0, len(columns) - 1, MOST_COLUMNS).round().astype(int)
        columns = [columns[place] for place in places]
    return frame.loc[:, [first, *columns]].set_axis(["run", *columns], axis=1)


def markdown(comparison: Comparison) -> str:
    rows = [cells(row, comparison) for row in records(comparison.table)]
    text = _markdown_table(headings(comparison), rows)
    for frame in comparison.details.values():
        told = readable(frame)
        text += "\n" + _markdown_table(list(told.columns), told.to_numpy().tolist())
    return text


def _markdown_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (names, ["---"] * len(names), *rows))
