"""Prints the outcome of a command: an evaluation, a prediction or a sweep."""

from pathlib import Path
from typing import Any

from adlx.comparison.comparison import Comparison
from adlx.reporting.comparison import comparison_tables
from adlx.reporting.terminal import console, print_scores, print_table, short_table
from adlx.runs.evaluate import Evaluation
from adlx.runs.predict import Prediction


def report_evaluation(evaluation: Evaluation) -> None:
    """Prints the scores and tables of a test; the last line is `evaluation: <folder>`."""
    out = console()
    print_scores(evaluation.metrics, evaluation.result, evaluation.notes, evaluation.title, out)
    for name, table in evaluation.tables.items():
        print_table(short_table(table.texts, f"{evaluation.title}: {name}", f"{name}.csv"), out)
    out.print(evaluation.tested)
    if evaluation.simulated:
        out.print("data: simulated")
    out.print(f"evaluation: {evaluation.path}")


def report_prediction(prediction: Prediction) -> None:
    """Prints the product of a run in a few lines; the last line is `predict: <folder>`."""
    out = console()
    out.print(prediction.summary)
    if prediction.simulated:
        out.print("data: simulated")
    out.print("files: " + ", ".join(prediction.files))
    out.print(f"predict: {prediction.path}")


def report_sweep(path: Path, comparison: Comparison | None, failed: dict[int, dict[str, Any]]) -> None:
    """Prints the table of a sweep and the jobs that failed; the last line is `multirun: <folder>`."""
    out = console()
    if comparison is not None:
        print_table(comparison_tables(comparison)[0], out)
    for number, entry in failed.items():
        out.print(f"job {number} ({' '.join(entry['overrides'])}) failed: {entry['error']}")
    out.print(f"multirun: {path}")
