"""The cache: a folder with files that are expensive to make or to download, which later runs read."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adlx.errors import UserError

log = logging.getLogger("adlx")

_PATIENCE = 2.0  # seconds of waiting for another process before a line says so


def cache_folder() -> Path:
    """`$ADLX_CACHE`, else the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("ADLX_CACHE") or user_cache_dir("adlx")).expanduser()


@contextmanager
def locked(path: Path, doing: str, seconds: float) -> Iterator[bool]:
    """Locks a file of the cache for this process. If its folder cannot be used, there is no lock.

    Args:
        path: the file, whose folder is made if it is not there.
        doing: what a process does while it holds the lock, as a verb phrase such as `downloads prices`, for messages.
        seconds: how long to wait for another process.

    Yields:
        Whether the folder can be used.

    Raises:
        UserError: another process still holds it after that time.
    """
    from filelock import FileLock, Timeout

    lock, usable = FileLock(path.with_suffix(".lock")), True
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=min(_PATIENCE, seconds))
        except Timeout:
            log.info("cache: waiting for another process that %s (it holds %s)", doing, lock.lock_file)
            lock.acquire(timeout=seconds)
    except Timeout as error:
        message = (
            f"another process that {doing} has held {lock.lock_file} for {seconds:,.0f} s; wait for it, or stop it"
        )
        raise UserError(message) from error
    except OSError as error:
        log.info("cache: cannot use the folder %s (%s); going on without", path.parent, error.strerror)
        usable = False
    try:
        yield usable
    finally:
        lock.release()
