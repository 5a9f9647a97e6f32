import math
from dataclasses import replace

import numpy as np
import pytest

from adlx.errors import UserError
from adlx.metrics.field_errors import spans, vrmse
from adlx.metrics.fields import FieldResult, by_time, losses


@pytest.fixture
def by_hand() -> FieldResult:
    """One trajectory of three steps and two fields."""
    return FieldResult(
        names=("u", "p"),
        error=np.array([[[1.0, 0.0], [4.0, 0.0], [4.0, 2.25]]]),
        onestep_error=np.array([[[0.25, 0.0], [0.25, 0.0], [0.5, 0.0]]]),
        baseline_error=np.array([[[4.0, 1.0], [16.0, 1.0], [16.0, 0.25]]]),
        variance=np.array([[[1.0, 0.0], [4.0, 1.0], [4.0, 1.25]]]),
        power=np.array([[[10.0, 0.5], [10.0, 1.5], [10.0, 2.5]]]),
        divergence=np.array([[[0.3, 0.1], [0.4, 0.1], [0.0, 0.1]]]),
        total=np.array([[[0.20, 0.20], [0.21, 0.20], [0.22, 0.20]]]),
        index=np.array([7]),
    )


def test_scores_by_hand(by_hand):
    actual = by_hand.scores()
    u, p = 1.0, 1.0  # 9 of 9; 2.25 of 2.25
    assert actual["test/rollout_vrmse/u"] == pytest.approx(u)
    assert actual["test/rollout_vrmse/p"] == pytest.approx(p)
    assert actual["baseline/rollout_vrmse"] == pytest.approx((2 + 1) / 2)
    assert actual["test/skill"] == pytest.approx(1 - 1 / 1.5)
    assert actual["test/rollout_relmse/u"] == pytest.approx(9 / 30)
    assert actual["baseline/rollout_relmse/p"] == pytest.approx(2.25 / 4.5)
    assert actual["test/onestep_vrmse"] == pytest.approx(math.sqrt(1 / 9) / 2)
    assert actual["test/rollout_vrmse_middle"] == pytest.approx((1 + 0) / 2)
    assert actual["test/rollout_vrmse_last"] == pytest.approx((1 + math.sqrt(2.25 / 1.25)) / 2)
    assert actual["test/divergence"] == pytest.approx(math.sqrt(0.25 / 3))
    assert actual["baseline/divergence"] == pytest.approx(0.1)
    assert actual["test/alpha_drift"] == pytest.approx((0 + 0.05 + 0.1) / 3)
    assert actual["baseline/alpha_drift"] == pytest.approx(0)
    assert losses(by_hand).mean() == pytest.approx(actual["test/rollout_vrmse"])


def test_the_mean_over_space_scores_one():
    truth = np.random.default_rng(0).standard_normal((2, 5, 100, 3)) * [1, 10, 100] + [5, 0, -3]
    predicted = truth.mean(axis=2, keepdims=True)
    error = ((truth - predicted) ** 2).mean(axis=2)
    assert vrmse(error, truth.var(axis=2)) == pytest.approx(np.ones((2, 3)))


def test_trajectories_of_different_lengths_have_finite_scores(by_hand):
    longer = {
        name: np.concatenate([getattr(by_hand, name), np.full((1, 3, getattr(by_hand, name).shape[2]), np.nan)])
        for name in ("error", "onestep_error", "baseline_error", "variance", "power", "divergence", "total")
    }
    for values in longer.values():
        values[1, 0] = values[0, 0]
    actual = replace(by_hand, **longer, index=np.array([7, 9])).scores()
    assert all(math.isfinite(value) for value in actual.values())
    assert actual["test/rollout_vrmse/u"] == pytest.approx(1)


def test_a_reconstruction_has_scores_of_its_own(by_hand):
    actual = replace(by_hand, onestep_error=None, divergence=None, total=None).scores()
    kinds = [
        f"{of}/{name}"
        for of in ("test", "baseline")
        for name in ("vrmse", "vrmse/u", "vrmse/p", "relmse/u", "relmse/p")
    ]
    assert set(actual) == {*kinds, "test/skill"}


def test_errors_by_time(by_hand):
    actual = by_time(by_hand)
    assert actual["model"][:, 0] == pytest.approx(np.array([1, 2, 2]) / math.sqrt(3))
    assert list(actual) == ["model", "one step", "baseline"]


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100])
def test_thirds_cover_all_steps_and_are_not_empty(steps):
    actual = [range(steps)[at] for at in spans(steps)]
    assert all(len(part) for part in actual)
    assert {step for part in actual for step in part} == set(range(steps))


def test_a_saved_result_is_loaded_unchanged(by_hand, tmp_path):
    for number, result in enumerate((by_hand, replace(by_hand, onestep_error=None, total=None))):
        result.save(tmp_path / f"{number}.npz")
        again = FieldResult.load(tmp_path / f"{number}.npz")
        for name, value in vars(result).items():
            assert np.array_equal(getattr(again, name), value) if value is not None else getattr(again, name) is None
    np.savez(tmp_path / "other.npz", error=np.ones(3))
    with pytest.raises(UserError, match="holds no field result"):
        FieldResult.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    "change", [{"variance": np.ones((1, 3, 1))}, {"divergence": np.ones((1, 3))}, {"index": np.arange(2)}]
)
def test_inconsistent_results_are_refused(change, by_hand):
    with pytest.raises(ValueError, match="has shape"):
        replace(by_hand, **change)


def test_a_diverged_rollout_has_an_infinite_error(by_hand):
    error = by_hand.error.copy()
    error[0, 1:, 0] = np.nan  # the truth is finite there
    actual = replace(by_hand, error=error).scores()
    assert actual["test/rollout_vrmse/u"] == actual["test/rollout_vrmse"] == actual["test/rollout_relmse/u"] == math.inf
    assert actual["test/rollout_vrmse/p"] == pytest.approx(1)
    assert actual["test/rollout_vrmse_first"] == pytest.approx(0.5)  # before it diverges
    assert actual["test/skill"] == -math.inf
    assert losses(replace(by_hand, error=error)).tolist() == [math.inf]
