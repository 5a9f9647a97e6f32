"""Errors of fields over space and time.

Shapes: N trajectories, T time steps, F fields.
"""

from itertools import pairwise

import numpy as np

SPANS = ("first", "middle", "last")
"""Thirds of a rollout."""


def vrmse(error: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(N, F) square root of the squared error divided by the variance, both summed over time.

    Predicting the mean over space scores 1. The sums come before the division, so that time steps at which a field is
    at rest, with no variance, do not dominate.
    """
    return np.sqrt(over_time(error, variance) / np.maximum(np.nansum(variance, axis=1), 1e-12))


def over_time(error: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N, F) sum over time of errors (N, T, F), where there is a truth.

    A diverged rollout has NaN errors; they count as infinite.
    """
    return np.where(np.isnan(truth), 0.0, np.where(np.isnan(error), np.inf, error)).sum(axis=1)


def spans(steps: int) -> list[slice]:
    """Thirds of a number of steps, the last one the longest. A third that would be empty is all steps."""
    borders = [steps * part // 3 for part in range(4)]
    return [slice(a, b) if b > a else slice(0, steps) for a, b in pairwise(borders)]
