"""Kernel inception distance (KID) between a set of generated images and a set of real images.

Bińkowski, Sutherland, Arbel, Gretton (2018), "Demystifying MMD GANs", section 4: the unbiased estimate of the squared
maximum mean discrepancy of features under the kernel (x y / D + 1)^3. Its mean is 0 for two sets
from the same distribution, so it can be negative.
"""

import warnings

import torch
from torch import Tensor, nn

SUBSETS, SUBSET_SIZE = 100, 100


def kid(real: Tensor, generated: Tensor, seed: int = 0) -> tuple[float, float]:
    """Mean and deviation of the KID over random subsets of at most 100 images each.

    Args:
        real, generated: (N, D) and (M, D) features, at least two images each.
        seed: the seed of the subsets.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(SUBSET_SIZE, len(real), len(generated))
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # torchmetrics warns that it keeps features in memory
        torch.manual_seed(seed)
        # Each process of a run holds both sets completely, so there is nothing to gather.
        metric = KernelInceptionDistance(
            feature=nn.Identity(), subsets=SUBSETS, subset_size=size, sync_on_compute=False
        )
        metric.update(real.double().cpu(), real=True)
        metric.update(generated.double().cpu(), real=False)
        mean, deviation = metric.compute()
    return mean.item(), deviation.item()
