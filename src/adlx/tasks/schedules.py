"""Learning-rate schedules over a known number of steps."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class Cosine(LambdaLR):
    """Linear warm-up, then half a cosine down to `floor` times the rate (Loshchilov & Hutter 2017, one cycle).

    Args:
        optimizer: whose rate it sets.
        total_steps: of the whole training, from the trainer.
        warmup: share of them that warms up.
        floor: share of the rate that is left at the end.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.1, floor: float = 0.0) -> None:
        rise = max(1, round(warmup * total_steps))

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            done = min(1.0, (step - rise) / max(1, total_steps - rise))
            return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))

        super().__init__(optimizer, factor)
