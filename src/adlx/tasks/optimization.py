"""How the weights of a task are trained: what makes the optimizer and its schedule."""

from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Optimization:
    """How the optimizer is made, once the weights that train are known.

    Args:
        make_optimizer: from a list of parameters.
        make_schedule: from the optimizer, and `total_steps` of the whole training; None: a constant rate.
    """

    make_optimizer: Callable[..., torch.optim.Optimizer]
    make_schedule: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None
