"""Scores of quantile forecasts: the CRPS from pinball losses, and the central intervals that levels bound.

Shapes: Q levels.
"""

import numpy as np


def crps(quantiles: np.ndarray, target: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of each target, in its units; lower is better.

    Gneiting & Raftery 2007, "Strictly proper scoring rules, prediction, and estimation", section 4.2, define it as the
    integral of twice the pinball loss over all levels. As usual, this is the mean over the given levels instead, an
    approximation that is better for more and evenly spaced levels. So only scores over the same levels can be compared.
    If the levels are symmetric and all quantiles have one value, it is the absolute error of that value.

    Args:
        quantiles: (..., Q)
        target: (...)
        levels: (Q,) increasing, in (0, 1).
    """
    error = target[..., None] - quantiles
    return 2 * np.maximum(levels * error, (levels - 1) * error).mean(axis=-1)


def intervals(levels: np.ndarray) -> dict[int, tuple[int, int]]:
    """The central intervals that two levels bound: for each percentage the indices of both levels, widest first."""
    ends = {}
    for low, level in enumerate(levels):
        for high in np.flatnonzero(np.isclose(levels, 1 - level)):
            if low < high:
                ends[round(100 * (1 - 2 * level))] = (low, int(high))
    return ends
