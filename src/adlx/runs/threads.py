"""How many CPU threads train a model.

The choice depends on the config, the shapes of the data and the number of cores, and never on measured time. So a run
with the same seed on the same machine rounds in the same way, whatever else the machine does.
"""

import logging
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from adlx.cpus import available_cpus
from adlx.tasks.task import Task

log = logging.getLogger("adlx")

# If an average operator has fewer floating-point operations than this, threads wait for each other longer than they
# compute, above all on a busy machine. Measured: 2e6 for a small transformer, which two threads on a busy machine slow
# down by half. 2e7 and more for image models: there two threads take less than 1.3 times as long on a busy machine, and
# are 1.4 to 1.7 times as fast on a quiet one.
MANY_OPERATIONS = 1e7


def set_threads(choice: str | int, task: Task, batch: Any, device: torch.device, processes: int = 1) -> int:
    """Sets the number of CPU threads: a given number, or one thread or all cores for `auto`.

    `auto` chooses one thread for a model with small operators, where threads would mostly wait for each other. It
    chooses all cores for a model with large operators, for a closed-form solution, and if another device trains.
    Several processes of one run share the cores evenly.

    Args:
        choice: `trainer.threads`.
        task: the task to train.
        batch: a training batch, for which the operations are counted.
        device: the device that trains.
        processes: number of processes on this machine that train the run.

    Returns:
        the number of threads.
    """
    if choice == "auto":
        cores = max(1, available_cpus() // processes)
        is_counted = cores > 1 and device.type == "cpu" and any(p.requires_grad for p in task.parameters())
        choice = 1 if is_counted and operations_per_operator(task, batch) < MANY_OPERATIONS else cores
        if is_counted:
            log.info(f"threads: {choice} of {cores} cores (trainer.threads=N to choose)")
    torch.set_num_threads(int(choice))
    return int(choice)


def operations_per_operator(task: Task, batch: Any) -> float:
    """The number of floating-point operations of an average operator, in one forward pass in training mode.

    The count includes matrix products, convolutions and attention. It does not include recurrent layers, which compute
    step by step in small operators. Buffers and the random state are restored afterwards.
    """
    buffers = {name: buffer.clone() for name, buffer in task.named_buffers()}
    was_training = task.training
    task.train()
    with (
        torch.random.fork_rng(devices=[]),
        torch.no_grad(),
        FlopCounterMode(display=False) as work,
        OperatorCounter() as operators,
    ):
        task.batch_loss(batch)
    task.train(was_training)
    with torch.no_grad():
        for name, buffer in task.named_buffers():
            buffer.copy_(buffers[name])
    return work.get_total_flops() / max(1, operators.count)


class OperatorCounter(TorchDispatchMode):
    """Counts the operators that are called within its context."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))
