"""The number of processors that this process may use."""

import os


def available_cpus() -> int:
    """The number of processors that this process may use; a container or a batch system may allow fewer than exist."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
