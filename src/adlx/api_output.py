"""The output of the Python functions: nothing, or lines that show the progress."""

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
    """Imports Lightning without tqdm's warning on its bar for notebooks, which adlx does not use."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import pytorch_lightning  # noqa: F401


@contextmanager
def quiet_call(progress: bool = False) -> Iterator[None]:
    """In this context adlx prints nothing, or with `progress`, the lines of its logger, as a command does.

    A level that the caller has set for the logger `adlx` stays, so that the caller can still collect its lines.

    Raises:
        KeyboardInterrupt: training was stopped by SIGINT.
    """
    loggers = {name: logging.getLogger(name) for name in ("adlx", "hydra")}
    before = {name: (logger.level, logger.propagate) for name, logger in loggers.items()}
    shown = loggers["adlx"]
    handler = logging.StreamHandler(sys.stdout) if progress else logging.NullHandler()
    shown.addHandler(handler)
    for logger in loggers.values():
        if logger.level == logging.NOTSET:  # else the level of the root logger decides
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
