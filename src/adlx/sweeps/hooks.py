"""A callback of Hydra that runs before and after the jobs of a sweep; `configs/train.yaml` names it."""

import logging
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from adlx.config.compose import file_folders, user_folders
from adlx.config.hydra_internals import grid_jobs
from adlx.config.words import as_typed
from adlx.runs.folder import write_json

log = logging.getLogger("adlx")


class Once(logging.Filter):
    """Drops a log line that was logged before, since jobs on the same data log the same lines."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        new = line not in self.seen
        self.seen.add(line)
        return new


class SweepHooks(Callback):
    """Writes the plan of a sweep before its first job, and logs equal lines of its jobs once."""

    def __init__(self) -> None:
        self.once = Once()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        log.addFilter(self.once)
        words = [str(word).removeprefix("++") for word in config.hydra.overrides.task]
        is_grid = "basic_sweeper" in str(config.hydra.sweeper.get("_target_", ""))
        jobs = [[as_typed(word) for word in job] for job in grid_jobs(words)] if is_grid else []
        folders = [str(folder) for folder in user_folders(file_folders(config.hydra))]
        plan = {"words": words, "jobs": jobs, "config_folders": folders}
        write_json(Path(config.hydra.sweep.dir) / "multirun.json", plan)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        log.removeFilter(self.once)
