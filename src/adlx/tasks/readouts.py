"""Linear readouts that are computed from sums over the samples, without the samples.

For features H (N, L) and targets Y (N, K), least squares with and without a penalty need only G = H^T H and C = H^T Y.
`alpha` and `l1_ratio` are those of scikit-learn; there is no intercept.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

Regularization = Literal["none", "ridge", "lasso", "elasticnet"]
TOLERANCE = 1e-4
ITERATIONS = 1000
MARGIN = 4  # safety factor: the measured error of the sums is 0.05 to 0.2 of `noise` times the largest eigenvalue


@dataclass(frozen=True)
class Sums:
    """Sums over N samples.

    Args:
        gram: (L, L) float64, H^T H.
        cross: (L, K) float64, H^T Y.
        squares: (K,) float64, the sums of Y^2.
        count: N.
        noise: relative error of the sums: the machine epsilon of the features.
    """

    gram: np.ndarray
    cross: np.ndarray
    squares: np.ndarray
    count: int
    noise: float = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Solution:
    """The solution for one readout.

    Args:
        beta: weights (L, K).
        alpha: penalty strength; 0 for `none`.
        converged: whether an iterative solver converged.
    """

    beta: np.ndarray
    alpha: float
    converged: bool = True


def solve_readout(sums: Sums, readout: Regularization, alphas: Sequence[float], l1_ratio: float) -> Iterator[Solution]:
    """Yields a solution for each of `alphas`, the strongest penalty first; `none` has one solution."""
    if readout == "none":
        yield Solution(least_squares(sums), 0.0)
    elif readout == "ridge":
        for alpha in sorted(alphas, reverse=True):
            yield Solution(ridge(sums, alpha), alpha)
    else:
        yield from elastic_net(sums, alphas, 1.0 if readout == "lasso" else l1_ratio)


def penalty_grid(sums: Sums, readout: Regularization, l1_ratio: float) -> list[float]:
    """The penalty strengths that `auto` tries.

    For `ridge`: 1 to 1e-5 of the mean of the diagonal of G, in half decades. For the others: down to 1e-3 of the
    smallest strength with beta = 0, in thirds of a decade (Friedman, Hastie, Tibshirani 2010, section 2.5).
    """
    if readout == "none":
        return []
    if readout == "ridge":
        return [float(strength) for strength in np.trace(sums.gram) / len(sums.gram) * np.logspace(0, -5, 11)]
    ratio = 1.0 if readout == "lasso" else l1_ratio
    return [float(strength) for strength in np.abs(sums.cross).max() / sums.count / ratio * np.logspace(-1 / 3, -3, 9)]


def least_squares(sums: Sums) -> np.ndarray:
    """Least squares with minimum norm, as `numpy.linalg.lstsq`.

    The eigenvalues of G, the squared singular values of H, have an error of about `noise` times the largest one.
    Directions with smaller eigenvalues cannot be distinguished from rounding errors and get zero weight.
    """
    lowered = sums.gram.copy()
    lowered.flat[:: len(lowered) + 1] -= MARGIN * sums.noise * np.abs(sums.gram).sum(axis=0).max()
    try:  # if a Cholesky factor exists, no eigenvalue is that small, and ridge without a penalty is exact
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
        # The transpose is in Fortran order, so LAPACK works in place.
        factor = cho_factor(penalised.T, lower=True, overwrite_a=True, check_finite=False)
        return cho_solve(factor, sums.cross, check_finite=False)
    except LinAlgError:  # the penalty is smaller than the error of the sums
        values, vectors = np.linalg.eigh(sums.gram)
        return (vectors / (np.maximum(values, 0) + alpha)) @ (vectors.T @ sums.cross)


def elastic_net(sums: Sums, alphas: Sequence[float], l1_ratio: float) -> Iterator[Solution]:
    """argmin ||Y - H beta||^2 / 2N + alpha (l1_ratio ||beta||_1 + (1 - l1_ratio) ||beta||^2 / 2), for each column.

    The coordinate descent of scikit-learn uses G, but also needs samples. Any samples with the same sums give the same
    solution: here the rows of R, with R^T R = G by Cholesky, and targets q with R^T q = C. Scikit-learn divides the
    error by the number of rows, so alpha is scaled by N / rows. Each strength starts from the previous solution.
    """
    size, classes = sums.cross.shape
    gram = np.ascontiguousarray(sums.gram)
    lower = cholesky(sums)
    targets = solve_triangular(lower, sums.cross, lower=True, check_finite=False)
    # ||Y||^2 contains a rest that no linear readout explains, and ||q||^2 does not. One more row adds the rest, since
    # the tolerance is relative to ||Y||^2.
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
    """The lower Cholesky factor of G; if G is not positive definite, a small number is added to its diagonal."""
    added = 0.0
    while True:
        try:
            return np.linalg.cholesky(sums.gram + added * np.eye(len(sums.gram)))
        except np.linalg.LinAlgError:
            added = max(10 * added, sums.noise * np.trace(sums.gram) / len(sums.gram))
