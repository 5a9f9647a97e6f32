"""Checks the jobs of a sweep before the first one runs and before anything is written."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adlx.config.compose import Composition, compose
from adlx.config.config_dirs import config_dir_words
from adlx.errors import RunFailed, UserError
from adlx.runs.train import build_run, check_run

log = logging.getLogger("adlx")


def check_jobs(jobs: Sequence[Sequence[str]], folders: Sequence[Path]) -> list[Composition]:
    """Composes and checks the config of every job, then loads data and builds models until one job can start.

    An error in any config refuses the whole sweep. An error of data or model refuses it only if no job can start.

    Args:
        jobs: the overrides of each job.
        folders: the user's own folders of config files.

    Raises:
        UserError: the config of a job is wrong, or no job can start.
    """
    compositions: list[Composition] = []

    def compose_and_check(job: Sequence[str]) -> None:
        composition = compose([*config_dir_words(folders), *job], complete=False)
        check_run(composition)
        compositions.append(composition)

    with muted():
        if errors := errors_of(compose_and_check, jobs):
            raise UserError(one_line(errors, jobs))
        errors = {}
        for number, composition in enumerate(compositions):
            if not (error := errors_of(build_run, [composition])):
                return compositions
            errors[number] = error[0]
    raise UserError(one_line(errors, jobs))


def errors_of(call: Callable[[Any], Any], arguments: Sequence[Any]) -> dict[int, str]:
    """Calls a function with each argument; returns the error messages by the position of the argument."""
    errors = {}
    for number, argument in enumerate(arguments):
        try:
            call(argument)
        except (UserError, RunFailed) as error:
            errors[number] = str(error)
    return errors


def one_line(errors: dict[int, str], jobs: Sequence[Sequence[str]]) -> str:
    """The first error; it names the job, unless all jobs have the same error."""
    number, text = next(iter(errors.items()))
    if len(errors) == len(jobs) and len(set(errors.values())) == 1:
        return text
    shared = set.intersection(*(set(job) for job in jobs))
    own = " ".join(word.removeprefix("++") for word in jobs[number] if word not in shared)
    count = f"; {len(errors)} of {len(jobs)} jobs cannot start" if len(errors) > 1 else ""
    return f"job {number} ({own}): {text}{count}"


@contextmanager
def muted() -> Iterator[None]:
    """Disables the logger of adlx, since each job would log the same lines again."""
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
