"""Figures that cannot be drawn: they cost a line, and no numbers."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("adlx")


@contextmanager
def reported(name: str) -> Iterator[None]:
    """Logs an error inside the block in one line, and goes on after it: the numbers are already stored.

    Args:
        name: what is drawn, such as `the figure forecast`.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        log.warning(f"{name} could not be drawn ({reason}); the numbers are not affected")
