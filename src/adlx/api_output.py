"""What a call of the Python API prints: nothing, or lines on what it does."""

import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from adlx.errors import Interrupted, InterruptedByKeyboard

NOTHING = logging.CRITICAL + 1
"""A level at which a logger shows nothing."""


def import_lightning() -> None:
    """Imports Lightning without a warning of tqdm, whose bar for notebooks a package may load, and adlx never uses."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import pytorch_lightning  # noqa: F401


@contextmanager
def called(progress: bool = False) -> Iterator[None]:
    """Within it, adlx prints nothing; with `progress`, the lines of its logger go to stdout, as in a command.

    Raises:
        KeyboardInterrupt: training was stopped by SIGINT.
    """
    loggers = {name: logging.getLogger(name) for name in ("adlx", "hydra")}
    before = {name: (logger.level, logger.propagate) for name, logger in loggers.items()}
    shown = loggers["adlx"]
    handler = logging.StreamHandler(sys.stdout) if progress else logging.NullHandler()  # none: Python would print
    shown.addHandler(handler)
    for logger in loggers.values():
        if logger.level == logging.NOTSET:  # the level of the root logger is for the loggers of the caller
            logger.setLevel(NOTHING)
    if progress:
        shown.setLevel(logging.INFO)
        shown.propagate = False
    try:
        yield
    except Interrupted as stop:
        if stop.signum != signal.SIGINT:
            raise
        raise InterruptedByKeyboard(stop.advice) from None
    finally:
        shown.removeHandler(handler)
        for name, logger in loggers.items():
            level, logger.propagate = before[name]
            logger.setLevel(level)
