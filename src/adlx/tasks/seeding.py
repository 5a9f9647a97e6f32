"""Seeds the random numbers of a training step."""

import torch

SEED_STRIDE = 2_654_435_769
"""Difference between the seeds of two processes: 2^32 divided by the golden ratio; generators use seeds modulo 2^32."""


def seed_generators(seed: int, device: torch.device) -> None:
    """Seeds the generator that a training step on `device` uses.

    `torch.manual_seed` is not used: if CUDA is not initialized, it formats a stack trace at each call, which takes
    0.2 ms.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
