import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr, ndtri

from adlx.metrics.quantiles import crps, intervals

LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
MANY = (np.arange(1000) + 0.5) / 1000


def gaussian_crps(target, mean, deviation):
    """Gneiting & Raftery 2007, equation 21, with the sign that makes lower better."""
    z = (target - mean) / deviation
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return deviation * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))


@pytest.mark.parametrize("target", [-20.0, 1.0, 3.0, 4.2, 9.0])
def test_the_crps_of_many_levels_is_that_of_the_normal_distribution(target):
    mean, deviation = 3.0, 2.0
    actual = crps(mean + deviation * ndtri(MANY), np.array(target), MANY)
    assert actual == pytest.approx(gaussian_crps(target, mean, deviation), rel=0.01)
    below = quad(lambda x: ndtr((x - mean) / deviation) ** 2, -60, target)[0]
    above = quad(lambda x: ndtr((mean - x) / deviation) ** 2, target, 60)[0]
    assert actual == pytest.approx(below + above, rel=0.01)  # its definition, equation 20


def test_crps_of_three_levels_by_hand():
    levels = np.array([0.25, 0.5, 0.75])
    quantiles = np.array([[1.0, 2.0, 5.0], [-1.0, 0.0, 1.0]])
    # errors 1 0 -3 and 3 2 1
    actual = crps(quantiles, np.array([2.0, 2.0]), levels)
    np.testing.assert_allclose(actual, [2 * (0.25 + 0 + 0.75) / 3, 2 * (0.75 + 1 + 0.75) / 3])


def test_the_crps_of_equal_quantiles_is_the_absolute_error():
    rng = np.random.default_rng(0)
    target, point = rng.normal(size=(2, 7, 3, 2))
    for levels in (LEVELS, MANY, np.array([0.5])):
        spread = np.repeat(point[..., None], len(levels), axis=-1)
        np.testing.assert_allclose(crps(spread, target, levels), np.abs(target - point))


def test_the_crps_has_the_unit_of_the_target():
    rng = np.random.default_rng(1)
    target, quantiles = rng.normal(size=(6, 3)), np.sort(rng.normal(size=(6, 3, 5)))
    plain = crps(quantiles, target, LEVELS)
    assert plain.shape == (6, 3) and (plain > 0).all()
    np.testing.assert_allclose(crps(1e-5 * quantiles, 1e-5 * target, LEVELS), 1e-5 * plain)
    np.testing.assert_allclose(crps(quantiles + 7, target + 7, LEVELS), plain)
    np.testing.assert_allclose(crps(-quantiles[..., ::-1], -target, LEVELS), plain)  # symmetric levels


def test_the_true_quantiles_score_best():
    target = np.random.default_rng(2).gamma(2, size=200_000)
    true = np.quantile(target, LEVELS)
    best = crps(true, target, LEVELS).mean()
    for position in range(len(LEVELS)):
        for shift in (-0.1, 0.1):
            other = true + shift * (np.arange(len(LEVELS)) == position)
            assert crps(other, target, LEVELS).mean() > best + 1e-4
    median = np.repeat(true[2], len(LEVELS))
    assert crps(1.3 * true - 0.3 * median, target, LEVELS).mean() > best < crps(median, target, LEVELS).mean()


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (LEVELS, {80: (0, 4), 50: (1, 3)}),
        ([0.5], {}),
        ([0.5, 0.9], {}),
        ([0.1, 0.5, 0.8], {}),
        ([0.05, 0.1, 0.5, 0.9, 0.99], {80: (1, 3)}),
        ([0.025, 0.16, 0.5, 0.84, 0.975], {95: (0, 4), 68: (1, 3)}),
        ([0.005, 0.5, 0.995], {99: (0, 2)}),
    ],
)
def test_intervals_are_those_that_levels_bound(levels, expected):
    actual = intervals(np.array(levels))
    assert actual == expected
    assert list(actual) == sorted(actual, reverse=True)


@pytest.mark.parametrize("levels", [np.arange(0.05, 0.96, 0.05), np.linspace(0.05, 0.95, 19), np.cumsum([0.05] * 19)])
def test_intervals_allow_rounding_errors_of_levels(levels):
    assert len(levels) == 19
    assert intervals(levels) == {90 - 10 * low: (low, 18 - low) for low in range(9)}
