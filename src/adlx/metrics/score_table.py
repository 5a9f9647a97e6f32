"""The scores of a test as a table: a row for each metric, with its baseline and its skill."""

from collections.abc import Iterator

import pandas as pd

from adlx.metrics.declaration import ROW, Metric, find
from adlx.metrics.result import Result
from adlx.metrics.tables import text_frame
from adlx.metrics.text import format_column

Row = tuple[Metric, float, float | None, float | None]
"""A metric and the scores of the model, of the baseline, and the skill; None if there is none."""


def score_table(scores: dict[str, float], kind: type[Result]) -> pd.DataFrame:
    """The scores as numbers: columns `metric`, `model`, `baseline`, `skill`; NaN if there is none.

    Args:
        scores: the content of `metrics.json`.
        kind: the class of the result that has these scores.
    """
    rows = [(metric.name, model, baseline, skill) for metric, model, baseline, skill in score_rows(scores, kind)]
    table = pd.DataFrame(rows, columns=list(ROW))
    return table.astype(dict.fromkeys(ROW[1:], float))


def score_texts(scores: dict[str, float], kind: type[Result]) -> pd.DataFrame:
    """The score table as text, with few digits."""
    rows = list(score_rows(scores, kind))
    cells = [[model, baseline] for _, model, baseline, _ in rows]
    models, baselines = [""] * len(rows), [""] * len(rows)
    for one in {
        metric.format: metric for metric, *_ in rows
    }.values():  # all numbers of one format have the same notation
        positions = [position for position, (metric, *_) in enumerate(rows) if metric.format == one.format]
        texts = one.format_column([value for position in positions for value in cells[position]])
        for position, model, baseline in zip(positions, texts[::2], texts[1::2], strict=True):
            models[position], baselines[position] = model, baseline
    values = [skill for *_, skill in rows]
    skills = ["" if value is None else text for value, text in zip(values, format_column(values, "skill"), strict=True)]
    return text_frame(ROW, [[metric.name for metric, *_ in rows], models, baselines, skills])


def first_parts(scores: dict[str, float], kind: type[Result], count: int) -> tuple[dict[str, float], list[str]]:
    """The scores of the whole and of the first parts, and a sentence for each kind of part with more parts.

    Args:
        scores: the content of `metrics.json`.
        kind: the class of the result that has these scores.
        count: the largest number of parts of each kind, such as series.
    """
    declared = {key: match for key in scores if (match := find(kind.metrics, key)) is not None and match[1]}
    parts: dict[str, dict[str, None]] = {}
    for metric, part in declared.values():
        parts.setdefault(metric.parts, {})[part] = None
    kept = {(kind_of_part, part) for kind_of_part, names in parts.items() for part in list(names)[:count]}
    shown = {key: score for key, score in scores.items() if key not in declared or _part(declared[key]) in kept}
    notes = [f"{name}: the first {count} of {len(names):,}" for name, names in parts.items() if len(names) > count]
    return shown, notes


def _part(declared: tuple[Metric, str]) -> tuple[str, str]:
    return declared[0].parts, declared[1]


def score_rows(scores: dict[str, float], kind: type[Result]) -> Iterator[Row]:
    """A row for each metric with `in_table`. Metrics of the whole come before those of parts.

    Parts that have their own table are left out.
    """
    rows = [(key, *declared) for key in scores if (declared := find(kind.metrics, key)) is not None]
    for key, metric, part in sorted(rows, key=lambda row: row[2] != ""):
        if not metric.in_table or (part and metric.parts in kind.tables_by):
            continue
        metric = metric.of_part(part) if part else metric
        baseline = scores.get(metric.baseline) if metric.baseline else None
        skill = scores.get(metric.skill) if metric.skill else None
        yield metric, scores[key], baseline, skill
