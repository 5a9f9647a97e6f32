"""The worker's part of `workers.duel`: it trains a block of steps on request, and reports the time of each block.

It uses only the standard library, so every virtual environment can import it.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path


class Turns:
    """Before each block, reads a line with its number of steps from stdin; the end of stdin ends the process.

    The output of frameworks goes to stderr, so that stdout contains only replies.
    """

    def __init__(self) -> None:
        self.replies = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self.left = 0  # remaining steps of the current block; there is no block before the first step

    def step(self, steps: int = 1) -> None:
        """Call this after each training step; it returns when the next step is requested."""
        self.left -= steps
        if self.left > 0:
            return
        if self.left == 0:
            seconds = time.perf_counter() - self.started
            print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}), file=self.replies, flush=True)
        line = sys.stdin.readline()
        if not line:
            os._exit(0)  # at once, because the frameworks would finish their fit first
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
    """Resets the peak memory to the current memory; does nothing where /proc does not allow it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
