"""Processes of several libraries that train in turn, one at a time, each in its own virtual environment."""

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

WARM_UP_STEPS = 4
BLOCK_SECONDS = 0.5


class WorkerFailed(Exception):
    """A worker ended without a reply; the message is its last line."""


class Worker:
    """A process that trains with `Turns`.

    Args:
        command: the command that starts the worker.
        threads: number of OpenMP threads; the command contains the number for the library itself.
    """

    def __init__(self, command: Sequence[str], threads: int) -> None:
        # Not a pipe, because nobody reads it and it would fill up.
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""},
        )
        self.peak_mb = float("nan")
        # The first steps build, trace and compile. The blocks of all workers take equally long.
        self.steps = 1
        self.block(WARM_UP_STEPS)
        self.steps = max(1, round(BLOCK_SECONDS / self.block(WARM_UP_STEPS)))

    def block(self, steps: int | None = None) -> float:
        """Runs a block of steps; returns the seconds per step."""
        steps = steps or self.steps
        assert self.process.stdin and self.process.stdout
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{steps}\n")
            self.process.stdin.flush()
        reply = self.process.stdout.readline()
        if not reply:
            self.process.wait()
            self.errors.seek(0)
            raise WorkerFailed((self.errors.read().strip().splitlines() or ["no output"])[-1])
        facts = json.loads(reply)
        self.peak_mb = facts["peak_mb"] or float("nan")
        return facts["seconds"] / steps

    def close(self) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()
        self.process.stdout.close()  # type: ignore[union-attr]
        self.errors.close()


def duel(
    commands: Mapping[str, Sequence[str]], threads: int, repeats: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Times the first worker against each of the others, in rounds.

    Args:
        commands: the command of each side, by name.
        threads: number of threads of each side.
        repeats: largest number of rounds.
        seconds: time per other side after which no other round starts.

    Returns:
        for each other side: the ratio of the first side's time to its own, the median over rounds, and further facts.
    """
    workers: dict[str, Worker] = {}
    with contextlib.ExitStack() as stack:
        for side, command in commands.items():
            workers[side] = Worker(command, threads)
            stack.callback(workers[side].close)
        times: dict[str, list[float]] = {side: [] for side in workers}
        until = time.perf_counter() + seconds * (len(workers) - 1)
        for number in range(repeats):
            if number > 2 and time.perf_counter() > until:
                break
            for side, worker in workers.items():
                times[side].append(worker.block())
        first, *others = workers
        return {side: _summary(workers[first], workers[side], times[first], times[side]) for side in others}


def _summary(ours: Worker, theirs: Worker, our_times: list[float], their_times: list[float]) -> dict[str, Any]:
    ratios = [one / other for one, other in zip(our_times, their_times, strict=True)]
    quarters = statistics.quantiles(ratios, n=4)
    return {
        "ratio": round(statistics.median(ratios), 4),
        "ratio_quartiles": [round(quarters[0], 4), round(quarters[2], 4)],
        "times_faster": round(1 / statistics.median(ratios), 2),
        "step_ms": round(statistics.median(our_times) * 1e3, 3),
        "peer_step_ms": round(statistics.median(their_times) * 1e3, 3),
        "pairs": len(ratios),
        "steps_a_block": [ours.steps, theirs.steps],
        "memory_ratio": round(ours.peak_mb / theirs.peak_mb, 3),
        "peak_mb": round(ours.peak_mb, 1),
        "peer_peak_mb": round(theirs.peak_mb, 1),
    }
