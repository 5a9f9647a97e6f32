import math

import numpy as np
import pytest

from adlx.errors import UserError
from adlx.metrics.significance import block_length, confidence_set, diebold_mariano


def overlapping(rng, windows, horizon):
    """Losses of windows with stride 1: moving averages of independent losses."""
    steps = rng.normal(size=windows + horizon - 1)
    return np.convolve(steps, np.ones(horizon) / horizon, mode="valid")


def test_dm_without_overlap_is_the_t_test_on_a_mean():
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 1, 25), rng.normal(0, 1, 25)
    expected, significance = ttest_1samp(a - b, 0)
    statistic, pvalue = diebold_mariano(a, b, horizon=1)
    assert statistic == pytest.approx(expected)
    assert pvalue == pytest.approx(significance)


def test_dm_agrees_with_a_regression_on_a_constant():
    """The uniform-kernel HAC error of a regression on a constant is sqrt(V / N), before the small-sample correction."""
    import statsmodels.api as sm
    from scipy.stats import t

    rng = np.random.default_rng(1)
    a, b = overlapping(rng, 120, 4) + 0.1, np.zeros(120)
    fit = sm.OLS(a - b, np.ones(120)).fit(cov_type="HAC", cov_kwds={"maxlags": 3, "kernel": "uniform"})
    correction = math.sqrt((120 + 1 - 2 * 4 + 4 * 3 / 120) / 120)
    statistic, pvalue = diebold_mariano(a, b, horizon=4)
    assert statistic == pytest.approx(fit.tvalues[0] * correction)
    assert pvalue == pytest.approx(2 * t.sf(abs(statistic), 119))


def test_dm_counts_lags_in_windows_not_in_steps():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 90))
    assert diebold_mariano(a, b, horizon=24, stride=24) == diebold_mariano(a, b, horizon=1)
    assert diebold_mariano(a, b, horizon=24, stride=10) == diebold_mariano(a, b, horizon=3)


def test_dm_falls_back_to_bartlett_where_the_variance_is_not_positive():
    difference = np.tile([1.0, -1.0], 10) + np.linspace(0, 0.2, 20)
    centred = difference - difference.mean()
    zero, one = centred @ centred / 20, centred[1:] @ centred[:-1] / 20
    assert zero + 2 * one < 0
    expected = difference.mean() / math.sqrt((zero + one) / 20) * math.sqrt((20 + 1 - 4 + 2 / 20) / 20)
    assert diebold_mariano(difference, np.zeros(20), horizon=2)[0] == pytest.approx(expected)


def test_dm_is_antisymmetric_and_favours_the_smaller_loss():
    rng = np.random.default_rng(4)
    a = overlapping(rng, 200, 4)
    b = a + 0.2 + 0.1 * rng.normal(size=200)
    statistic, pvalue = diebold_mariano(a, b, horizon=4)
    assert statistic < -5 and pvalue < 1e-4
    assert diebold_mariano(b, a, horizon=4) == pytest.approx((-statistic, pvalue))


@pytest.mark.parametrize(("horizon", "windows"), [(1, 20), (4, 200)])
def test_dm_rejects_a_true_null_in_five_percent(horizon, windows):
    rng = np.random.default_rng(5)
    zero = np.zeros(windows)
    pvalues = [diebold_mariano(overlapping(rng, windows, horizon), zero, horizon)[1] for _ in range(2000)]
    assert 0.035 < np.mean(np.array(pvalues) < 0.05) < 0.075


def test_dm_rejects_far_too_often_if_it_ignores_the_overlap():
    rng = np.random.default_rng(5)
    pvalues = [diebold_mariano(overlapping(rng, 200, 4), np.zeros(200), 1)[1] for _ in range(300)]
    assert np.mean(np.array(pvalues) < 0.05) > 0.2


def test_dm_finds_a_real_difference():
    rng = np.random.default_rng(6)
    actual = [diebold_mariano(overlapping(rng, 200, 4) - 0.4, np.zeros(200), 4)[1] < 0.05 for _ in range(200)]
    assert np.mean(actual) > 0.95


def test_dm_of_losses_without_variance():
    loss = np.random.default_rng(7).random(40)
    assert diebold_mariano(loss, loss, horizon=2) == (0.0, 1.0)
    assert diebold_mariano(np.ones(40), np.full(40, 3.0), horizon=2) == (-math.inf, 0.0)


@pytest.mark.parametrize(("windows", "horizon"), [(0, 1), (1, 1), (31, 4), (100, 24)])
def test_dm_is_nan_if_there_are_too_few_windows(windows, horizon):
    a, b = np.random.default_rng(8).random((2, windows))
    assert np.isnan(diebold_mariano(a, b, horizon)).all()


def test_dm_is_nan_for_a_loss_that_is_not_finite():
    assert np.isnan(diebold_mariano(np.array([1.0, np.nan, 2.0]), np.zeros(3), 1)).all()


def test_confidence_set_keeps_the_best_and_drops_the_worst():
    rng = np.random.default_rng(9)
    shared = overlapping(rng, 300, 4)
    losses = {
        "bad": shared + 0.5 + 0.2 * rng.normal(size=300),
        "best": shared + 0.2 * rng.normal(size=300),
        "middling": shared + 0.1 + 0.2 * rng.normal(size=300),
        "as good": shared + 0.001 + 0.2 * rng.normal(size=300),
    }
    pvalues = confidence_set(losses, block=block_length(300, horizon=4))
    assert list(pvalues) == list(losses)
    assert max(pvalues["best"], pvalues["as good"]) == 1.0
    assert min(pvalues["best"], pvalues["as good"]) > 0.10
    assert pvalues["bad"] == 0.0
    assert pvalues["middling"] < 0.05


def test_confidence_set_equals_that_of_arch():
    from arch.bootstrap import MCS

    losses = np.random.default_rng(10).normal(size=(80, 3)) + np.array([0.0, 0.1, 0.2])
    ordered = losses[:, np.argsort(losses.mean(axis=0))]
    reference = MCS(ordered, size=0.1, reps=300, block_size=5, seed=11)
    reference.compute()
    expected = reference.pvalues["Pvalue"].to_dict()
    pvalues = confidence_set(dict(zip("012", ordered.T, strict=True)), block=5, seed=11, reps=300)
    assert pvalues == {str(index): value for index, value in sorted(expected.items())}


def test_confidence_set_depends_on_its_seed_and_not_on_the_order():
    a, b, c = np.random.default_rng(12).normal(size=(3, 60)) + np.array([[0.0], [0.15], [0.2]])
    losses = {"a": a, "b": b, "c": c}
    first = confidence_set(losses, block=4, seed=1, reps=200)
    assert confidence_set(losses, block=4, seed=1, reps=200) == first
    assert confidence_set(dict(reversed(losses.items())), block=4, seed=1, reps=200) == first
    assert confidence_set(losses, block=4, seed=2, reps=200) != first


def test_confidence_set_of_equal_and_of_dominated_models():
    loss = np.random.default_rng(13).random(50)
    assert confidence_set({"a": loss, "twin": loss.copy()}, block=4) == {"a": 1.0, "twin": 1.0}
    other = loss + 0.02 + np.random.default_rng(14).normal(size=50) * 0.1
    losses = {"a": loss, "b": other, "twin": loss.copy(), "shifted": loss + 1}
    pvalues = confidence_set(losses, block=4)
    plain = confidence_set({"a": loss, "b": other}, block=4)
    assert pvalues == plain | {"twin": plain["a"], "shifted": 0.0}


def test_confidence_set_of_one_model_and_of_one_window():
    assert confidence_set({"a": np.ones(5)}, block=2) == {"a": 1.0}
    assert all(math.isnan(p) for p in confidence_set({"a": np.ones(1), "b": np.zeros(1)}, block=1).values())


def test_confidence_set_refuses_other_windows_and_infinite_losses():
    with pytest.raises(UserError, match="a: 5, b: 6"):
        confidence_set({"a": np.ones(5), "b": np.ones(6)}, block=2)
    with pytest.raises(UserError, match="losses of b"):
        confidence_set({"a": np.ones(2), "b": np.array([1.0, np.nan])}, block=2)


def test_block_length_covers_the_overlap():
    assert block_length(1000, horizon=24) == 48
    assert block_length(1000, horizon=24, stride=24) == 10
    assert block_length(60, horizon=24) == 15
    assert block_length(3, horizon=24) == 1
