"""How many CPU threads: a small model at batch 1 runs two to three times faster on one than on two."""

import logging
import time
from typing import Any

import torch

from adlx.cpus import available_cpus
from adlx.tasks.task import Task

log = logging.getLogger("adlx")

PROBE_SECONDS = 1.0


def set_threads(choice: str | int, task: Task, batch: Any, device: torch.device, processes: int = 1) -> int:
    """Sets the number of threads: as told, or for `auto` the faster of one and all cores on a few training passes.

    Where another device than the CPU trains, `auto` is all cores, untimed. Several processes of one run share the cores
    evenly.

    Returns:
        the number set.
    """
    if choice == "auto":
        cores = max(1, available_cpus() // processes)
        untimed = cores == 1 or device.type != "cpu" or not _trainable(task)
        choice = cores if untimed else _faster(task, batch, cores)
    torch.set_num_threads(int(choice))
    return int(choice)


def _trainable(task: Task) -> bool:
    return any(parameter.requires_grad for parameter in task.parameters())


def _faster(task: Task, batch: Any, cores: int) -> int:
    """Times forward and backward passes by turns. The optimizer never steps; buffers and random state are put back."""
    buffers = {name: buffer.clone() for name, buffer in task.named_buffers()}
    was_training = task.training
    task.train()
    seconds: dict[int, list[float]] = {1: [], cores: []}
    with torch.random.fork_rng(devices=[]):
        until = time.perf_counter() + PROBE_SECONDS
        for turn in range(12):
            for threads, times in seconds.items():
                torch.set_num_threads(threads)
                start = time.perf_counter()
                task.batch_loss(batch).backward()
                task.zero_grad(set_to_none=True)
                times.append(time.perf_counter() - start)
            if turn >= 2 and time.perf_counter() > until:
                break
    task.train(was_training)
    with torch.no_grad():
        for name, buffer in task.named_buffers():
            buffer.copy_(buffers[name])
    # The first pass of each warms up; the least of the others is what the machine's other work disturbed least.
    single, every = min(seconds[1][1:]) * 1e3, min(seconds[cores][1:]) * 1e3
    chosen = 1 if single <= every else cores
    log.info(f"threads: {chosen} ({single:.1f} ms a pass on 1, {every:.1f} ms on {cores}; trainer.threads=N to choose)")
    return chosen
