"""Comparisons of runs that are written without training, so that every number is known."""

import dataclasses
import json

import numpy as np
import pytest

import adlx
from adlx.comparison.compare import compare
from adlx.comparison.selection import select
from adlx.errors import UserError
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import horizon_crps, horizon_mase, window_crps, window_losses
from adlx.metrics.significance import block_length, confidence_set
from adlx.reporting.comparison import comparison_tables

WINDOWS, HORIZON = 60, 2


def test_runs_that_differ_in_the_seed_are_one_row(folder):
    paths = [folder(f"r{seed}", seed=seed, error=error) for seed, error in enumerate((0.9, 1.1, 1.3))]
    table = compare(paths, "test/mase").table
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["label"], row["n"], row["baseline"], row["parameters"]) == ("naive", 3, 1.0, 7)
    assert row["mean"] == pytest.approx(np.mean([0.9, 1.1, 1.3]))
    assert row["std"] == pytest.approx(np.std([0.9, 1.1, 1.3], ddof=1))
    assert row["skill"] == pytest.approx(-0.1)
    assert row["seconds"] == pytest.approx(3.0)
    assert np.isnan(row["dm_pvalue"])
    assert row["mcs_pvalue"] == 1.0
    assert np.isnan(compare(paths[:1]).table.loc[0, "std"])


def test_labels_name_the_settings_that_differ(folder):
    runs = [
        folder("a", "seq2seq", own={"hidden": 8}),
        folder("b", "seq2seq", own={"hidden": 16}),
        folder("c", "seq2seq", own={"hidden": 16}, seed=1),
        folder("d", "seq2seq", own={"hidden": 16}, lr=0.2),
        folder("e", "naive"),
    ]
    assert sorted(compare(runs).table["label"]) == [
        "naive",
        "seq2seq hidden=16 optimizer.lr=0.1",
        "seq2seq hidden=16 optimizer.lr=0.2",
        "seq2seq hidden=8 optimizer.lr=0.1",
    ]
    assert sorted(compare([runs[0], runs[4]]).table["label"]) == ["naive", "seq2seq"]
    other = folder("f", "naive", data="fx")
    assert sorted(compare([runs[4], other]).table["label"]) == ["naive-csv", "naive-fx"]


def test_rows_are_sorted_best_first_for_both_directions(folder):
    runs = [folder(f"{model}", model, error=error) for model, error in (("a", 1.2), ("b", 0.4), ("c", 0.8))]
    by_skill, by_mase = compare(runs), compare(runs, "test/mase")
    assert by_skill.metric.key == "test/skill"
    assert by_skill.table["label"].tolist() == by_mase.table["label"].tolist() == ["b", "c", "a"]
    assert by_skill.table["mean"].tolist() == pytest.approx([0.6, 0.2, -0.2])
    assert by_skill.table["baseline"].tolist() == [0.0] * 3
    assert by_mase.table["mean"].tolist() == pytest.approx([0.4, 0.8, 1.2])
    # The errors are multiples of each other, so all pairs differ by the same statistic.
    assert by_mase.table["mcs_pvalue"].tolist() == [1.0, 0.0, 0.0]


def test_runs_with_the_same_windows_have_a_confidence_set(folder):
    runs = [folder("a", "a", error=0.5), folder("b", "b", error=2.0), folder("b2", "b", error=2.1, seed=1)]
    comparison = compare(runs)
    pvalues = dict(zip(comparison.table["label"], comparison.table["mcs_pvalue"], strict=True))
    losses = [window_losses(ForecastResult.load(path / "predictions.npz")) for path in runs]
    pooled = {"a": losses[0], "b": (losses[1] + losses[2]) / 2}
    assert pvalues == confidence_set(pooled, block=block_length(WINDOWS, HORIZON, 1))
    assert pvalues["a"] == 1.0
    assert pvalues["b"] < 0.05
    assert comparison_tables(comparison)[0].caption == (
        "model confidence set at 90 % (MCS p >= 0.10): 1 of 2 may be the best"
    )


def test_detail_tables_show_errors_by_series_and_by_step(folder):
    comparison = compare([folder("a", "a", error=0.5), folder("b", "b", error=2.0), folder("b2", "b", 1, error=2.1)])
    results = {
        label: [horizon_mase(r, r.prediction) for r in group] for label, group in comparison.evidence.results.items()
    }
    naive = horizon_mase(comparison.evidence.results["a"][0], comparison.evidence.results["a"][0].naive)
    wanted = [np.mean(results["a"], axis=0), np.mean(results["b"], axis=0), naive]
    for name, axis, columns in (("series", 0, ["A", "B"]), ("steps", 1, ["1", "2", "3"][:HORIZON])):
        frame = comparison.details[name]
        assert frame.iloc[:, 0].tolist() == ["a", "b", "naive (last value)"]
        assert frame.columns.tolist()[1:] == columns
        np.testing.assert_allclose(frame[columns], [error.mean(axis=axis) for error in wanted])
    assert compare([folder("c", "c"), folder("d", "d", start=1)]).details == {}


def test_losses_are_compared_on_one_scale(folder):
    """The denominator of the MASE depends on the training part, so two runs may have different ones."""
    runs = [folder("a", "a", error=0.5), folder("b", "b", error=0.5)]
    result = ForecastResult.load(runs[1] / "predictions.npz")
    dataclasses.replace(result, step_mae=np.full(2, 7.0)).save(runs[1] / "predictions.npz")
    comparison = compare(runs)
    assert comparison.table["mcs_pvalue"].tolist() == [1.0, 1.0]
    frame = comparison.details["series"]
    assert frame.loc[0, ["A", "B"]].tolist() == frame.loc[1, ["A", "B"]].tolist()


def test_a_comparison_by_crps_tests_the_crps_and_needs_equal_levels(folder):
    runs = [folder("a", "a", spread=0.7, error=0.5), folder("b", "b", spread=0.9, error=2.0)]
    comparison = compare(runs, "test/crps_skill")
    a, b = (comparison.evidence.results[name][0] for name in "ab")
    pvalues = confidence_set({"a": window_crps(a), "b": window_crps(b)}, block=block_length(WINDOWS, HORIZON, 1))
    assert comparison.table["mcs_pvalue"].tolist() == list(pvalues.values())
    assert comparison.table["crps_dm_pvalue"].tolist() == [0.03, 0.03]
    assert comparison.table["baseline"].tolist() == [0.0, 0.0]
    assert comparison.details["series"].columns[0] == "CRPS by series"
    np.testing.assert_allclose(
        comparison.details["series"].loc[0, ["A", "B"]].astype(float),
        horizon_crps(a, a.quantiles.values).mean(axis=0),
    )
    assert comparison.markdown().splitlines()[0] == (
        "| run | seeds | CRPS skill | skill | coverage 80 | DM p | MCS p | parameters | seconds |"
    )
    assert comparison.markdown().splitlines()[2].startswith("| a | 1 | +0.3000 | +0.5000 | 0.8000 | 0.0300 |")
    point = folder("point", "c", metrics={"test/crps_skill": 0.0, "test/mase": 1.0})
    mixed = compare([*runs, point], "test/crps_skill")
    assert mixed.table["mcs_pvalue"].isna().all()
    assert mixed.details["series"].columns[0] == "MASE by series"


def test_runs_with_different_windows_have_no_confidence_set(folder):
    runs = [folder("a", "a", error=0.5), folder("b", "b", start=1)]
    comparison = compare(runs)
    assert comparison.evidence is None
    assert comparison.table["mcs_pvalue"].isna().all()
    assert comparison_tables(comparison)[0].caption is None
    (runs[0] / "predictions.npz").unlink()
    assert compare(runs).table["mcs_pvalue"].isna().all()


def test_unfinished_runs_and_unknown_metrics_are_refused(folder, tmp_path):
    good = folder("good")
    broken = folder("broken", status="interrupted")
    with pytest.raises(UserError) as caught:
        compare([good, broken])
    assert str(caught.value) == f"{broken} is interrupted, not finished: adlx resume {broken}"
    with pytest.raises(UserError) as caught:
        compare([good], "test/mse")
    assert str(caught.value).startswith(f"{good} has no metric test/mse; did you mean test/m")
    assert str(caught.value).endswith("?; see its metrics.json")
    odd = folder("odd", metrics={"test/psnr": 3.0})
    with pytest.raises(UserError, match=r"^these runs have no headline metric in common: name one with --metric$"):
        compare([good, odd])
    with pytest.raises(UserError, match=f"^no run folder {tmp_path / 'none'}$"):
        compare([tmp_path / "none"])


def test_a_multirun_folder_stands_for_its_runs(folder, tmp_path):
    runs = [folder(f"r{number}", seed=number) for number in range(11)]
    sweep = tmp_path / "sweep"
    (sweep / "jobs").mkdir(parents=True)
    (sweep / "multirun.json").write_text("{}")
    for number, run in enumerate(runs):
        (sweep / "jobs" / f"{number}.json").write_text(json.dumps({"run": str(run)}))
    (sweep / "jobs" / "11.json").write_text(json.dumps({"run": None}))  # failed before it had a folder
    assert [run.path for run in select([sweep]).runs] == runs
    assert compare([sweep]).table["n"].tolist() == [11]
    assert adlx.compare([sweep, folder("x", "b")]).table["n"].tolist() == [11, 1]
    for job in (sweep / "jobs").iterdir():
        job.write_text(json.dumps({"run": None}))
    with pytest.raises(UserError, match=f"^{sweep} holds no run$"):
        compare([sweep])


def test_a_metric_without_losses_of_samples_has_no_confidence_set(folder):
    comparison = compare([folder("a", "a", error=0.5), folder("b", "b", seed=1)], "fit/seconds")
    assert comparison.table["mcs_pvalue"].isna().all()
    assert comparison.table["label"].tolist() == ["a", "b"]
    assert comparison.markdown().splitlines()[:3] == [
        "| run | seeds | seconds | skill | parameters |",
        "| --- | --- | --- | --- | --- |",
        "| a | 1 | 2.0 | +0.5000 | 7 |",
    ]
    assert comparison.confidence_note is None


def test_a_comparison_by_one_series_shows_its_baseline_and_no_test(folder):
    scores = {"test/skill": 0.5, "test/mae/a/b": 2.0, "baseline/mae/a/b": 3.0}
    comparison = compare([folder("a", "a", metrics=scores)], "test/mae/a/b")
    assert comparison.table[["mean", "baseline"]].to_numpy().tolist() == [[2.0, 3.0]]
    assert (
        comparison.markdown().splitlines()[0] == "| run | seeds | MAE a/b | baseline | skill | parameters | seconds |"
    )
    assert comparison.table["mcs_pvalue"].isna().all()


def test_the_coverage_nearest_to_its_level_comes_first(folder):
    runs = [
        folder(name, name, metrics={"test/coverage_80": share})
        for name, share in (("a", 0.95), ("b", 0.7), ("c", 0.82))
    ]
    assert compare(runs, "test/coverage_80").table["label"].tolist() == ["c", "b", "a"]


def test_quantiles_at_different_levels_are_not_compared(folder):
    runs = [folder("a", "a", spread=0.7), folder("b", "b", spread=0.9)]
    result = ForecastResult.load(runs[1] / "predictions.npz")
    assert result.quantiles is not None
    other = dataclasses.replace(result.quantiles, levels=np.array([0.2, 0.5, 0.8]))
    dataclasses.replace(result, quantiles=other).save(runs[1] / "predictions.npz")
    comparison = compare(runs, "test/crps_skill")
    assert comparison.table["mcs_pvalue"].isna().all()
    assert comparison.details["series"].columns[0] == "MASE by series"
    assert compare(runs, "test/skill").table["mcs_pvalue"].notna().all()


def test_labels_do_not_name_parts_from_other_runs(folder):
    """A part of a model comes from another run, and the settings of that run are not in the label."""
    part = {"run": "there", "sha256": "0a", "model": {"_target_": "adlx.autoencoder", "width": 8}}
    other = {"run": "elsewhere", "sha256": "1b", "model": {"_target_": "adlx.autoencoder", "width": 16}}
    runs = [
        folder("a", "sea", own={"autoencoder": part, "exchange": "sea"}),
        folder("b", "sea", own={"autoencoder": other, "exchange": "none"}),
    ]
    assert sorted(compare(runs).table["label"]) == ["sea exchange=none", "sea exchange=sea"]


def test_a_metric_that_is_not_declared_is_refused(folder):
    run = folder("a", metrics={"test/skill": 0.5, "test/other": 1.0})
    with pytest.raises(UserError, match=f"^{run}: ForecastResult declares no metric test/other$"):
        compare([run], "test/other")


def test_kid_from_different_features_is_not_compared(folder):
    runs = [folder(name, name, metrics={"test/kid": 0.1, "test/skill": 0.5}) for name in "ab"]
    for run, features in zip(runs, ("small network", "large network"), strict=True):
        facts = json.loads((run / "run.json").read_text())
        facts |= {"result": "adlx.metrics.denoising.DenoisingResult", "kid": {"features": features}}
        (run / "run.json").write_text(json.dumps(facts))
    with pytest.raises(UserError) as caught:
        compare(runs)
    assert str(caught.value) == "test/kid cannot be compared between different features: large network; small network"
    assert compare(runs, "test/skill").metric.key == "test/skill"
