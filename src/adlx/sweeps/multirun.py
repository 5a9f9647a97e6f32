"""Multirun: Hydra plans the jobs, each job trains a run, and at the end a table compares the runs.

The folder of a sweep, `output_dir/multirun/<date>_<time>_<id>`, holds `multirun.json` (the planned jobs), `jobs/N.json`
(the run folder of job N, and its error if it failed), `summary.csv` and `summary.png`.
"""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from adlx.comparison.compare import compare
from adlx.comparison.comparison import Comparison
from adlx.config.compose import composition, for_hydra
from adlx.config.config_dirs import split_config_dirs
from adlx.config.hydra_command import MULTIRUN_FLAGS, run_hydra
from adlx.config.hydra_errors import readable_errors
from adlx.config.hydra_internals import grid_jobs
from adlx.config.words import quote, split, unquote
from adlx.errors import RunFailed, UserError
from adlx.metrics.html import notebook_html
from adlx.reporting.terminal import brief
from adlx.runs.folder import RunFolder, new_folder
from adlx.runs.jobs import entries, record
from adlx.runs.train import start
from adlx.sweeps.preflight import check_jobs

log = logging.getLogger("adlx")

Job = Callable[[Callable[[RunFolder], None]], RunFolder]
"""A function that does one job and returns its run. It calls its argument with the new run folder."""


@dataclass(frozen=True)
class Sweep:
    """The runs of a multirun and their comparison.

    Args:
        path: the absolute path of the sweep's folder.
        runs: all runs that have a folder, finished or not, in the order of their jobs.
        comparison: the comparison of the finished runs; None if no run has finished.
        failed: the records of the failed jobs, by job number.
    """

    path: Path
    runs: list[RunFolder] = field(repr=False)
    comparison: Comparison | None = field(repr=False)
    failed: dict[int, dict[str, Any]]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each configuration, as in `summary.csv`; empty if no run has finished."""
        return pd.DataFrame() if self.comparison is None else self.comparison.table

    def failure_lines(self) -> list[str]:
        """One line for each failed job: its words and the error."""
        items = self.failed.items()
        return [f"job {number} ({' '.join(job['overrides'])}) failed: {job['error']}" for number, job in items]

    def __repr__(self) -> str:
        count = f"{len(self.runs)} run{'' if len(self.runs) == 1 else 's'}"
        return f"Sweep({str(self.path)!r}, {count}, {len(self.failed)} failed)"

    def _repr_html_(self) -> str:
        """The table in a notebook, and the jobs that failed."""
        title, texts, notes = f"sweep of {len(self.runs)} runs", None, []
        if self.comparison is not None:
            title, texts, notes = self.comparison.title, self.comparison.texts, self.comparison.notes
        return notebook_html(title, texts, [*notes, *self.failure_lines(), f"multirun: {self.path}"])


def run_sweep(words: Sequence[str], describe: Callable[[RunFolder], str] = brief) -> Sweep:
    """Runs all jobs of `adlx train -m WORDS...`. It prints nothing, and logs a line for each job.

    A job that fails does not stop the others; it is in `Sweep.failed`.

    Args:
        words: as the user types them; `-m` may be left out.
        describe: returns one line about a finished run.

    Raises:
        UserError: the config of a job is wrong, or no job can start; nothing was written.
    """
    words = [word for word in words if word not in MULTIRUN_FLAGS]
    overrides, folders = split_config_dirs(words)
    output = next((unquote(value) for _, key, value in map(split, overrides) if key == "output_dir"), "outputs")
    if not any(word.startswith("hydra/sweeper=") for word in overrides):  # other sweepers choose their jobs later
        with readable_errors(overrides):
            ready = for_hydra(overrides, folders, multirun=True)
            jobs = grid_jobs([word for word in ready if word[:1] != "-"])
        output = check_jobs(jobs, folders)[0].config["output_dir"]
    parents = Path(output).expanduser() / "multirun", Path(output).expanduser()
    new_parents = [path for path in parents if not path.exists()]
    folder = new_folder(parents[0])

    def job(cfg: DictConfig) -> None:
        composed, number = composition(cfg), int(HydraConfig.get().job.num)
        run_job(folder, number, composed.overrides, lambda created: start(composed, created), describe)

    try:
        run_hydra(["-m", *words], job, [f"hydra.sweep.dir={quote(str(folder))}"])
    finally:
        remove_empty(folder, *new_parents)  # if no job has started
    return summarize(folder)


def remove_empty(*folders: Path) -> None:
    """Removes folders, in this order, up to the first one that is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def run_job(folder: Path, number: int, words: Sequence[str], job: Job, describe: Callable[[RunFolder], str]) -> None:
    """Does one job and records its run folder as soon as it exists. Logs an error instead of raising it.

    Args:
        folder: the folder of the sweep.
        number: the number of the job.
        words: the overrides of the job.
        job: the function that does the job.
        describe: returns one line about a finished run.
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
        is_expected = isinstance(error, RunFailed | UserError)
        text = str(error) if is_expected else f"{type(error).__name__}: {' '.join(str(error).split())}"
        log.error(f"job {number} failed: {text}")
        record(folder, number, words, run, text)


def summarize(folder: Path) -> Sweep:
    """The sweep of a folder: compares its finished runs and writes `summary.csv` and `summary.png`."""
    jobs = entries(folder.absolute())
    runs = [RunFolder.open(entry["run"]) for entry in jobs.values() if entry["run"]]
    finished = [run.path for run in runs if run.status == "finished"]
    comparison = compare(finished) if finished else None
    if comparison is not None:
        comparison.write(folder / "summary.csv")
        comparison.write(folder / "summary.png")
    failed = {number: entry for number, entry in jobs.items() if entry["error"]}
    return Sweep(folder.absolute(), runs, comparison, failed)
