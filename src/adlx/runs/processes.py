"""The processes of one run: Lightning starts the second and further ones, for the other devices."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# A process that Lightning starts for another device of the same run finds its folder here.
FOLDER_VARIABLE = "ADLX_RUN_FOLDER"


@contextmanager
def own_environment() -> Iterator[None]:
    """Undoes what Lightning sets up to number a run's processes, so that the next run can start its own."""
    names = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", FOLDER_VARIABLE)
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        leave_processes()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def leave_processes() -> None:
    """Ends the group of a run's processes, so that what follows waits for none of the others."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
