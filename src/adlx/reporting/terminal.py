"""Prints the results of a run in a terminal: tables of scores with their baselines, and a verdict."""

import math
import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from adlx.metrics.declaration import Metric, find
from adlx.metrics.result import Result
from adlx.metrics.score_table import first_parts, score_texts
from adlx.metrics.tables import text_frame
from adlx.metrics.text import format_value
from adlx.metrics.training import TRAINING
from adlx.runs.declarations import result_kind
from adlx.runs.folder import RunFolder

SIGNIFICANT = 0.05
MOST_PARTS, MOST_ROWS = 30, 60


PIPE_WIDTH = 1000
"""The width in characters of a table that is written to a file or a pipe, so that no cell is wrapped."""


def console() -> Console:
    """A console that prints text to stdout as it is, without markup."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)


def print_table(table: Table, out: Console) -> None:
    """Prints a table. If it is wider than the terminal, its lines are longer, but no name or number is cut off."""
    width = out.width
    needed = Measurement.get(out, out.options.update(max_width=sys.maxsize), table).minimum
    out.width = max(width, needed)
    out.print(table)
    out.width = width


def blank_table(title: str, headings: Sequence[str]) -> Table:
    """A table without rows. The first column is for text, the others for numbers, which are not wrapped."""
    table = Table(title=title, title_justify="left")
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="right" if position else "left", no_wrap=position > 0)
    return table


def text_table(texts: pd.DataFrame, title: str) -> Table:
    """A frame of text as a table for a terminal."""
    table = blank_table(title, list(texts.columns))
    for row in texts.itertuples(index=False, name=None):
        table.add_row(*row)
    return table


def short_table(texts: pd.DataFrame, title: str, file: str) -> Table:
    """The first rows of a frame of text, with the name of the file that holds all rows."""
    table = text_table(texts.head(MOST_ROWS), title)
    if len(texts) > MOST_ROWS:
        table.caption = f"the first {MOST_ROWS} of {len(texts):,} rows; {file} holds all"
    return table


def results_table(scores: dict[str, float], kind: type[Result], title: str) -> Table:
    """A row for each metric of the table, see `score_rows`; of many series or classes, only the first ones."""
    shown, notes = first_parts(scores, kind, MOST_PARTS)
    table = text_table(score_texts(shown, kind), title)
    table.caption = "; ".join([*notes, "metrics.json holds all"]) if notes else None
    return table


def part_tables(scores: dict[str, float], kind: type[Result], title: str) -> list[Table]:
    """A table for each kind of part in `tables_by`, with a row for each part; no table for a single part."""
    tables = []
    for parts in kind.tables_by:
        metrics = [metric for metric in (*kind.metrics, *TRAINING) if metric.parts == parts]
        rows: dict[str, dict[str, float]] = {}
        for key, value in scores.items():
            declared = find(metrics, key)
            if declared is not None and declared[1]:
                metric, part = declared
                rows.setdefault(part, {})[metric.key] = value
        if len(rows) < 2:
            continue
        columns = [metric for metric in metrics if any(metric.key in row for row in rows.values())]
        texts = [metric.format_column([row.get(metric.key) for row in rows.values()]) for metric in columns]
        headings = [parts, *(metric.label for metric in columns)]
        tables.append(text_table(text_frame(headings, [list(rows), *texts]), f"{title}: by {parts}"))
    return tables


def brief(run: RunFolder) -> str:
    """One line about the run of a job of a sweep: title, seed, headline scores, folder."""
    scores = run.metrics
    headlines = [metric for metric in result_kind(run).metrics if metric.headline and metric.key in scores]
    words = ", ".join(f"{metric.name} {metric.format_value(scores[metric.key])}" for metric in headlines)
    return f"{run.title}, seed {run.info['seed']}: {words}; run: {run.path}"


def print_scores(scores: dict[str, float], kind: type[Result], notes: dict[str, Any], title: str, out: Console) -> None:
    """Prints the scores of a test.

    Args:
        scores: the content of `metrics.json`.
        kind: the class of the result that has these scores.
        notes: the content of `run.json`, which shows how the scores were computed.
        title: the names of model and data.
        out: the console.
    """
    print_table(results_table(scores, kind, f"{title}: test"), out)
    for table in part_tables(scores, kind, title):
        print_table(table, out)
    for remark in kind.remarks(scores, notes):
        out.print(remark)


def report(run: RunFolder) -> None:
    """Prints the results of a run that has been tested."""
    out, scores, kind = console(), run.metrics, result_kind(run)
    print_scores(scores, kind, run.info, run.title, out)
    for line in verdicts(scores, kind.metrics):
        out.print(line)
    if run.info["data"].get("simulated"):
        out.print("data: simulated")


def verdicts(scores: dict[str, float], metrics: Sequence[Metric]) -> list[str]:
    """A sentence for each skill that is a headline."""
    lines = []
    for skill in metrics:
        compared = next((metric for metric in metrics if metric.skill == skill.key and metric.key in scores), None)
        if skill.headline and skill.key in scores and compared is not None:
            lines.append(f"{skill.label} {skill.format_value(scores[skill.key])}: {verdict(scores, compared)}")
    return lines


def verdict(scores: dict[str, float], metric: Metric) -> str:
    """The meaning of a metric's skill, in words."""
    if metric.caveat is not None and metric.caveat[0] in scores:
        return metric.caveat[1]
    if metric.pvalue is None:
        return f"1 is perfect, 0 is {metric.zero}"
    pvalue = scores.get(metric.pvalue, math.nan)
    if math.isnan(pvalue):
        return "too few test samples to test the difference from the baseline"
    text = format_value(pvalue, "pvalue")
    p_text = f"p {text[0]} {text[1:]}" if text.startswith("<") else f"p = {text}"
    if pvalue >= SIGNIFICANT:
        return f"no significant difference from the baseline ({p_text})"
    direction = "better" if metric.skill and scores[metric.skill] > 0 else "worse"
    return f"{direction} than the baseline ({p_text})"
