"""A worker's side of a duel: it trains when told to, a block of steps at a time, and says how long each block took.

Standard library alone: every virtual environment can import it.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path


class Turns:
    """Waits between blocks for a line on stdin, the number of steps of the next; the end of stdin ends the process.

    Whatever a framework prints goes to stderr, so that stdout holds replies alone.
    """

    def __init__(self) -> None:
        self.replies = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self.left = 0  # steps of the block that runs; none runs before the first step is done

    def step(self, steps: int = 1) -> None:
        """To be called after each training step; returns when the next one is wanted."""
        self.left -= steps
        if self.left > 0:
            return
        if self.left == 0:
            seconds = time.perf_counter() - self.started
            print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}), file=self.replies, flush=True)
        line = sys.stdin.readline()
        if not line:
            os._exit(0)  # at once: the frameworks would finish their fit first
        self.left = int(line)
        self.started = time.perf_counter()


def peak_mb() -> float | None:
    """Peak resident memory of this process so far; None where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**10


def forget_peak() -> None:
    """Lets the peak of memory begin from what is resident now, where Linux can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
