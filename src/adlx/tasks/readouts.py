"""Linear readouts from sums over the samples: none of them needs the samples themselves.

With features H (N, L) and targets Y (N, K), G = H^T H and C = H^T Y hold all that least squares with or without a
penalty asks for; `alpha` and `l1_ratio` mean what they mean in scikit-learn, and there is no intercept.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

Readout = Literal["none", "ridge", "lasso", "elasticnet"]
TOLERANCE = 1e-4
ITERATIONS = 1000
MARGIN = 4  # of the error of the sums: it was measured to be 0.05 to 0.2 of `noise` times the largest eigenvalue


@dataclass(frozen=True)
class Sums:
    """What is known of N samples.

    Args:
        gram: (L, L) float64, H^T H.
        cross: (L, K) float64, H^T Y.
        squares: (K,) float64, the sums of Y^2.
        count: N.
        noise: relative error of the sums: the epsilon of the numbers that were multiplied.
    """

    gram: np.ndarray
    cross: np.ndarray
    squares: np.ndarray
    count: int
    noise: float = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Solution:
    """A readout that was solved for.

    Args:
        beta: (L, K).
        alpha: the strength of its penalty; 0 for `none`.
        converged: whether an iteration came to its end.
    """

    beta: np.ndarray
    alpha: float
    converged: bool = True


def solve(sums: Sums, readout: Readout, alphas: Sequence[float], l1_ratio: float) -> Iterator[Solution]:
    """The readout for each of `alphas`, the strongest penalty first; for `none`, one."""
    if readout == "none":
        yield Solution(least_squares(sums), 0.0)
    elif readout == "ridge":
        for alpha in sorted(alphas, reverse=True):
            yield Solution(ridge(sums, alpha), alpha)
    else:
        yield from elastic_net(sums, alphas, 1.0 if readout == "lasso" else l1_ratio)


def grid(sums: Sums, readout: Readout, l1_ratio: float) -> list[float]:
    """Strengths worth trying.

    Of `ridge`, half decades from 1e-5 to 1 of the mean sum of squares of a feature. Of the others, thirds of a decade
    down to 1e-3 of the least strength at which beta is 0 (Friedman, Hastie, Tibshirani 2010, section 2.5).
    """
    if readout == "none":
        return []
    if readout == "ridge":
        return [float(strength) for strength in np.trace(sums.gram) / len(sums.gram) * np.logspace(0, -5, 11)]
    ratio = 1.0 if readout == "lasso" else l1_ratio
    return [float(strength) for strength in np.abs(sums.cross).max() / sums.count / ratio * np.logspace(-1 / 3, -3, 9)]


def least_squares(sums: Sums) -> np.ndarray:
    """Least squares of minimum norm, as `numpy.linalg.lstsq`.

    The squared singular values of H are the eigenvalues of G, known up to `noise` times the largest: directions below
    that, in which the features do not differ as far as the sums can tell, get no weight.
    """
    lowered = sums.gram.copy()
    lowered.flat[:: len(lowered) + 1] -= MARGIN * sums.noise * np.abs(sums.gram).sum(axis=0).max()
    try:  # a Cholesky factor says that no eigenvalue is that low: there is nothing to leave out
        cho_factor(lowered.T, lower=True, overwrite_a=True, check_finite=False)
        return ridge(sums, 0.0)
    except LinAlgError:
        values, vectors = np.linalg.eigh(sums.gram)
    kept = values > MARGIN * sums.noise * values[-1]
    return (vectors[:, kept] / values[kept]) @ (vectors[:, kept].T @ sums.cross)


def ridge(sums: Sums, alpha: float) -> np.ndarray:
    """argmin ||Y - H beta||^2 + alpha ||beta||^2."""
    penalised = sums.gram.copy()
    penalised.flat[:: len(penalised) + 1] += alpha
    try:
        # Transposed, it is in Fortran's order already: LAPACK works in place.
        factor = cho_factor(penalised.T, lower=True, overwrite_a=True, check_finite=False)
        return cho_solve(factor, sums.cross, check_finite=False)
    except LinAlgError:  # so little penalty that the error of the sums outweighs it
        values, vectors = np.linalg.eigh(sums.gram)
        return (vectors / (np.maximum(values, 0) + alpha)) @ (vectors.T @ sums.cross)


def elastic_net(sums: Sums, alphas: Sequence[float], l1_ratio: float) -> Iterator[Solution]:
    """argmin ||Y - H beta||^2 / 2N + alpha (l1_ratio ||beta||_1 + (1 - l1_ratio) ||beta||^2 / 2), a column at a time.

    Scikit-learn descends along the coordinates of G once it is given the samples. Any L samples with the same sums
    will do: R with R^T R = G and targets q with R^T q = C, where G is R^T R by Cholesky. The error per sample is that
    of N, so alpha is scaled by N / L. Solutions are warm-started from one strength to the next.
    """
    size, classes = sums.cross.shape
    gram = np.ascontiguousarray(sums.gram)
    lower = cholesky(sums)
    targets = solve_triangular(lower, sums.cross, lower=True, check_finite=False)
    # What no linear readout explains is in ||Y||^2 but not in ||q||^2: a row of its own, so that the duality gap at
    # which to stop is relative to the same number as with all samples.
    rows = np.vstack([lower.T, np.zeros(size)])
    rest = np.sqrt(np.maximum(sums.squares - (targets**2).sum(axis=0), 0))
    targets = np.vstack([targets, rest])
    model = ElasticNet(
        l1_ratio=l1_ratio,
        fit_intercept=False,
        precompute=gram,  # pyright: ignore[reportArgumentType]
        warm_start=True,
        max_iter=ITERATIONS,
        tol=TOLERANCE,
        copy_X=False,
    )
    for alpha in sorted(alphas, reverse=True):
        model.set_params(alpha=alpha * sums.count / len(rows))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(rows, targets)
        yield Solution(
            np.array(model.coef_.reshape(classes, size).T),
            alpha,
            not any(issubclass(warning.category, ConvergenceWarning) for warning in caught),
        )


def cholesky(sums: Sums) -> np.ndarray:
    """The lower factor of G, or of G and as little on its diagonal as makes it positive."""
    lift = 0.0
    while True:
        try:
            return np.linalg.cholesky(sums.gram + lift * np.eye(len(sums.gram)))
        except np.linalg.LinAlgError:
            lift = max(10 * lift, sums.noise * np.trace(sums.gram) / len(sums.gram))
