"""Multirun: Hydra draws the jobs, each is a run of its own, and at the end their results stand in one table.

The sweep's folder `output_dir/multirun/<date>_<time>_<id>` holds `multirun.json` (the planned jobs), `jobs/N.json`
(the run folder of job N and how it went), `summary.csv` and `summary.png`.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adlx.comparison.compare import compare
from adlx.comparison.comparison import Comparison
from adlx.errors import RunFailed, UserError
from adlx.runs.folder import RunFolder
from adlx.runs.jobs import entries, record

log = logging.getLogger("adlx")

Job = Callable[[Callable[[RunFolder], None]], RunFolder]
"""Does one job; is given a function to call with the new run as soon as there is one."""


@dataclass(frozen=True)
class SweepSummary:
    """How a sweep went.

    Args:
        path: its folder.
        comparison: of the finished runs; None: there is none.
        failed: by number, the entries of jobs that failed.
    """

    path: Path
    comparison: Comparison | None
    failed: dict[int, dict[str, Any]]


def run_job(folder: Path, number: int, words: Sequence[str], job: Job, describe: Callable[[RunFolder], str]) -> None:
    """Does one job and notes its run folder as soon as there is one; a job that fails does not stop the others.

    Args:
        folder: of the sweep.
        number: of the job.
        words: its overrides.
        job: what to do.
        describe: a finished run in a line.
    """
    run: RunFolder | None = None

    def created(new: RunFolder) -> None:
        nonlocal run
        run = new
        record(folder, number, words, run, None)

    try:
        log.info(f"job {number}: {describe(job(created))}")
    except Exception as error:
        if os.environ.get("ADLX_DEBUG") == "1":
            raise
        known = isinstance(error, RunFailed | UserError)
        text = str(error) if known else f"{type(error).__name__}: {' '.join(str(error).split())}"
        log.error(f"job {number} failed: {text}")
        record(folder, number, words, run, text)


def summarize(folder: Path) -> SweepSummary:
    """Compares the finished runs of a sweep and writes `summary.csv` and `summary.png`."""
    jobs = entries(folder)
    runs = [entry["run"] for entry in jobs.values() if entry["run"]]
    finished = [run for run in runs if RunFolder.open(run).status == "finished"]
    comparison = compare(finished) if finished else None
    if comparison is not None:
        comparison.write(folder / "summary.csv")
        comparison.write(folder / "summary.png")
    return SweepSummary(folder, comparison, {number: entry for number, entry in jobs.items() if entry["error"]})
