from dataclasses import replace

import numpy as np
import pytest

from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import Quantiles, horizon_crps, naive_window_crps, window_crps
from adlx.metrics.months import by_month
from adlx.metrics.significance import diebold_mariano

LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])


@pytest.fixture
def by_hand():
    """Two windows, one step, two series of different size, with targets on the ends of intervals."""
    values = np.array([[[[9.0, 10.0, 13.0], [100.0, 105.0, 110.0]]], [[[10.0, 12.0, 14.0], [85.0, 90.0, 95.0]]]])
    last = np.array([[8.0, 110.0], [12.0, 90.0]])
    spread = np.array([[-1.0, 0.0, 1.0], [-10.0, 0.0, 10.0]])
    return ForecastResult(
        prediction=values[..., 1],
        target=np.array([[[10.0, 100.0]], [[14.0, 80.0]]]),
        last=last,
        origin=np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[ns]"),
        series=("a", "ÖL/€"),
        mean=np.array([10.0, 100.0]),
        std=np.array([2.0, 10.0]),
        step_mae=np.array([0.5, 5.0]),
        quantiles=Quantiles(np.array([0.25, 0.5, 0.75]), values, last[:, None, :, None] + spread),
    )


@pytest.fixture
def random_result():
    rng = np.random.default_rng(3)
    target = rng.normal(size=(60, 4, 3)).cumsum(axis=1)
    last = rng.normal(size=(60, 3))
    values, naive = np.sort(rng.normal(size=(2, 60, 4, 3, 5)))
    return ForecastResult(
        prediction=values[..., 2],
        target=target,
        last=last,
        origin=np.datetime64("2024-01-01", "ns") + np.arange(60) * np.timedelta64(1, "h"),
        series=("a", "b", "c"),
        mean=np.zeros(3),
        std=np.array([1.0, 2.0, 3.0]),
        step_mae=np.array([0.5, 1.0, 2.0]),
        quantiles=Quantiles(LEVELS, values, naive + last[:, None, :, None]),
    )


@pytest.fixture
def months():
    """Six windows at the beginning and end of three months.

    Errors by month: forecast 1 2, 4 and 0 0 1; naive forecast 3 3, 2 and 1 1 1.
    """
    point = np.array([1.0, 2.0, 4.0, 0.0, 0.0, 1.0])[:, None, None]
    last = np.array([3.0, 3.0, 2.0, 1.0, 1.0, 1.0])[:, None]
    days = "2023-12-01T00:00 2023-12-31T23:59 2024-01-01T00:00 2024-02-01T00:00 2024-02-02T12:00 2024-02-29T23:00"
    return ForecastResult(
        prediction=point,
        target=np.zeros((6, 1, 1)),
        last=last,
        origin=np.array(days.split(), dtype="datetime64[ns]"),
        series=("a",),
        mean=np.zeros(1),
        std=np.ones(1),
        step_mae=np.array([2.0]),
        quantiles=Quantiles(
            np.array([0.1, 0.5, 0.9]),
            point[..., None] + np.array([-1.0, 0.0, 1.0]),
            np.repeat(last[:, None, :, None], 3, axis=-1),
        ),
    )


def test_scores_by_hand(by_hand):
    table = by_hand.quantile_scores()
    # errors at the three levels: a: 1 0 -3, 4 2 0; ÖL: 0 -5 -10, -5 -10 -15
    pinball = np.array([[0.25 + 0 + 0.75, 1 + 1 + 0], [0 + 2.5 + 2.5, 3.75 + 5 + 3.75]])
    # of the naive: a: 3 2 1, 3 2 1; ÖL: 0 -10 -20, 0 -10 -20
    naive = np.array([[0.75 + 1 + 0.75, 0.75 + 1 + 0.75], [0 + 5 + 5, 0 + 5 + 5]])
    own_a, own_oil = 2 / 3 * pinball.mean(axis=1)
    naive_a, naive_oil = 2 / 3 * naive.mean(axis=1)
    expected = {
        "test/crps": (own_a / 0.5 + own_oil / 5) / 2,
        "test/crps/a": own_a,
        "test/crps/ÖL/€": own_oil,
        "test/coverage_50": 3 / 4,  # two of these three targets are equal to an end
        "test/width_50": (4 / 0.5 + 10 / 5) / 2,
        "baseline/crps": (naive_a / 0.5 + naive_oil / 5) / 2,
        "baseline/crps/a": naive_a,
        "baseline/crps/ÖL/€": naive_oil,
        "baseline/coverage_50": 2 / 4,
        "baseline/width_50": (2 / 0.5 + 20 / 5) / 2,
        "test/crps_skill": 9 / 28,
    }
    actual = {key: value for key, value in table.items() if key != "test/crps_dm_pvalue"}
    assert actual == pytest.approx(expected)
    assert all(type(value) is float for value in table.values())


def test_targets_beyond_either_end_are_outside(by_hand):
    beyond = np.array([[[8.9, 110.1]], [[14.1, 84.9]]])
    assert replace(by_hand, target=beyond).quantile_scores()["test/coverage_50"] == 0
    ends = np.array([[[9.0, 110.0]], [[14.0, 85.0]]])
    assert replace(by_hand, target=ends).quantile_scores()["test/coverage_50"] == 1


def test_every_central_interval_is_scored(random_result):
    table = random_result.scores()
    for prefix in ("test", "baseline"):
        assert {key for key in table if key.startswith((f"{prefix}/cov", f"{prefix}/wid"))} == {
            f"{prefix}/{what}_{percent}" for what in ("coverage", "width") for percent in (80, 50)
        }
        assert 0 < table[f"{prefix}/coverage_50"] < table[f"{prefix}/coverage_80"] < 1
        assert 0 < table[f"{prefix}/width_50"] < table[f"{prefix}/width_80"]
    skewed = replace(random_result.quantiles, levels=np.array([0.1, 0.25, 0.5, 0.6, 0.7]))
    assert not any("_80" in key or "_50" in key for key in replace(random_result, quantiles=skewed).scores())


def test_the_crps_of_equal_quantiles_equals_the_mase(random_result):
    flat = Quantiles(
        *(LEVELS, *(np.repeat(x[..., None], 5, -1) for x in (random_result.prediction, random_result.naive)))
    )
    table = replace(random_result, quantiles=flat).scores()
    for score in ("test/{}", "baseline/{}", "test/{}_skill"):
        assert table[score.format("crps")] == pytest.approx(table[score.format("mase").replace("mase_", "")])
    assert table["test/crps_dm_pvalue"] == pytest.approx(table["test/dm_pvalue"])
    assert table["test/width_80"] == table["test/coverage_80"] == 0


def test_window_losses_average_to_the_crps(by_hand, random_result):
    np.testing.assert_allclose(window_crps(by_hand), [2 / 3 * (1 / 0.5 + 5 / 5) / 2, 2 / 3 * (2 / 0.5 + 12.5 / 5) / 2])
    table = random_result.quantile_scores()
    assert window_crps(random_result).mean() == pytest.approx(table["test/crps"])
    assert naive_window_crps(random_result).mean() == pytest.approx(table["baseline/crps"])
    steps = horizon_crps(random_result, random_result.quantiles.values)
    assert steps.shape == (4, 3)
    scale = random_result.step_mae
    np.testing.assert_allclose(steps.mean(axis=0) * scale, [table[f"test/crps/{name}"] for name in "abc"])


def test_dm_pvalue_compares_the_crps(random_result):
    losses = window_crps(random_result), naive_window_crps(random_result)
    for stride in (1, 4):
        actual = replace(random_result, stride=stride).scores()["test/crps_dm_pvalue"]
        assert actual == diebold_mariano(*losses, horizon=4, stride=stride)[1]
    few = {name: getattr(random_result, name)[:10] for name in ("prediction", "target", "last", "origin")}
    held = random_result.quantiles
    few["quantiles"] = replace(held, values=held.values[:10], naive=held.naive[:10])
    table = replace(random_result, **few).scores()
    assert "test/crps" in table and "test/crps_dm_pvalue" not in table


def test_a_point_forecast_has_no_quantile_scores(random_result):
    point = replace(random_result, quantiles=None)
    assert not any("crps" in key or "coverage" in key for key in point.scores())
    assert point.scores().items() < random_result.scores().items()
    for of_quantiles in (ForecastResult.quantile_scores, window_crps, naive_window_crps):
        with pytest.raises(ValueError, match="have no quantiles"):
            of_quantiles(point)


def test_months_by_hand(months):
    table = by_month(months)
    assert list(table["month"]) == ["2023-12", "2024-01", "2024-02"]
    assert list(table["windows"]) == [2, 1, 3]
    # a forecast p with quantiles p - 1 and p + 1 has a CRPS of p - 8/15 for p >= 1, and of 2/15 for p = 0
    own, naive = np.array([1.5, 4, 1 / 3]) / 2, np.array([3, 2, 1]) / 2
    own_crps = np.array([1.5 - 8 / 15, 4 - 8 / 15, (2 / 15 + 2 / 15 + 7 / 15) / 3]) / 2
    expected = {
        "mase": own,
        "naive_mase": naive,
        "skill": 1 - own / naive,
        "crps": own_crps,
        "naive_crps": naive,
        "crps_skill": 1 - own_crps / naive,
        "coverage_80": [0.5, 0, 1],
    }
    assert set(table) == {"month", "windows", *expected}
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values, err_msg=name)


def test_months_of_a_point_and_of_other_levels(months):
    whole = by_month(months)
    point = by_month(replace(months, quantiles=None))
    assert list(point) == ["month", "windows", "mase", "naive_mase", "skill"]
    assert point.equals(whole[list(point)])
    other = by_month(replace(months, quantiles=replace(months.quantiles, levels=np.array([0.2, 0.5, 0.8]))))
    assert set(other) == set(whole) - {"coverage_80"}


def test_the_weighted_mean_of_months_is_the_score(random_result):
    hours = random_result.origin[0] + np.arange(60) * np.timedelta64(36, "h")
    result = replace(random_result, origin=hours)
    table, whole = by_month(result), result.scores()
    assert table["windows"].sum() == 60 and len(table) == 3
    for name, key in {
        "mase": "test/mase",
        "naive_mase": "baseline/mase",
        "crps": "test/crps",
        "naive_crps": "baseline/crps",
        "coverage_80": "test/coverage_80",
    }.items():
        assert np.average(table[name], weights=table["windows"]) == pytest.approx(whole[key])


def test_save_and_load_keep_every_bit(random_result, tmp_path):
    random_result.save(tmp_path / "predictions.npz")
    loaded = ForecastResult.load(tmp_path / "predictions.npz")
    for name in ("levels", "values", "naive"):
        actual, written = getattr(loaded.quantiles, name), getattr(random_result.quantiles, name)
        np.testing.assert_array_equal(actual, written, strict=True)
    assert loaded.scores() == random_result.scores()


def test_files_of_points_load_without_quantiles(random_result, tmp_path):
    point = replace(random_result, quantiles=None)
    point.save(tmp_path / "predictions.npz")
    loaded = ForecastResult.load(tmp_path / "predictions.npz")
    assert loaded.quantiles is None
    assert loaded.scores() == point.scores()
    with np.load(tmp_path / "predictions.npz") as file:
        assert not {"quantiles", "levels", "naive_quantiles"} & set(file)


def test_shapes_must_agree(random_result):
    held = random_result.quantiles
    wrong = {
        r"quantiles.values has shape \(60, 4, 3, 4\)": replace(held, values=held.values[..., 1:]),
        r"quantiles.naive has shape \(60, 3, 3, 5\)": replace(held, naive=held.naive[:, 1:]),
        r"target and levels require \(60, 4, 3, 4\)": replace(held, levels=held.levels[1:]),
    }
    for words, quantiles in wrong.items():
        with pytest.raises(ValueError, match=words):
            replace(random_result, quantiles=quantiles)
