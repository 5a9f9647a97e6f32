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


def side_by_side(count: int, solve: Callable[[int, threading.Event], None], name: str, flows: str) -> None:
    """Calls `solve` with every number below `count`, in as many threads as there are processors.

    Args:
        count: how many there are.
        solve: one of them; it ends early once the event is set: another one failed, or the user stopped the run.
        name: first word of the progress lines.
        flows: what the flows are called in those lines.
    """
    began, stopped, workers = time.monotonic(), threading.Event(), min(count, available_cpus())
    log.info("%s: solving %d %s, %d at a time, which are stored for later runs", name, count, flows, workers)

    def one(number: int) -> None:
        if not stopped.is_set():
            solve(number, stopped)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for done, _ in enumerate(pool.map(one, range(count)), start=1):
                left = (time.monotonic() - began) / done * (count - done)
                if done < count and done % workers == 0:
                    log.info("%s: %d of %d %s, about %.0f s left", name, done, count, flows, left)
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def flow_file(name: str, version: int, settings: Any) -> Path:
    """Returns the file of the cache for flows with these settings, a dataclass of plain values.

    Args:
        name: begins the file name.
        version: of the solver; another one makes new files.
        settings: the values that the flows depend on.
    """
    digest = hashlib.sha256(json.dumps([version, *vars(settings).values()]).encode()).hexdigest()[:16]
    return cache_folder() / "fields" / f"{name}-{digest}.hdf5"


def load_or_solve(
    path: Path, name: str, solve: Callable[[], Trajectories], boundaries: tuple[str, str] = ("OPEN", "OPEN")
) -> Trajectories:
    """Loads the flows stored at `path`; if there are none, solves and stores them.

    If several processes start, one solves and the others wait. Flows in a damaged file are solved again. If the folder
    cannot be written to, the flows are not stored.
    """
    with locked(path, "solves the same flows", _LOCK_SECONDS):
        found = _read_stored(path, name)
        if found is None:
            found = solve()
            try:
                write_well(path, found, name, boundaries=boundaries)
                found = read_well(path)
            except OSError as error:
                log.info("%s: cannot store %s (%s); continuing without the cache", name, path, error.strerror or error)
    return found


def _read_stored(path: Path, name: str) -> Trajectories | None:
    if not path.is_file():
        return None
    try:
        return read_well(path)
    except (UserError, ValueError, RuntimeError) as error:
        log.info("%s: the stored flows are damaged and are solved again: %s", name, error)
        return None
