"""Flows that are solved side by side, and kept as HDF5, so that each is solved once."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adlx.caching import locked
from adlx.cpus import available_cpus
from adlx.data.fields.sources.trajectories import Trajectories
from adlx.data.fields.sources.well import read_well, write_well
from adlx.errors import UserError

log = logging.getLogger("adlx")

_LOCK_SECONDS = 3600  # a hundred flows on a slow machine take longer than a download


def side_by_side(count: int, solve: Callable[[int, threading.Event], None], name: str, flows: str) -> None:
    """Calls `solve` with every number below `count`, as many at a time as there are processors.

    Args:
        count: how many there are.
        solve: one of them; ends early once the event is set, since another one has failed or the user has had enough.
        name: begins the lines that tell how far it is.
        flows: what they are, in those lines.
    """
    began, stopped, workers = time.monotonic(), threading.Event(), min(count, available_cpus())
    log.info("%s: solving %d %s, %d at a time, to be kept for the next run", name, count, flows, workers)

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


def kept_or_solved(
    path: Path, name: str, solve: Callable[[], Trajectories], boundaries: tuple[str, str] = ("OPEN", "OPEN")
) -> Trajectories:
    """What was kept at `path`, or what `solve` gives, which is then kept there.

    Of several processes one solves and the others wait. A damaged file is solved anew; a folder that cannot be written
    is done without.
    """
    with locked(path, "solves the same flows", _LOCK_SECONDS):
        found = _kept(path, name)
        if found is None:
            found = solve()
            try:
                write_well(path, found, name, boundaries=boundaries)
                found = read_well(path)
            except OSError as error:
                log.info("%s: cannot keep %s (%s); going on without", name, path, error.strerror or error)
    return found


def _kept(path: Path, name: str) -> Trajectories | None:
    if not path.is_file():
        return None
    try:
        return read_well(path)
    except (UserError, ValueError, RuntimeError) as error:
        log.info("%s: solving anew what was kept, as it is damaged: %s", name, error)
        return None
