"""The result of comparing runs: tables, and files in Markdown, CSV or PNG."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from adlx.comparison.columns import CONFIDENCE
from adlx.comparison.evidence import Evidence
from adlx.comparison.writing import check_suffix, markdown, write_csv, write_figures, write_texts
from adlx.metrics.declaration import Metric
from adlx.metrics.html import notebook_html
from adlx.metrics.tables import DataTable, text_frame

MCS_SIZE = 0.10
"""A configuration may be the best if its p-value in the model confidence set is at least this."""


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Args:
        metric: the metric by which the rows are sorted.
        where: the names of the data, with `simulated` if any are.
        table: a row for each configuration, best first: `label`, `n` seeds, `mean`, `std`, `baseline`, `mcs_pvalue`
            (NaN if the runs have different test samples), and means of further metrics.
        columns: the further columns of the table that are shown, in order; `Metric.name` is the name of the column.
        evidence: the test predictions of each configuration's runs; None if they are not of the same samples.
        detail_tables: further tables by name, with a row for each configuration: means over seeds, and deviations in
            columns `NAME_std`. `reduction` comes from `adlx.comparison.reduction.reductions`.
        curve: the metric as a function of another number, see `adlx.comparison.compare.trace`.
        unfinished: runs in the given folders that are left out, since they have not finished.
        missing: label and column of each number that no run of a configuration has.
    """

    metric: Metric
    where: str
    table: pd.DataFrame
    columns: tuple[Metric, ...]
    evidence: Evidence | None
    detail_tables: dict[str, DataTable]
    curve: pd.DataFrame | None = None
    unfinished: tuple[Path, ...] = ()
    missing: frozenset[tuple[str, str]] = frozenset()

    def __repr__(self) -> str:
        return f"Comparison({self.title})"

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        return notebook_html(self.title, self.texts, self.notes)

    @property
    def title(self) -> str:
        count = self.table["n"].to_numpy().sum()
        return f"{self.metric.key} on {self.where}, {count} run{'s' if count > 1 else ''}"

    @property
    def details(self) -> dict[str, pd.DataFrame]:
        """The further tables by name, as numbers."""
        return {name: table.frame for name, table in self.detail_tables.items()}

    @property
    def labels(self) -> list[str]:
        """The configurations, best first."""
        return list(self.table["label"])

    @property
    def texts(self) -> pd.DataFrame:
        """The table as text, with its headings."""
        table = self.table
        headings = ["run", "seeds", self.metric.label]
        texts = [self.labels, [str(count) for count in table["n"]]]
        texts.append(self.metric.format_means(table["mean"].tolist(), table["std"].tolist()))
        for column in self.columns:
            cells = zip(self.labels, table[column.name].tolist(), strict=True)
            values = [None if (label, column.name) in self.missing else value for label, value in cells]
            headings.append(column.label)
            texts.append(column.format_column(values))
        return text_frame(headings, texts)

    @property
    def confidence_note(self) -> str | None:
        """A sentence on how many configurations may be the best; None if there was no test."""
        pvalues = self.table[CONFIDENCE.name].to_numpy(dtype=float)
        if np.isfinite(pvalues).sum() < 2:
            return None
        kept = (pvalues >= MCS_SIZE).sum()
        return f"model confidence set at 90 % (MCS p >= 0.10): {kept} of {len(pvalues)} may be the best"

    @property
    def notes(self) -> list[str]:
        """Sentences that are shown under the table."""
        count = len(self.unfinished)
        left_out = (
            f"left out: {count} run{'s' if count > 1 else ''} not finished, such as {self.unfinished[0]}"
            if count
            else None
        )
        return [note for note in (self.confidence_note, left_out) if note]

    def markdown(self) -> str:
        return markdown([self.texts, *(table.texts for table in self.detail_tables.values())])

    def write(self, out: str | Path) -> list[Path]:
        """Writes tables (`.md`; `.csv`, and a further file for each of `details`) or figures (`.png`).

        Further figures have names such as `NAME_panels.png`. `NAME_against.png` shows `curve`, if there is one.

        Raises:
            UserError: the file has another suffix.
        """
        out = Path(out)
        check_suffix(out)
        if out.suffix == ".md":
            write_texts({out: self.markdown()})
            return [out]
        if out.suffix == ".png":
            return self._draw(out)
        frames = {out: self.table}
        if self.curve is not None:
            frames[_with_suffix(out, "against")] = self.curve
        frames |= {_with_suffix(out, name): frame for name, frame in self.details.items()}
        write_csv(frames)
        return list(frames)

    def _draw(self, out: Path) -> list[Path]:
        from adlx.figures.comparison import against, comparison  # importing matplotlib needs 0.3 s

        figures = {out: comparison(self.table, self.metric.key, self.title)}
        drawn = self.evidence.figures(self.labels, self.where, self.title) if self.evidence else {}
        figures |= {_with_suffix(out, name): figure for name, figure in drawn.items()}
        if self.curve is not None:
            baseline, key = self.table["baseline"].to_numpy(dtype=float), str(self.curve.columns.name)
            figures[_with_suffix(out, "against")] = against(self.curve, self.metric.key, key, self.title, baseline)
        write_figures(figures)
        return list(figures)


def _with_suffix(out: Path, name: str) -> Path:
    return out.with_name(f"{out.stem}_{name}{out.suffix}")
