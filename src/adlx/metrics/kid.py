"""Kernel inception distance: how far a set of drawn images is from a set of real ones.

Bińkowski, Sutherland, Arbel, Gretton (2018), "Demystifying MMD GANs", section 4: the unbiased estimate of the squared
maximum mean discrepancy of features under the kernel (x y / D + 1)^3. It is 0 on average for two sets from the same
distribution, and can fall below.
"""

import warnings

import torch
from torch import Tensor, nn

SUBSETS, SUBSET_SIZE = 100, 100


def kid(real: Tensor, drawn: Tensor, seed: int = 0) -> tuple[float, float]:
    """Mean and deviation over random subsets of at most 100 images each.

    Args:
        real, drawn: (N, D) and (M, D) features, at least two images each.
        seed: of the subsets.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(SUBSET_SIZE, len(real), len(drawn))
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # that features are kept in memory
        torch.manual_seed(seed)
        # Of a run's several processes each holds both sets whole, so there is nothing to gather.
        metric = KernelInceptionDistance(
            feature=nn.Identity(), subsets=SUBSETS, subset_size=size, sync_on_compute=False
        )
        metric.update(real.double().cpu(), real=True)
        metric.update(drawn.double().cpu(), real=False)
        mean, deviation = metric.compute()
    return mean.item(), deviation.item()
