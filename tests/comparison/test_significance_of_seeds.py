"""The p-value of several seeds is that of a test of their mean losses, not the mean of their p-values."""

import dataclasses
import json

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
    """Returns a function that writes two seeds with p-values far from that of their mean losses."""

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


def test_a_single_seed_keeps_its_p_value(seeds):
    assert compare(seeds()[1:]).table["dm_pvalue"].tolist() == [0.02]


def test_a_comparison_by_crps_tests_the_crps(seeds):
    paths = seeds(spread=0.8)
    mean = np.mean([window_crps(one) for one in results(paths)], axis=0)
    expected = diebold_mariano(mean, naive_window_crps(results(paths)[0]), HORIZON)[1]
    assert compare(paths, "test/crps_skill").table["crps_dm_pvalue"].tolist() == [expected]


def test_seeds_without_common_samples_have_no_p_value(seeds):
    paths = seeds()
    second = results(paths)[1]
    dataclasses.replace(second, origin=second.origin + np.timedelta64(1, "h")).save(paths[1] / "predictions.npz")
    comparison = compare(paths)
    assert comparison.table["dm_pvalue"].isna().all()
    assert "DM p" not in list(comparison.texts)
    (paths[1] / "predictions.npz").unlink()
    assert compare(paths).table["dm_pvalue"].isna().all()


def test_the_p_value_of_a_row_does_not_depend_on_other_rows(seeds, folder):
    paths = seeds()
    other = folder("other", "b", start=5)
    table = compare([*paths, other]).table.set_index("label")
    assert table.loc["naive", "dm_pvalue"] == compare(paths).table.loc[0, "dm_pvalue"]
    assert table["mcs_pvalue"].isna().all()


@pytest.mark.parametrize(
    "metric", ["fit/seconds", "model/parameters", "test/mse/A", "test/skill/A", "test/coverage_80"]
)
def test_only_the_metric_that_was_tested_has_a_p_value(metric, folder):
    """The tests use the losses from which the skill over all series is computed."""
    scores = {"test/skill": 0.1, "test/dm_pvalue": 0.5, "test/mse/A": 1.0, "test/skill/A": 0.2, "test/coverage_80": 0.7}
    runs = [folder(name, name, metrics=dict(scores), error=error) for name, error in (("a", 0.5), ("b", 2.0))]
    comparison = compare(runs, metric)
    assert not [heading for heading in comparison.texts if heading.endswith(" p")]
    assert comparison.confidence_note is None
    assert comparison.table["mcs_pvalue"].isna().all()
    assert [heading for heading in compare(runs).texts if heading.endswith(" p")] == ["DM p", "MCS p"]


def test_classifiers_use_the_exact_test_for_one_run_and_the_paired_t_test_for_several():
    scores = np.tile([1.0, 0.0], (8, 1))
    result = ClassResult(scores, np.array([0, 0, 0, 0, 0, 1, 1, 1]), np.arange(8), ("a", "b"), 1)
    wrong, constant = np.array([0.0] * 5 + [1.0] * 3), np.array([1.0] * 5 + [0.0] * 3)
    assert result.baseline_pvalue(wrong, constant) == mcnemar(wrong, constant)
    assert result.baseline_pvalue(wrong / 2, constant) == diebold_mariano(wrong / 2, constant, 1)[1]


@pytest.fixture
def classified(folder):
    """Returns a function that writes a run on 40 samples; its seed decides which predictions are wrong."""

    def write(name: str, model: str, seed=0, wrong=lambda seed: [seed, seed + 10]):
        path, label = folder(name, model, seed), np.arange(40) % 3
        guess = label.copy()
        guess[wrong(seed)] = (guess[wrong(seed)] + 1) % 3
        result = ClassResult(np.eye(3)[guess], label, np.arange(40), ("a", "b", "c"), 0)
        result.save(path / "predictions.npz")
        (path / "metrics.json").write_text(json.dumps(result.scores()))
        facts = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**facts, "result": "adlx.metrics.classification.ClassResult"}))
        return path

    return write


def test_the_heading_names_the_test_that_was_used(classified):
    one, several = classified("a", "one"), [classified(f"b{seed}", "several", seed) for seed in (0, 1)]
    comparison = compare([one, *several])
    texts = comparison.texts.set_index("run")
    assert [heading for heading in texts if heading.endswith(" p")] == ["McNemar p", "paired t p", "MCS p"]
    assert texts.loc["one", ["McNemar p", "paired t p"]].tolist() == ["<0.0001", "-"]
    assert texts.loc["several", ["McNemar p", "paired t p"]].tolist() == ["-", "<0.0001"]
    losses = np.mean(
        [ClassResult.load(path / "predictions.npz").prediction != np.arange(40) % 3 for path in several], 0
    )
    constant = (np.arange(40) % 3 != 0).astype(float)
    assert (
        comparison.table.set_index("label").loc["several", "paired_t_pvalue"] == diebold_mariano(losses, constant, 1)[1]
    )
    assert [heading for heading in compare([one]).texts if heading.endswith(" p")] == ["McNemar p", "MCS p"]
    assert [heading for heading in compare(several).texts if heading.endswith(" p")] == ["paired t p", "MCS p"]


def test_seeds_that_agree_on_every_sample_are_tested_exactly(classified):
    runs = [classified(f"a{seed}", "a", seed, lambda _: [1, 2]) for seed in (0, 1)]
    assert [heading for heading in compare(runs).texts if heading.endswith(" p")] == ["McNemar p", "MCS p"]
