"""Finds the runs in the folders of a comparison, each once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adlx.errors import UserError
from adlx.runs.folder import RunFolder
from adlx.runs.jobs import entries


@dataclass(frozen=True)
class Selection:
    """Runs to compare.

    Args:
        runs: finished runs, each once.
        unfinished: runs in folders of runs that are left out, since they have not finished.
    """

    runs: list[RunFolder]
    unfinished: list[RunFolder]


def select(paths: Sequence[str | Path]) -> Selection:
    """Opens the runs in the given folders.

    A run counts once, even if it is given twice or through a link, or is also in another given folder.

    Args:
        paths: run folders; multirun folders, which stand for their runs; folders of runs, searched two levels deep, as
            `outputs/<model>-<data>/<run>` is.

    Raises:
        UserError: a folder holds no run; or a run that is given, or is part of a given multirun, has not finished.
    """
    finished: dict[Path, RunFolder] = {}
    unfinished: dict[Path, RunFolder] = {}
    for path in map(Path, paths):
        if is_run(path) or is_multirun(path) or not path.is_dir():
            for run in open_runs(path):
                run.require_finished()
                finished.setdefault(run.path.resolve(), run)
            continue
        runs = [run for folder in search(path) for run in open_runs(folder)]
        if not runs:
            raise UserError(f"{path} is not a run folder (it has no run.json), and holds no run folders")
        for run in runs:
            (finished if run.status == "finished" else unfinished).setdefault(run.path.resolve(), run)
    if not finished:
        raise UserError(f"{', '.join(map(str, paths))}: none of these {len(unfinished)} runs has finished")
    return Selection(list(finished.values()), list(unfinished.values()))


def open_runs(path: Path) -> list[RunFolder]:
    """The run of a run folder, or the runs of a multirun folder."""
    if not is_multirun(path):
        return [RunFolder.open(path)]
    runs = [RunFolder.open(entry["run"]) for entry in entries(path).values() if entry["run"]]
    if not runs:
        raise UserError(f"{path} holds no run")
    return runs


def search(folder: Path, levels: int = 2) -> Iterator[Path]:
    """Yields the run folders inside a folder, down to a number of levels. It does not search inside run folders."""
    for path in sorted(folder.iterdir()):
        if is_run(path):
            yield path
        elif levels > 1 and path.is_dir():
            yield from search(path, levels - 1)


def is_run(path: Path) -> bool:
    return (path / "run.json").is_file()


def is_multirun(path: Path) -> bool:
    return (path / "multirun.json").is_file()
