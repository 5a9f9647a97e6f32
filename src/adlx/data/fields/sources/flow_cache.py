"""Solves flows in parallel and stores them as HDF5, so that each is solved once."""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adlx.caching import cache_folder, locked
from adlx.cpus import available_cpus
from adlx.data.fields.sources.trajectories import Trajectories
from adlx.data.fields.sources.well import read_well, write_well
from adlx.errors import UserError

log = logging.getLogger("adlx")

_LOCK_SECONDS = 3600  # a hundred flows on a slow machine take longer than a download


def solve_in_parallel(count: int, solve: Callable[[int, threading.Event], None], name: str, flows: str) -> None:
    """Calls `solve` with every number below `count`, in as many threads as there are processors.

    Args:
        count: number of flows.
        solve: solves the flow with this number; it returns early when the event is set, because another flow failed or
            the user stopped the run.
        name: first word of the progress lines.
        flows: word for the flows in these lines.
    """
    start, stopped, workers = time.monotonic(), threading.Event(), min(count, available_cpus())
    log.info("%s: solving %d %s, %d at a time, which are stored for later runs", name, count, flows, workers)

    def solve_unless_stopped(number: int) -> None:
        if not stopped.is_set():
            solve(number, stopped)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for done, _ in enumerate(pool.map(solve_unless_stopped, range(count)), start=1):
                seconds_left = (time.monotonic() - start) / done * (count - done)
                if done < count and done % workers == 0:
                    log.info("%s: %d of %d %s, about %.0f s left", name, done, count, flows, seconds_left)
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def flow_file(name: str, version: int, settings: Any) -> Path:
    """Returns the file of the cache for flows with these settings, a dataclass of plain values.

    Args:
        name: begins the file name.
        version: version of the solver; another version makes new files.
        settings: the values that the flows depend on.
    """
    digest = hashlib.sha256(json.dumps([version, *vars(settings).values()]).encode()).hexdigest()[:16]
    return cache_folder() / "fields" / f"{name}-{digest}.hdf5"


def load_or_solve(
    path: Path, name: str, solve: Callable[[], Trajectories], boundaries: tuple[str, str] = ("OPEN", "OPEN")
) -> Trajectories:
    """Loads the flows stored at `path`; if there are none, solves and stores them.

    If several processes start at once, one solves and the others wait. If the file is damaged, the flows are solved
    again. If the file cannot be written, the flows are not stored.
    """
    with locked(path, "solves the same flows", _LOCK_SECONDS):
        flows = _read_stored(path, name)
        if flows is None:
            flows = solve()
            try:
                write_well(path, flows, name, boundaries=boundaries)
                flows = read_well(path)
            except OSError as error:
                log.info("%s: cannot store %s (%s); continuing without the cache", name, path, error.strerror or error)
    return flows


def _read_stored(path: Path, name: str) -> Trajectories | None:
    if not path.is_file():
        return None
    try:
        return read_well(path)
    except (UserError, ValueError, RuntimeError) as error:
        log.info("%s: the stored flows are damaged and are solved again: %s", name, error)
        return None
