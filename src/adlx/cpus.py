"""How many processors there are to work with."""

import os


def available_cpus() -> int:
    """The processors that this process may use, at least one; a container or a batch system may allow few of many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
