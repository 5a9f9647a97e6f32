"""A folder of downloaded tables that several runs may read and write at once."""

import contextlib
import logging
import os
from datetime import UTC, datetime

import pandas as pd

from adlx.atomic import replacing
from adlx.caching import cache_folder, locked
from adlx.data.series.table import check_frame
from adlx.errors import UserError

log = logging.getLogger("adlx")

_LOCK_SECONDS = 300  # a download of all symbols with every retry stays well below


class Cache:
    """One Parquet file with known columns. A cache that fails is said aloud and never stops a run."""

    def __init__(self, name: str, columns: list[str]) -> None:
        self.path = cache_folder() / name
        self.columns = columns

    def locked(self) -> contextlib.AbstractContextManager[bool]:
        """Holds the cache for this process alone, see `adlx.caching.locked`."""
        return locked(self.path, "downloads the same", _LOCK_SECONDS)

    def read(self) -> tuple[pd.DataFrame | None, datetime]:
        """The table and when it was fetched; (None, any time) if there is none. A corrupt file is moved aside."""
        try:
            frame = pd.read_parquet(self.path)
            fetched = datetime.fromisoformat(frame.attrs.pop("fetched"))
            if list(frame.columns) != self.columns:
                raise ValueError(f"its columns are {list(frame.columns)}")
            return check_frame(frame, "it"), fetched
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError, KeyError, TypeError, UserError) as error:
            self._move_aside(error)
        return None, datetime.fromtimestamp(0, UTC)

    def write(self, frame: pd.DataFrame, fetched: datetime) -> None:
        """Replaces the file in one step: a kill at any instant leaves the old or the new one whole."""
        frame = frame.copy()
        frame.attrs["fetched"] = fetched.isoformat()
        try:
            with replacing(self.path) as file:
                frame.to_parquet(file)  # pyright: ignore[reportArgumentType]
        except OSError as error:
            log.info("cache: cannot write %s (%s); continuing without the cache", self.path, error.strerror)

    def _move_aside(self, fault: Exception) -> None:
        aside = self.path.with_suffix(".corrupt")
        log.info("cache: %s is corrupt (%s); moved to %s", self.path, " ".join(str(fault).split())[:100], aside.name)
        with contextlib.suppress(OSError):
            os.replace(self.path, aside)
