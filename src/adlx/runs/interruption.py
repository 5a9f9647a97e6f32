"""Handles SIGINT and SIGTERM: finishes the current step, saves a checkpoint and prints the resume command."""

import signal
import threading
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from adlx.errors import Interrupted


class _StopHere(pl.Callback):
    def __init__(self, signum: int) -> None:
        self.signum = signum

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        raise Interrupted(self.signum)


class Interruptible:
    """Context in which the first signal stops training after the current step. A second signal stops at once, and so
    does a signal outside of training.

    Lightning's own handlers save in the middle of a step on SIGINT, and exit with status 0 on SIGTERM. The callback is
    added only when a signal comes, because each callback costs a few microseconds per step.
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        self.trainer = trainer
        self.fitting = False
        self.signum: int | None = None
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> "Interruptible":
        if threading.current_thread() is threading.main_thread():
            self.previous = {s: signal.signal(s, self.handle) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: Any) -> None:
        for signum, handler in self.previous.items():
            signal.signal(signum, handler)

    def handle(self, signum: int, frame: FrameType | None) -> None:
        if not self.fitting or self.signum is not None:
            raise Interrupted(signum)
        self.signum = signum
        self.trainer.callbacks.append(_StopHere(signum))  # type: ignore[attr-defined]

    def fit(self, *args: Any, **keywords: Any) -> None:
        """Calls `trainer.fit`, and stops it between two steps if a signal comes."""
        self.fitting = True
        try:
            self.trainer.fit(*args, **keywords)
        except BaseException:
            self._end_other_processes()
            raise
        finally:
            self.fitting = False
        if self.signum is not None:  # the signal came in the last validation, after the last step
            raise Interrupted(self.signum)

    def _end_other_processes(self) -> None:
        """Ends the processes that Lightning started for other devices: they would wait for this one forever."""
        kill = getattr(self.trainer.strategy.launcher, "kill", None)
        if kill is not None:
            kill(getattr(signal, "SIGKILL", signal.SIGTERM))
