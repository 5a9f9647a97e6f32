"""Multirun: Hydra draws the jobs, each is a run of its own, and at the end their results stand in one table.

The sweep's folder `output_dir/multirun/<date>_<time>_<id>` holds `multirun.json` (the planned jobs), `jobs/N.json`
(the run folder of job N and how it went), `summary.csv` and `summary.png`.
"""

import json
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from adlx.errors import RunFailed, UserError
from adlx.reporting.terminal import brief, console
from adlx.runs.folder import Run, write_json
from adlx.sweeps.jobs import entries, failures, record

log = logging.getLogger("adlx")


class Once(logging.Filter):
    """Lets a line pass the first time: jobs on the same data have the same to say of them."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        new = line not in self.said
        self.said.add(line)
        return new


class Summary(Callback):
    """Hydra's hooks around a sweep."""

    def __init__(self) -> None:
        self.once = Once()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        log.addFilter(self.once)
        words = [str(word).removeprefix("++") for word in config.hydra.overrides.task]
        basic = "basic_sweeper" in str(config.hydra.sweeper.get("_target_", ""))
        jobs = planned(words) if basic else []
        write_json(Path(config.hydra.sweep.dir) / "multirun.json", {"words": words, "jobs": jobs})

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        log.removeFilter(self.once)
        summarise(Path(config.hydra.sweep.dir))


def planned(words: list[str]) -> list[list[str]]:
    """The overrides of each job of a grid sweep, in order."""
    batches = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), max_batch_size=None)
    return [job for batch in batches for job in batch]


def run_job(folder: Path, number: int, words: Sequence[str], job: Callable[[Callable[[Run], None]], Run]) -> None:
    """Does one job and notes its run folder as soon as there is one; a job that fails does not stop the others.

    Args:
        folder: of the sweep.
        number: of the job.
        words: its overrides.
        job: called with a function to call with the new run.
    """
    run: Run | None = None

    def created(new: Run) -> None:
        nonlocal run
        run = new
        record(folder, number, words, run, None)

    try:
        log.info(f"job {number}: {brief(job(created))}")
    except Exception as error:
        if os.environ.get("ADLX_DEBUG") == "1":
            raise
        known = isinstance(error, RunFailed | UserError)
        text = str(error) if known else f"{type(error).__name__}: {' '.join(str(error).split())}"
        log.error(f"job {number} failed: {text}")
        record(folder, number, words, run, text)


def summarise(folder: Path) -> None:
    """Prints the table of a sweep and writes `summary.csv` and `summary.png`."""
    from adlx.comparison.compare import compare
    from adlx.reporting.comparison import comparison_tables

    done = entries(folder)
    finished = [entry["run"] for entry in done.values() if entry["run"] and Run.open(entry["run"]).status == "finished"]
    out = console()
    if finished:
        comparison = compare(finished)
        comparison.write(folder / "summary.csv")
        comparison.write(folder / "summary.png")
        out.print(comparison_tables(comparison)[0])
    for number, entry in done.items():
        if entry["error"]:
            out.print(f"job {number} ({' '.join(entry['overrides'])}) failed: {entry['error']}")
    out.print(f"multirun: {folder}")


def resume_sweep(folder: Path, words: Sequence[str] = ()) -> None:
    """Runs what a stopped sweep is missing: unfinished jobs are resumed, those never started are started.

    Args:
        folder: of the sweep.
        words: `allow=[my_pkg]`, said again by whoever resumes it; what the stored plan allows is not believed.

    Raises:
        UserError: the sweep was drawn by a sweeper whose jobs are not known beforehand, or trusts what is not allowed.
        RunFailed: a job failed again.
    """
    from adlx.config.compose import apply, compose
    from adlx.runs.train import start

    if bad := [word for word in words if not word.startswith("allow=")]:
        raise UserError(f"{bad[0]}: a resumed sweep keeps its jobs as planned; only allow=[...] can be said again")
    _, allowed = apply({}, words)
    plan = json.loads((folder / "multirun.json").read_text(encoding="utf-8"))
    if not plan["jobs"]:
        raise UserError(f"{folder}: the jobs of this sweeper are not known beforehand; resume its runs one by one")
    done = entries(folder)
    for number, overrides in enumerate(plan["jobs"]):
        known = done.get(number, {}).get("run")
        run = Run.open(known) if known else None
        if run is not None and run.status == "finished":
            continue
        log.info(f"job {number}: {' '.join(overrides)}")
        if run is not None:
            job = partial(_again, run, words)
        else:
            composition = compose(overrides)
            if foreign := ",".join(package for package in composition.config["allow"] if package not in allowed):
                raise UserError(f"job {number} of {folder} wants to trust {foreign}: add allow=[{foreign}] if yours")
            job = partial(start, composition)
        run_job(folder, number, overrides, job)
    summarise(folder)
    if failed := failures(folder):
        raise RunFailed(f"{failed} of {len(plan['jobs'])} jobs failed")


def _again(run: Run, words: Sequence[str], created: Callable[[Run], None]) -> Run:
    from adlx.runs.resume import resume

    created(run)
    return resume(run, words)
