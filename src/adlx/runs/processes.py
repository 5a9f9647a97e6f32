"""The processes of one run: Lightning starts one more process for each further device."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# A process that Lightning starts for another device reads the run folder from this environment variable.
FOLDER_VARIABLE = "ADLX_RUN_FOLDER"


@contextmanager
def restored_environment() -> Iterator[None]:
    """Restores the environment variables by which Lightning numbers the processes of a run.

    So the next run in this process can start processes of its own.
    """
    names = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", FOLDER_VARIABLE)
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        leave_process_group()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def leave_process_group() -> None:
    """Destroys the process group of a run, so that later code does not wait for the other processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
