"""Resumes a sweep that was stopped."""

import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from adlx.config.apply import apply
from adlx.config.compose import Composition, compose
from adlx.config.config_dirs import config_dir_words, split_config_dirs
from adlx.config.targets import is_trusted, refusal, trust
from adlx.errors import UserError
from adlx.runs.folder import RunFolder
from adlx.runs.jobs import entries
from adlx.runs.resume import resume
from adlx.runs.train import start
from adlx.sweeps.multirun import run_job

log = logging.getLogger("adlx")


def resume_sweep(folder: Path, words: Sequence[str], describe: Callable[[RunFolder], str]) -> int:
    """Resumes the unfinished jobs of a sweep and starts the missing ones. Returns the number of jobs of the sweep.

    Args:
        folder: the folder of the sweep.
        words: `allow=[my_pkg]`, since the stored plan gives no trust, and `--config-dir DIR`, if that folder has moved.
        describe: returns one line about a finished run.

    Raises:
        UserError: the sweeper does not plan its jobs in advance, or a job names a package that is not trusted.
    """
    words, folders = split_config_dirs(words)
    if bad := [word for word in words if not word.startswith("allow=")]:
        raise UserError(
            f"{bad[0]}: a resumed sweep keeps its jobs as planned; only allow=[...] and --config-dir can be given"
        )
    trust(apply({}, words)[1])
    plan = json.loads((folder / "multirun.json").read_text(encoding="utf-8"))
    if not plan["jobs"]:
        raise UserError(f"{folder}: this sweeper does not plan its jobs in advance; resume its runs one by one")
    stored = [Path(path) for path in plan.get("config_folders", ())]
    folders += [path for path in stored if path.is_dir() and path not in folders]
    missing = [path for path in stored if not path.is_dir()]
    jobs = entries(folder)
    for number, overrides in enumerate(plan["jobs"]):
        path = jobs.get(number, {}).get("run")
        run = RunFolder.open(path) if path else None
        if run is not None and run.status == "finished":
            continue
        log.info(f"job {number}: {' '.join(overrides)}")
        if run is not None:
            job = partial(_resume_job, run, words)
        else:
            composition = _compose(overrides, folders, missing)
            if untrusted := [package for package in composition.config["allow"] if not is_trusted(package)]:
                raise UserError(f"job {number} of {folder} names a package: {refusal(untrusted[0])}")
            job = partial(start, composition)
        run_job(folder, number, overrides, job, describe)
    return len(plan["jobs"])


def _compose(job: Sequence[str], folders: Sequence[Path], missing: Sequence[Path]) -> Composition:
    """Composes a job; an error names the config folder that the sweep was started with, if that no longer exists."""
    try:
        return compose([*config_dir_words(folders), *job])
    except UserError as error:
        hint = f"; its config folder {missing[0]} does not exist: add --config-dir with its new path" if missing else ""
        raise UserError(f"{error}{hint}") from None


def _resume_job(run: RunFolder, words: Sequence[str], created: Callable[[RunFolder], None]) -> RunFolder:
    created(run)
    return resume(run, words)
