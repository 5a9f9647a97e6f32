"""One p-value for several seeds: the test of their mean losses, not the mean of their p-values."""

import dataclasses

import numpy as np
import pytest

from adlx.comparison.compare import compare
from adlx.metrics.classification import ClassResult
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import naive_window_crps, naive_window_losses, window_crps, window_losses
from adlx.metrics.significance import diebold_mariano, mcnemar

WINDOWS, HORIZON = 60, 2


@pytest.fixture
def seeds(folder):
    """Two seeds of one configuration, whose own p-values are far from that of their mean."""

    def write(pvalues=(0.9, 0.02), **settings):
        paths = []
        for seed, pvalue in enumerate(pvalues):
            metrics = {"test/skill": 0.1, "test/mase": 0.9, "baseline/mase": 1.0, "test/dm_pvalue": pvalue}
            paths.append(folder(f"r{seed}", seed=seed, metrics=metrics, error=0.9 + 0.1 * seed, **settings))
        return paths

    return write


def results(paths) -> list[ForecastResult]:
    return [ForecastResult.load(path / "predictions.npz") for path in paths]


def test_the_losses_are_averaged_and_tested(seeds):
    paths = seeds()
    mean = np.mean([window_losses(one) for one in results(paths)], axis=0)
    expected = diebold_mariano(mean, naive_window_losses(results(paths)[0]), HORIZON)[1]
    table = compare(paths).table
    assert table["dm_pvalue"].tolist() == [expected]
    assert expected != pytest.approx(np.mean([0.9, 0.02]))


def test_one_seed_keeps_its_own(seeds):
    assert compare(seeds()[1:]).table["dm_pvalue"].tolist() == [0.02]


def test_by_crps_its_losses_are_tested(seeds):
    paths = seeds(spread=0.8)
    mean = np.mean([window_crps(one) for one in results(paths)], axis=0)
    expected = diebold_mariano(mean, naive_window_crps(results(paths)[0]), HORIZON)[1]
    assert compare(paths, "test/crps_skill").table["crps_dm_pvalue"].tolist() == [expected]


def test_there_is_none_where_the_seeds_share_no_samples(seeds):
    paths = seeds()
    second = results(paths)[1]
    dataclasses.replace(second, origin=second.origin + np.timedelta64(1, "h")).save(paths[1] / "predictions.npz")
    comparison = compare(paths)
    assert comparison.table["dm_pvalue"].isna().all()
    assert "DM p" not in list(comparison.texts)
    (paths[1] / "predictions.npz").unlink()
    assert compare(paths).table["dm_pvalue"].isna().all()


def test_other_rows_on_other_samples_change_nothing(seeds, folder):
    paths = seeds()
    other = folder("other", "b", start=5)
    table = compare([*paths, other]).table.set_index("label")
    assert table.loc["naive", "dm_pvalue"] == compare(paths).table.loc[0, "dm_pvalue"]
    assert table["mcs_pvalue"].isna().all()


@pytest.mark.parametrize(
    "metric", ["fit/seconds", "model/parameters", "test/mse/A", "test/skill/A", "test/coverage_80"]
)
def test_only_the_metric_that_was_tested_has_a_p_value(metric, folder):
    """The tests are of the losses that the skill of the whole follows from."""
    scores = {"test/skill": 0.1, "test/dm_pvalue": 0.5, "test/mse/A": 1.0, "test/skill/A": 0.2, "test/coverage_80": 0.7}
    runs = [folder(name, name, metrics=dict(scores), error=error) for name, error in (("a", 0.5), ("b", 2.0))]
    comparison = compare(runs, metric)
    assert not [heading for heading in comparison.texts if heading.endswith(" p")]
    assert comparison.confidence_note is None
    assert comparison.table["mcs_pvalue"].isna().all()
    assert [heading for heading in compare(runs).texts if heading.endswith(" p")] == ["DM p", "MCS p"]


def test_of_classes_the_exact_test_for_one_run_and_the_paired_t_test_for_several():
    scores = np.tile([1.0, 0.0], (8, 1))
    result = ClassResult(scores, np.array([0, 0, 0, 0, 0, 1, 1, 1]), np.arange(8), ("a", "b"), 1)
    wrong, constant = np.array([0.0] * 5 + [1.0] * 3), np.array([1.0] * 5 + [0.0] * 3)
    assert result.baseline_pvalue(wrong, constant) == mcnemar(wrong, constant)
    assert result.baseline_pvalue(wrong / 2, constant) == diebold_mariano(wrong / 2, constant, 1)[1]
