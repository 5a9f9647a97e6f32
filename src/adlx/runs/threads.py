"""How many CPU threads train a model.

The choice follows from the config, the data's shapes and the number of cores, never from a clock: a run with the same
seed on the same machine rounds in the same way, whatever else the machine does.
"""

import logging
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from adlx.cpus import available_cpus
from adlx.tasks.task import Task

log = logging.getLogger("adlx")

# Below this many floating-point operations in an average operator, threads wait for each other longer than they
# compute, above all beside other work. Measured: 2e6 for a small transformer, which two threads slow down by a half
# there; 2e7 and more for image models, which lose less than 1.3 there and gain 1.4 to 1.7 on a quiet machine.
MANY_OPERATIONS = 1e7


def set_threads(choice: str | int, task: Task, batch: Any, device: torch.device, processes: int = 1) -> int:
    """Sets the number of CPU threads: a given number, or for `auto` one or all cores.

    `auto` is one thread for a model whose operators are small, so that threads would mostly wait for each other. It is
    all cores for a model with large operators, for one that is solved in closed form, and where another device trains.
    Several processes of one run share the cores evenly.

    Args:
        choice: `trainer.threads`.
        task: the task to train.
        batch: a training batch, by which the work of an operator is counted.
        device: the device that trains.
        processes: number of processes on this machine that train the run.

    Returns:
        the number set.
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
    """The floating-point operations of an average operator, counted in one forward pass in training mode.

    Matrix products, convolutions and attention count. Recurrent layers do not: they compute step by step, and their
    steps are small. Buffers and the random state are restored.
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
