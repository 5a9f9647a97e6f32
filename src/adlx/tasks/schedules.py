"""Learning-rate schedules over a known number of steps."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from adlx.ranges import Share


class Cosine(LambdaLR):
    """Linear warm-up, then half a cosine down to `floor` times the rate (Loshchilov & Hutter 2017, one cycle).

    Args:
        optimizer: the optimizer whose learning rate changes.
        total_steps: number of training steps, computed by the trainer.
        warmup: share of the steps in which the rate rises.
        floor: the last rate, as a share of the full rate.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: Share = 0.02, floor: Share = 0.0) -> None:
        warmup_steps = max(1, round(warmup * total_steps))

        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / warmup_steps
            done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
            return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))

        super().__init__(optimizer, factor)
