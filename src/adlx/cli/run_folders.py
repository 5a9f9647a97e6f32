"""Reads the JSON files of run folders for the completion. Imports neither torch nor pandas."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

MARKS = ("run.json", "multirun.json")
"""A folder with one of these files is a run or a multirun."""


def folders_starting_with(text: str) -> list[str]:
    """Runs and multiruns whose path starts with `text`; if there are none, all folders whose path starts with it.

    Runs are searched in `outputs` only; from other folders, the folders inside them are returned.
    """
    runs = [str(path) for path in sorted(_runs_below(Path("outputs")))]
    if matching := [run for run in runs if run.startswith(text)]:
        return matching
    head, slash, _ = text.rpartition("/")
    base = Path(head + slash).expanduser() if slash else Path()
    folders = [path for path in _folders_in(base) if not path.name.startswith(".")]
    return [f"{head}{slash}{path.name}{'' if _is_run(path) else '/'}" for path in sorted(folders)]


def stored_choices(run: str) -> dict[str, str]:
    """The option of each group in a run's `run.json`; empty if there is none."""
    choices = _read(Path(run).expanduser() / "run.json").get("choices")
    return dict(choices) if isinstance(choices, dict) else {}


def config_folders_of(run: str) -> list[Path]:
    """The folders of config files of the user's own that a run or a multirun has stored."""
    stored = [path for mark in MARKS for path in _read(Path(run).expanduser() / mark).get("config_folders", ())]
    return [path for path in map(Path, stored) if path.is_dir()]


def metric_keys(runs: Sequence[str]) -> list[str]:
    """The keys in `metrics.json` of runs, multiruns or folders of runs."""
    keys: dict[str, None] = {}
    for folder in runs:
        for path in _metric_files(Path(folder).expanduser()):
            keys |= dict.fromkeys(_read(path))
    return list(keys)


def _metric_files(folder: Path) -> Iterator[Path]:
    yield folder / "metrics.json"
    yield from folder.glob("*/metrics.json")
    yield from folder.glob("*/*/metrics.json")
    for job in folder.glob("jobs/*.json"):
        yield folder / str(_read(job).get("run")) / "metrics.json"


def _runs_below(folder: Path) -> Iterator[Path]:
    for mark in MARKS:
        yield from (path.parent for path in folder.glob(f"*/*/{mark}"))


def _is_run(folder: Path) -> bool:
    return any((folder / mark).is_file() for mark in MARKS)


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def _read(path: Path) -> dict[str, Any]:
    """The content of a JSON file; empty if it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
