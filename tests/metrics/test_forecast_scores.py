import os
from dataclasses import replace

import numpy as np
import pytest

from adlx.atomic import replacing
from adlx.errors import UserError
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import horizon_mase, naive_window_losses, skill_by_series, window_losses
from adlx.metrics.significance import diebold_mariano


@pytest.fixture
def by_hand():
    """Two windows, two steps, two series, with errors that are easy to add up by hand."""
    target = np.array([[[10.0, 100.0], [12.0, 90.0]], [[14.0, 80.0], [16.0, 70.0]]])
    error = np.array([[[1.0, -10.0], [-1.0, 0.0]], [[2.0, 20.0], [0.0, 10.0]]])
    return ForecastResult(
        prediction=target + error,
        target=target,
        last=np.array([[8.0, 110.0], [12.0, 90.0]]),
        origin=np.array(["2024-01-01", "2024-01-03"], dtype="datetime64[ns]"),
        series=("BTC-USD", "ÖL/€"),
        mean=np.array([10.0, 100.0]),
        std=np.array([2.0, 10.0]),
        step_mae=np.array([0.5, 5.0]),
        stride=2,
    )


@pytest.fixture
def random_result():
    rng = np.random.default_rng(3)
    target = rng.normal(size=(60, 4, 3)).cumsum(axis=1)
    return ForecastResult(
        prediction=target + rng.normal(size=target.shape),
        target=target,
        last=rng.normal(size=(60, 3)),
        origin=np.datetime64("2024-01-01", "ns") + np.arange(60) * np.timedelta64(1, "h"),
        series=("a", "b", "c"),
        mean=np.zeros(3),
        std=np.array([1.0, 2.0, 3.0]),
        step_mae=np.array([0.5, 1.0, 2.0]),
    )


def test_scores_by_hand(by_hand):
    table = by_hand.scores()
    # first series: |errors| 1 1 2 0, naive 2 4 2 4; second: 10 0 20 10, naive 10 20 10 20
    assert table["test/mae/BTC-USD"] == 1.0
    assert table["test/mse/BTC-USD"] == 1.5
    assert table["test/mae/ÖL/€"] == 10.0
    assert table["test/mse/ÖL/€"] == 150.0
    assert table["baseline/mae/BTC-USD"] == 3.0
    assert table["baseline/mse/BTC-USD"] == 10.0
    assert table["baseline/mae/ÖL/€"] == 15.0
    assert table["baseline/mse/ÖL/€"] == 250.0
    assert table["test/mase"] == pytest.approx((1 / 0.5 + 10 / 5) / 2)
    assert table["baseline/mase"] == pytest.approx((3 / 0.5 + 15 / 5) / 2)
    assert table["test/mae_scaled"] == pytest.approx((1 / 2 + 10 / 10) / 2)
    assert table["test/mse_scaled"] == pytest.approx((1.5 / 4 + 150 / 100) / 2)
    assert table["baseline/mae_scaled"] == pytest.approx((3 / 2 + 15 / 10) / 2)
    assert table["baseline/mse_scaled"] == pytest.approx((10 / 4 + 250 / 100) / 2)
    assert table["test/skill"] == pytest.approx(1 - 2 / 4.5)
    assert table["test/skill/BTC-USD"] == pytest.approx(1 - 1 / 3)
    assert table["test/skill/ÖL/€"] == pytest.approx(1 - 10 / 15)
    assert all(type(value) is float for value in table.values())


def test_a_target_that_is_not_known_is_not_scored(by_hand):
    target = by_hand.target.copy()
    target[1, 0, 0] = np.nan  # where the first series has an error of 2
    scores = replace(by_hand, target=target).scores()
    assert scores["test/mae/BTC-USD"] == 2 / 3
    assert scores["test/mse/BTC-USD"] == 2 / 3
    assert scores["baseline/mae/BTC-USD"] == (2 + 4 + 4) / 3
    assert scores["test/mae/ÖL/€"] == 10.0
    assert scores["test/mase"] == pytest.approx((((1 + 0.5) / 2) / 0.5 + 10 / 5) / 2)  # by step, then over steps


def test_a_forecast_that_is_no_number_is_not_left_out(by_hand):
    prediction = by_hand.prediction.copy()
    prediction[1, 0, 0] = np.nan
    scores = replace(by_hand, prediction=prediction).scores()
    assert np.isnan([scores[key] for key in ("test/mase", "test/mae/BTC-USD", "test/mse_scaled")]).all()
    assert scores["test/mae/ÖL/€"] == 10.0
    target = by_hand.target.copy()
    target[0, 0, 0] = np.nan
    assert np.isnan(replace(by_hand, prediction=prediction, target=target).scores()["test/mase"])


def test_naive_repeats_the_last_value(by_hand):
    np.testing.assert_array_equal(by_hand.naive[0], [[8.0, 110.0], [8.0, 110.0]])
    np.testing.assert_array_equal(by_hand.naive[1], [[12.0, 90.0], [12.0, 90.0]])


def test_skill_of_a_perfect_and_of_the_naive_forecast(random_result):
    perfect = replace(random_result, prediction=random_result.target).scores()
    assert perfect["test/skill"] == 1.0
    assert perfect["test/skill/b"] == 1.0
    naive = replace(random_result, prediction=random_result.naive).scores()
    assert naive["test/skill"] == 0.0
    assert naive["test/dm_pvalue"] == 1.0
    assert {k[5:] for k in naive if k.startswith("test/m")} == {k[9:] for k in naive if k.startswith("baseline/")}


def test_losses_average_to_mase(by_hand, random_result):
    np.testing.assert_allclose(window_losses(by_hand), [(2 + 1) / 2, (2 + 3) / 2])
    np.testing.assert_allclose(naive_window_losses(by_hand), [(6 + 3) / 2, (6 + 3) / 2])
    table = random_result.scores()
    assert window_losses(random_result).mean() == pytest.approx(table["test/mase"])
    assert naive_window_losses(random_result).mean() == pytest.approx(table["baseline/mase"])
    assert horizon_mase(random_result, random_result.prediction).mean() == pytest.approx(table["test/mase"])


def test_dm_pvalue_depends_on_horizon_and_stride(random_result):
    losses = window_losses(random_result), naive_window_losses(random_result)
    assert random_result.scores()["test/dm_pvalue"] == diebold_mariano(*losses, horizon=4, stride=1)[1]
    without_overlap = replace(random_result, stride=4)
    assert without_overlap.scores()["test/dm_pvalue"] == diebold_mariano(*losses, horizon=4, stride=4)[1]
    assert diebold_mariano(*losses, 4, 1) != diebold_mariano(*losses, 4, 4)


def test_dm_pvalue_is_left_out_with_too_few_windows(random_result):
    few = {name: getattr(random_result, name)[:10] for name in ("prediction", "target", "last", "origin")}
    assert "test/dm_pvalue" not in replace(random_result, **few).scores()


def test_a_series_that_stands_still_has_a_finite_skill(by_hand):
    still = np.broadcast_to(by_hand.last[:, None, :], by_hand.target.shape).copy()
    moving = still.copy()
    moving[..., 0] += 1.5  # three mean one-step changes
    result = replace(by_hand, target=still, prediction=moving)
    np.testing.assert_allclose(skill_by_series(result), [-3.0, 0.0])
    table = result.scores()
    assert table["test/skill"] == pytest.approx(-1.5)
    assert table["test/skill/ÖL/€"] == 0.0
    assert np.isfinite(list(table.values())).all()


def test_a_series_constant_in_training_keeps_its_units(by_hand):
    zero = np.array([0.0, 5.0])
    table = replace(by_hand, step_mae=zero, std=np.array([0.0, 10.0])).scores()
    assert table["test/mase"] == pytest.approx((1 + 2) / 2)
    assert table["test/mae_scaled"] == pytest.approx((1 + 1) / 2)


def test_save_and_load_are_exact_and_unpickled(by_hand, tmp_path):
    path = tmp_path / "run" / "predictions.npz"
    by_hand.save(path)
    loaded = ForecastResult.load(path)
    assert loaded.series == by_hand.series
    assert loaded.stride == 2
    assert loaded.origin.dtype == np.dtype("datetime64[ns]")
    for name in ("prediction", "target", "last", "origin", "mean", "std", "step_mae"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(by_hand, name), strict=True)
    assert loaded.scores() == by_hand.scores()
    with np.load(path, allow_pickle=False) as file:
        assert file["series"].dtype.kind == "U"
    assert os.listdir(path.parent) == ["predictions.npz"]


def test_a_failed_write_leaves_the_old_file_whole(by_hand, tmp_path):
    path = tmp_path / "predictions.npz"
    by_hand.save(path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["predictions.npz"]


def test_load_names_the_file_it_cannot_read(by_hand, tmp_path):
    with pytest.raises(UserError, match=r"absent\.npz does not exist"):
        ForecastResult.load(tmp_path / "absent.npz")
    by_hand.save(tmp_path / "whole.npz")
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes((tmp_path / "whole.npz").read_bytes()[:300])
    other = tmp_path / "other.npz"
    np.savez(other, x=np.zeros(3))
    array = tmp_path / "array.npz"
    with open(array, "wb") as file:
        np.save(file, np.zeros(3))
    pickled = tmp_path / "pickled.npz"
    arrays = {name: getattr(by_hand, name) for name in ("prediction", "target", "last", "origin", "mean", "std")}
    np.savez(pickled, allow_pickle=True, series=np.array([{}]), step_mae=by_hand.step_mae, stride=1, **arrays)
    for path in (damaged, other, array, pickled):
        with pytest.raises(UserError, match=f"{path.name} holds no forecast result"):
            ForecastResult.load(path)


def test_shapes_must_agree(by_hand):
    with pytest.raises(ValueError, match="last has shape"):
        replace(by_hand, last=np.zeros((2, 1)))
    with pytest.raises(ValueError, match="1 names for 2 series"):
        replace(by_hand, series=("one",))
