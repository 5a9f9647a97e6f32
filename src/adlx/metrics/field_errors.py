"""Errors of fields over space and time.

Shapes: N trajectories, T time steps, F fields.
"""

from itertools import pairwise

import numpy as np

SPANS = ("first", "middle", "last")
"""Thirds of a rollout."""


def vrmse(error: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(N, F) root of the squared error over the variance, both summed over time: the mean over space scores 1.

    The sums come before the ratio, so that a field at rest, with no variance, does not outweigh all others.
    """
    return np.sqrt(over_time(error, variance) / np.maximum(np.nansum(variance, axis=1), 1e-12))


def over_time(error: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, F) sum of errors (N, T, F) where there is a truth; a NaN error, of a rollout
    that has diverged, counts as infinite."""
    return np.where(np.isnan(truth), 0.0, np.where(np.isnan(error), np.inf, error)).sum(axis=1)


def spans(steps: int) -> list[slice]:
    """Thirds of a number of steps, the last one longest; a third without a step is all of them."""
    borders = [steps * part // 3 for part in range(4)]
    return [slice(a, b) if b > a else slice(0, steps) for a, b in pairwise(borders)]
