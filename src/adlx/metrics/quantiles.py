"""How good quantiles are: the CRPS from pinball losses, coverage and width of intervals.

Shapes: Q levels; everything else as it comes.
"""

import numpy as np


def crps(quantiles: np.ndarray, target: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of each target, in its units; lower is better.

    Gneiting & Raftery 2007, "Strictly proper scoring rules, prediction, and estimation", section 4.2: the integral over
    all levels of twice the pinball loss. Here, as is usual, its mean over the given levels: an approximation, the
    closer the more levels there are and the more evenly they lie. So compare scores over the same levels alone. For a
    point, as the same value at every symmetric level, it is the absolute error.

    Args:
        quantiles: (..., Q)
        target: (...)
        levels: (Q,) increasing, in (0, 1).
    """
    error = target[..., None] - quantiles
    return 2 * np.maximum(levels * error, (levels - 1) * error).mean(axis=-1)


def intervals(levels: np.ndarray) -> dict[int, tuple[int, int]]:
    """The central intervals that the levels bound: percentage to the positions of both ends, widest first."""
    ends = {}
    for low, level in enumerate(levels):
        for high in np.flatnonzero(np.isclose(levels, 1 - level)):
            if low < high:
                ends[round(100 * (1 - 2 * level))] = (low, int(high))
    return ends
