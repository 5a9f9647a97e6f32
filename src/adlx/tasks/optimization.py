"""The optimizer of a task and its learning-rate schedule."""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Optimization:
    """Makes the optimizer and the schedule, once the trainable weights are known.

    Args:
        make_optimizer: makes the optimizer from a list of parameters.
        make_schedule: makes the schedule from the optimizer and `total_steps`, the number of training steps; None: the
            learning rate is constant.
    """

    make_optimizer: Callable[..., torch.optim.Optimizer]
    make_schedule: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None
