"""Readouts from sums over the samples are equal to those of scikit-learn and LAPACK with all samples."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet, Lasso, Ridge

from adlx.data.images.labelled import SampleLoader
from adlx.models.classification.elm import ELM
from adlx.specs import CodeSpec
from adlx.tasks import accumulate
from adlx.tasks.accumulate import Accumulator
from adlx.tasks.readouts import Sums, cholesky, least_squares, penalty_grid, solve_readout

N, L, K = 400, 40, 5
FLOAT32 = float(np.finfo(np.float32).eps)


def problem(seed: int = 0, samples: int = N, features: int = L, classes: int = K) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features, as from a hidden layer, and one-hot targets that depend on the same latent numbers."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(samples, 12))
    hidden = np.tanh(latent @ rng.normal(size=(12, features)) / 3 + rng.normal(size=features) / 2)
    scores = latent @ rng.normal(size=(12, classes)) + rng.normal(size=(samples, classes))
    return hidden, np.eye(classes)[scores.argmax(axis=1)]


def sparse_problem(seed: int = 1, samples: int = N, features: int = L, classes: int = K):
    """Nearly independent features, three for each class, so that it is clear which coefficients are 0."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(samples, features))
    scores = sum(hidden[:, at : 3 * classes : 3] for at in range(3)) * 3
    return hidden, np.eye(classes)[scores.argmax(axis=1)]


def sums_of(hidden: np.ndarray, target: np.ndarray, noise: float | None = None) -> Sums:
    arguments = (hidden.T @ hidden, hidden.T @ target, (target**2).sum(axis=0), len(hidden))
    return Sums(*arguments) if noise is None else Sums(*arguments, noise)


def solve_one(sums: Sums, readout: str, alpha: float = 1.0, l1_ratio: float = 0.5) -> np.ndarray:
    (solution,) = solve_readout(sums, readout, [alpha], l1_ratio)
    assert solution.converged
    assert solution.alpha == (0 if readout == "none" else alpha)
    return solution.beta


def relative(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def same_classes(hidden: np.ndarray, actual: np.ndarray, expected: np.ndarray) -> bool:
    return np.array_equal((hidden @ actual).argmax(axis=1), (hidden @ expected).argmax(axis=1))


# Ridge


@pytest.mark.parametrize("classes", [3, 7])
@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0, 300.0])
def test_ridge_equals_scikit_learn(alpha, classes):
    hidden, target = problem(classes=classes)
    beta = solve_one(sums_of(hidden, target), "ridge", alpha)
    expected = Ridge(alpha, fit_intercept=False, solver="svd").fit(hidden, target).coef_.T
    assert relative(beta, expected) < 1e-8
    assert same_classes(hidden, beta, expected)


@pytest.mark.parametrize("noise", [None, FLOAT32])
def test_ridge_of_a_singular_gram_is_finite(noise):
    """Each column occurs twice, there are more columns than samples, and the penalty is below the rounding error."""
    hidden, target = problem(samples=25, features=20)
    hidden = np.hstack([hidden, hidden])
    for alpha in (1e-3, 1.0):
        beta = solve_one(sums_of(hidden, target, noise), "ridge", alpha)
        expected = Ridge(alpha, fit_intercept=False, solver="svd").fit(hidden, target).coef_.T
        assert relative(beta, expected) < 1e-6
    gram = np.diag([1.0, 1.0, -1e-9])  # rounding can make an eigenvalue negative: Cholesky fails
    beta = solve_one(Sums(gram, np.eye(3)[:, :2], np.ones(2), 3), "ridge", 1e-12)
    np.testing.assert_allclose(beta, np.eye(3)[:, :2], atol=1e-9)


# Least squares


@pytest.mark.parametrize(("samples", "features", "twice"), [(N, L, False), (N, 20, True), (30, 50, False)])
def test_least_squares_has_the_minimum_norm(samples, features, twice):
    """With full rank, with each column twice, and with more columns than rows."""
    hidden, target = problem(samples=samples, features=features)
    if twice:
        hidden = np.hstack([hidden, hidden])
    beta = solve_one(sums_of(hidden, target), "none")
    expected = np.linalg.lstsq(hidden, target, rcond=None)[0]
    assert relative(beta, expected) < 1e-6
    assert same_classes(hidden, beta, expected)
    if twice:
        np.testing.assert_allclose(beta[:20], beta[20:], rtol=0, atol=1e-9 * np.abs(beta).max())


def test_least_squares_of_float32_sums_predict_the_same_classes():
    hidden, target = problem()
    noisy = hidden.astype(np.float32)
    gram, cross = ((noisy.T @ matrix).astype(np.float64) for matrix in (noisy, target.astype(np.float32)))
    assert np.abs(gram - hidden.T @ hidden).max() > 1e-7  # there is noise
    beta = least_squares(Sums(gram, cross, target.sum(axis=0), N, FLOAT32))
    expected = np.linalg.lstsq(hidden, target, rcond=None)[0]
    assert relative(beta, expected) < 1e-2
    assert same_classes(hidden, beta, expected)


def test_directions_below_the_noise_get_zero_weight():
    """A singular value of 1e-8 of the largest is exact in float64, and below the rounding error in float32."""
    gram, cross = np.diag([1.0, 1e-8]), np.array([[1.0], [1e-8]])
    assert least_squares(Sums(gram, cross, np.ones(1), 5)).ravel() == pytest.approx([1, 1])
    assert least_squares(Sums(gram, cross, np.ones(1), 5, FLOAT32)).ravel().tolist() == [1, 0]


# Lasso and elastic net


def reference(hidden, target, alpha: float, l1_ratio: float) -> np.ndarray:
    kind = {"fit_intercept": False, "tol": 1e-10, "max_iter": 100_000}
    model = Lasso(alpha, **kind) if l1_ratio == 1 else ElasticNet(alpha, l1_ratio=l1_ratio, **kind)
    return model.fit(hidden, target).coef_.T


@pytest.mark.parametrize("l1_ratio", [0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("alpha", [0.1, 0.05, 0.02])
def test_elastic_net_equals_scikit_learn(alpha, l1_ratio):
    hidden, target = sparse_problem()
    readout = "lasso" if l1_ratio == 1 else "elasticnet"
    expected = reference(hidden, target, alpha, l1_ratio)
    assert 0 < np.count_nonzero(expected) < expected.size
    beta = solve_one(sums_of(hidden, target), readout, alpha, l1_ratio)
    assert relative(beta, expected) < 1e-3
    assert np.array_equal(beta == 0, expected == 0)
    assert same_classes(hidden, beta, expected)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("make", [problem, sparse_problem])
def test_a_path_of_strengths_gives_the_single_solutions(make, l1_ratio):
    """Solves the strongest penalty first, in whatever order they are given; each solution starts from the last one."""
    hidden, target = make()
    strengths = [0.003, 0.1, 0.03, 0.01]
    solutions = list(
        solve_readout(sums_of(hidden, target), "lasso" if l1_ratio == 1 else "elasticnet", strengths, l1_ratio)
    )
    assert [solution.alpha for solution in solutions] == sorted(strengths, reverse=True)
    for solution in solutions:
        expected = reference(hidden, target, solution.alpha, l1_ratio)
        error = ((hidden @ (solution.beta - expected)) ** 2).mean() / (target**2).mean()
        assert solution.converged
        assert error < 1e-4  # relative to the variance, like the tolerance
        if make is sparse_problem and solution.alpha >= 0.03:
            assert relative(solution.beta, expected) < 1e-3
            assert np.array_equal(solution.beta == 0, expected == 0)
    counts = [np.count_nonzero(solution.beta) for solution in solutions]
    assert all(weak > strong for strong, weak in pairwise(counts))
    ridges = [solution.alpha for solution in solve_readout(sums_of(hidden, target), "ridge", strengths, 0.5)]
    assert ridges == sorted(strengths, reverse=True)


def test_repeated_samples_do_not_change_the_solution():
    """Alpha is a penalty per sample, so ten copies of the samples have the same solution."""
    hidden, target = sparse_problem()
    once = solve_one(sums_of(hidden, target), "lasso", 0.03)
    again = solve_one(sums_of(np.tile(hidden, (10, 1)), np.tile(target, (10, 1))), "lasso", 0.03)
    np.testing.assert_allclose(again, once, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("readout", ["lasso", "elasticnet"])
@pytest.mark.parametrize("noise", [None, FLOAT32])
def test_lasso_of_a_singular_gram_equals_scikit_learn(readout, noise):
    hidden, target = sparse_problem(features=20)
    twice = np.hstack([hidden, hidden, np.zeros((N, 1))])
    for alpha in (0.1, 0.02):
        beta = solve_one(sums_of(twice, target, noise), readout, alpha)
        expected = reference(twice, target, alpha, 1.0 if readout == "lasso" else 0.5)
        np.testing.assert_allclose(twice @ beta, twice @ expected, rtol=0, atol=2e-3)
        assert not beta[-1].any()
    lower = cholesky(sums_of(twice, target, noise))
    np.testing.assert_allclose(lower @ lower.T, twice.T @ twice, rtol=0, atol=1e-3 if noise else 1e-9)


def test_a_solution_that_did_not_converge_is_marked(monkeypatch):
    hidden, target = problem()
    full = list(solve_readout(sums_of(hidden, target), "lasso", [1e-4, 1e-6], 1.0))
    monkeypatch.setattr("adlx.tasks.readouts.ITERATIONS", 2)
    cut = list(solve_readout(sums_of(hidden, target), "lasso", [10.0, 1e-6], 1.0))
    assert [solution.converged for solution in cut] == [True, False]
    assert relative(cut[1].beta, full[1].beta) > 1e-3


# Grids of penalty strengths


@pytest.mark.parametrize("readout", ["lasso", "elasticnet"])
def test_the_grid_starts_at_the_smallest_strength_with_zero_coefficients(readout):
    hidden, target = problem()
    sums = sums_of(hidden, target)
    strengths = penalty_grid(sums, readout, 0.5)
    assert len(strengths) == 9
    ratios = [second / first for first, second in pairwise(strengths)]
    assert ratios == pytest.approx([10 ** (-1 / 3)] * 8)
    zero = strengths[0] * 10 ** (1 / 3)  # exponent 0
    at, below = (next(iter(solve_readout(sums, readout, [zero * factor], 0.5))).beta for factor in (1 + 1e-9, 0.9))
    assert np.count_nonzero(at) == 0
    assert 1 <= np.count_nonzero(below) <= 5
    assert strengths[-1] == pytest.approx(zero / 1000)


def test_the_grid_of_ridge_has_half_decades_and_that_of_none_is_empty():
    hidden, target = problem()
    sums = sums_of(hidden, target)
    strengths = penalty_grid(sums, "ridge", 0.5)
    assert strengths[0] == pytest.approx((hidden**2).sum() / L)
    assert strengths == pytest.approx([strengths[0] * 10 ** (-step / 2) for step in range(11)])
    assert penalty_grid(sums, "none", 0.5) == []
    (solution,) = solve_readout(sums, "none", [], 0.5)
    assert solution.alpha == 0


# Accumulation of the sums


def accumulated(indices: torch.Tensor, **loader) -> tuple[Accumulator, list[int]]:
    """An accumulator with the samples at `indices`, and the number of rows in each computation of features."""
    rng = np.random.default_rng(0)
    values, labels = torch.from_numpy(rng.integers(0, 9, (301, 4, 5))), torch.from_numpy(rng.integers(0, 3, 301))
    torch.manual_seed(0)
    model = ELM(CodeSpec((4, 5), 9, None, ("a", "b", "c")), hidden=L)
    model.fit_inputs(values, None)
    batches = SampleLoader(values, labels, indices, **loader)
    accumulator, rows = Accumulator(model, 3), []
    original = model.features
    model.features = lambda sample: rows.append(len(sample)) or original(sample)
    for step, (sample, label) in enumerate(batches):
        surplus = batches.surplus if step + 1 == len(batches) else 0
        accumulator.add(sample[: len(sample) - surplus], label[: len(label) - surplus])
    return accumulator, rows


def test_memory_does_not_grow_with_the_samples(monkeypatch):
    monkeypatch.setattr(accumulate, "ROWS", 64)
    for indices, size in ((torch.arange(200), 7), (torch.arange(300).repeat(10), 7), (torch.arange(300), 300)):
        accumulator, rows = accumulated(indices, batch_size=size)
        waiting = sum(len(label) for _, label in accumulator.waiting)
        assert max(rows) == 64
        assert waiting < 64 * torch.get_num_threads()
        assert sum(rows) + waiting == len(indices)
        assert (accumulator.gram.shape, accumulator.cross.shape) == ((L, L), (L, 3))
    once, often = (accumulated(torch.arange(300).repeat(n), batch_size=7)[0].sums() for n in (1, 10))
    assert (once.count, often.count) == (300, 3000)
    assert once.gram.dtype == once.cross.dtype == once.squares.dtype == np.float64
    assert once.noise == FLOAT32
    np.testing.assert_allclose(often.gram, 10 * once.gram, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("size", [15, 40, 500])
@pytest.mark.parametrize(("samples", "world"), [(241, 2), (100, 3), (2, 3)])
def test_the_sums_of_processes_add_up(size, samples, world, monkeypatch):
    """A sample that is repeated to fill a share is not counted twice, even if it is a whole batch."""
    monkeypatch.setattr(accumulate, "ROWS", 64)
    indices = torch.arange(samples)
    alone = accumulated(indices, batch_size=size)[0].sums()
    shares = [accumulated(indices, batch_size=size, rank=rank, world_size=world)[0].sums() for rank in range(world)]
    assert sum(share.count for share in shares) == alone.count == samples
    np.testing.assert_array_equal(sum(share.squares for share in shares), alone.squares)
    np.testing.assert_allclose(sum(share.gram for share in shares), alone.gram, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(sum(share.cross for share in shares), alone.cross, rtol=1e-5, atol=1e-4)
