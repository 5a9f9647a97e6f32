"""The jobs of a sweep. Its folder has a file `jobs/N.json` for each, with the words, the run folder and the error."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adlx.runs.folder import RunFolder, write_json


def record(folder: Path, number: int, words: Sequence[str], run: RunFolder | None, error: str | None) -> None:
    """Stores the result of job `number`."""
    (folder / "jobs").mkdir(parents=True, exist_ok=True)
    # The path is relative, so that the outputs can be moved.
    path = os.path.relpath(run.path, folder) if run is not None and run.path.is_dir() else None
    entry = {"overrides": list(words), "run": path, "error": error}
    write_json(folder / "jobs" / f"{number}.json", entry)


def entries(folder: Path) -> dict[int, dict[str, Any]]:
    """What `record` stored, by job number; `run` is the path of its folder, or None."""
    jobs: dict[int, dict[str, Any]] = {}
    for path in sorted((folder / "jobs").glob("*.json"), key=lambda path: int(path.stem)):
        entry = json.loads(path.read_text(encoding="utf-8"))
        jobs[int(path.stem)] = {**entry, "run": os.path.normpath(folder / entry["run"]) if entry["run"] else None}
    return jobs
