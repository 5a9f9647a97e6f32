"""Runs side by side, on folders written by hand: then every number is known."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

import adlx
from adlx.comparison.compare import compare, expand
from adlx.errors import UserError
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import Quantiles, horizon_crps, horizon_mase, window_crps, window_losses
from adlx.metrics.significance import block_length, confidence_set
from adlx.reporting.comparison import MOST_COLUMNS, comparison_tables, few_columns
from adlx.reporting.terminal import console

WINDOWS, HORIZON = 60, 2


def quantiles(point: np.ndarray, spread: float) -> Quantiles:
    values = point[..., None] + spread * np.array([-1.0, 0.0, 1.0])
    return Quantiles(np.array([0.1, 0.5, 0.9]), values, values + np.array([-1.0, 0.0, 1.0]))


@pytest.fixture
def folder(tmp_path):
    """Writes a finished run: its model, seed and error decide the rest."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=(WINDOWS, HORIZON, 2))

    def write(name: str, model="naive", seed=0, error=1.0, status="finished", start=0, spread=None, **settings):
        path = tmp_path / name
        path.mkdir()
        data = settings.pop("data", "csv")
        metrics = settings.pop("metrics", {"test/skill": 1 - error, "test/mase": error, "baseline/mase": 1.0})
        if spread is not None:
            metrics |= {"test/crps_skill": 1 - spread, "test/coverage_80": 0.8, "test/crps_dm_pvalue": 0.03}
        config = {
            "model": {"_target_": f"adlx.{model}", **settings.pop("own", {})},
            "data": {"_target_": f"adlx.{data}", "path": name, "context": 3},
            **{node: {} for node in ("task", "loss", "finetune", "trainer", "callbacks", "logger")},
            "optimizer": {"lr": 0.1, **settings},
            "seed": seed,
            "output_dir": name,
        }
        (path / "config.yaml").write_text(yaml.safe_dump(config))
        facts = {"status": status, "seed": seed, "choices": {"model": model, "data": data}, "data": {}}
        facts["result"] = "adlx.metrics.forecast.ForecastResult"
        (path / "run.json").write_text(json.dumps(facts))
        (path / "metrics.json").write_text(json.dumps({**metrics, "model/parameters": 7, "fit/seconds": 2.0 + seed}))
        noise = error * np.random.default_rng(seed + 1).normal(size=target.shape)
        ForecastResult(
            prediction=target + noise,
            target=target,
            last=target[:, 0],
            origin=np.datetime64("2024-01-01", "ns") + (start + np.arange(WINDOWS)) * np.timedelta64(1, "h"),
            series=("A", "B"),
            mean=np.zeros(2),
            std=np.ones(2),
            step_mae=np.ones(2),
            quantiles=None if spread is None else quantiles(target + noise, spread),
        ).save(path / "predictions.npz")
        return path

    return write


def test_seeds_are_pooled(folder):
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


def test_labels_tell_what_differs(folder):
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


def test_best_first_in_either_direction(folder):
    runs = [folder(f"{model}", model, error=error) for model, error in (("a", 1.2), ("b", 0.4), ("c", 0.8))]
    by_skill, by_mase = compare(runs), compare(runs, "test/mase")
    assert by_skill.metric.key == "test/skill"
    assert by_skill.table["label"].tolist() == by_mase.table["label"].tolist() == ["b", "c", "a"]
    assert by_skill.table["mean"].tolist() == pytest.approx([0.6, 0.2, -0.2])
    assert by_skill.table["baseline"].tolist() == [0.0] * 3
    assert by_mase.table["mean"].tolist() == pytest.approx([0.4, 0.8, 1.2])
    # The errors are multiples of each other, so all pairs differ by the same statistic.
    assert by_mase.table["mcs_pvalue"].tolist() == [1.0, 0.0, 0.0]


def test_significance_where_the_windows_are_shared(folder):
    runs = [folder("a", "a", error=0.5), folder("b", "b", error=2.0), folder("b2", "b", error=2.1, seed=1)]
    comparison = compare(runs)
    found = dict(zip(comparison.table["label"], comparison.table["mcs_pvalue"], strict=True))
    losses = [window_losses(ForecastResult.load(path / "predictions.npz")) for path in runs]
    pooled = {"a": losses[0], "b": (losses[1] + losses[2]) / 2}
    assert found == confidence_set(pooled, block=block_length(WINDOWS, HORIZON, 1))
    assert found["a"] == 1.0
    assert found["b"] < 0.05
    assert comparison_tables(comparison)[0].caption == (
        "model confidence set at 90 % (MCS p >= 0.10): 1 of 2 cannot be told from the best"
    )


def test_details_by_series_and_by_step(folder):
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


def test_losses_compare_on_one_scale(folder):
    """Runs on training parts of another span have another one-step change in the denominator of their MASE."""
    runs = [folder("a", "a", error=0.5), folder("b", "b", error=0.5)]
    result = ForecastResult.load(runs[1] / "predictions.npz")
    dataclasses.replace(result, step_mae=np.full(2, 7.0)).save(runs[1] / "predictions.npz")
    comparison = compare(runs)
    assert comparison.table["mcs_pvalue"].tolist() == [1.0, 1.0]
    frame = comparison.details["series"]
    assert frame.loc[0, ["A", "B"]].tolist() == frame.loc[1, ["A", "B"]].tolist()


def test_by_crps(folder):
    """Intervals are compared by their own losses, and only at the same levels."""
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
    assert comparison.markdown().splitlines()[2].startswith("| a | 1 | +0.3000 | +0.5000 | 0.8 | 0.03 |")
    point = folder("point", "c", metrics={"test/crps_skill": 0.0, "test/mase": 1.0})
    mixed = compare([*runs, point], "test/crps_skill")
    assert mixed.table["mcs_pvalue"].isna().all()
    assert mixed.details["series"].columns[0] == "MASE by series"


def test_many_steps_are_thinned_for_a_terminal():
    frame = pd.DataFrame([["a", *range(1, 101)]], columns=["MASE by steps ahead", *map(str, range(1, 101))])
    few = few_columns(frame)
    assert few.columns[0] == "run"
    assert len(few.columns) == 1 + MOST_COLUMNS
    assert (few.columns[1], few.columns[-1]) == ("1", "100")
    assert few.iloc[0, 1:].tolist() == [int(name) for name in few.columns[1:]]


def test_no_significance_where_they_are_not(folder):
    runs = [folder("a", "a", error=0.5), folder("b", "b", start=1)]
    comparison = compare(runs)
    assert comparison.evidence is None
    assert comparison.table["mcs_pvalue"].isna().all()
    assert comparison_tables(comparison)[0].caption is None
    (runs[0] / "predictions.npz").unlink()
    assert compare(runs).table["mcs_pvalue"].isna().all()


def test_files(folder, tmp_path):
    comparison = compare([folder("a", "a", error=0.5), folder("b", "b"), folder("b2", "b", seed=1, error=1.2)])
    names = ["t.csv", "t_series.csv", "t_steps.csv"]
    assert comparison.write(tmp_path / "t.csv") == [tmp_path / name for name in names]
    for name, frame in comparison.details.items():
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / f"t_{name}.csv"), frame, rtol=1e-12)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), comparison.table, rtol=1e-12)
    comparison.write(tmp_path / "t.md")
    pvalue = f"{comparison.table.loc[1, 'mcs_pvalue']:.2g}"
    assert (tmp_path / "t.md").read_text() == comparison.markdown()
    assert comparison.markdown().splitlines()[:4] == [
        "| run | seeds | skill | MCS p | parameters | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | 1 | +0.5000 | 1 | 7 | 2.0 |",
        f"| b | 2 | -0.1000 ± 0.1414 | {pvalue} | 7 | 2.5 |",
    ]
    written = comparison.write(tmp_path / "t.png")
    assert written == [tmp_path / "t.png", tmp_path / "t_panels.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    with pytest.raises(UserError, match=r"t\.pdf: the suffix says what to write, \.csv, \.md or \.png$"):
        comparison.write(tmp_path / "t.pdf")


def test_the_table_for_a_terminal(folder, capsys):
    console().print(comparison_tables(compare([folder("a", "a", error=0.5), folder("b", "b")], "test/mase"))[0])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "test/mase on csv, 2 runs"
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [row[:5] for row in cells] == [["a", "1", "0.5000", "1", "+0.5000"], ["b", "1", "1.000", "1", "+0.0000"]]


def test_what_cannot_be_compared(folder, tmp_path):
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
    assert [run.path for run in expand(sweep)] == runs
    assert compare([sweep]).table["n"].tolist() == [11]
    assert adlx.compare([sweep, folder("x", "b")]).table["n"].tolist() == [11, 1]
    for job in (sweep / "jobs").iterdir():
        job.write_text(json.dumps({"run": None}))
    with pytest.raises(UserError, match=f"^{sweep} holds no run$"):
        compare([sweep])


def test_what_no_sample_has_a_loss_of_has_no_confidence_set(folder):
    comparison = compare([folder("a", "a", error=0.5), folder("b", "b", seed=1)], "fit/seconds")
    assert comparison.table["mcs_pvalue"].isna().all()
    assert comparison.table["label"].tolist() == ["a", "b"]
    assert comparison.markdown().splitlines()[:3] == [
        "| run | seeds | seconds | skill | parameters |",
        "| --- | --- | --- | --- | --- |",
        "| a | 1 | 2.0 | +0.5000 | 7 |",
    ]
    assert comparison.confidence_note is None


def test_by_the_score_of_one_series(folder):
    """Its own baseline stands beside it; the losses of the whole do not test it."""
    scores = {"test/skill": 0.5, "test/mae/a/b": 2.0, "baseline/mae/a/b": 3.0}
    comparison = compare([folder("a", "a", metrics=scores)], "test/mae/a/b")
    assert comparison.table[["mean", "baseline"]].to_numpy().tolist() == [[2.0, 3.0]]
    assert (
        comparison.markdown().splitlines()[0] == "| run | seeds | MAE a/b | baseline | skill | parameters | seconds |"
    )
    assert comparison.table["mcs_pvalue"].isna().all()


def test_by_coverage_the_nearest_to_its_level_comes_first(folder):
    runs = [
        folder(name, name, metrics={"test/coverage_80": share})
        for name, share in (("a", 0.95), ("b", 0.7), ("c", 0.82))
    ]
    assert compare(runs, "test/coverage_80").table["label"].tolist() == ["c", "b", "a"]


def test_quantiles_at_other_levels_do_not_compare(folder):
    runs = [folder("a", "a", spread=0.7), folder("b", "b", spread=0.9)]
    result = ForecastResult.load(runs[1] / "predictions.npz")
    assert result.quantiles is not None
    other = dataclasses.replace(result.quantiles, levels=np.array([0.2, 0.5, 0.8]))
    dataclasses.replace(result, quantiles=other).save(runs[1] / "predictions.npz")
    comparison = compare(runs, "test/crps_skill")
    assert comparison.table["mcs_pvalue"].isna().all()
    assert comparison.details["series"].columns[0] == "MASE by series"
    assert compare(runs, "test/skill").table["mcs_pvalue"].notna().all()


def test_labels_do_not_tell_which_other_run(folder):
    """A part of a model is another run, with settings of its own; a base run, and a span of the data, say no more."""
    part = {"run": "there", "sha256": "0a", "model": {"_target_": "adlx.autoencoder", "width": 8}}
    other = {"run": "elsewhere", "sha256": "1b", "model": {"_target_": "adlx.autoencoder", "width": 16}}
    runs = [
        folder("a", "sea", own={"autoencoder": part, "exchange": "sea"}),
        folder("b", "sea", own={"autoencoder": other, "exchange": "none"}),
    ]
    assert sorted(compare(runs).table["label"]) == ["sea exchange=none", "sea exchange=sea"]


def test_a_metric_that_nothing_declares(folder):
    run = folder("a", metrics={"test/skill": 0.5, "test/other": 1.0})
    with pytest.raises(UserError, match=f"^{run}: ForecastResult declares no metric test/other$"):
        compare([run], "test/other")


def test_a_distance_by_other_features_does_not_compare(folder):
    runs = [folder(name, name, metrics={"test/kid": 0.1, "test/skill": 0.5}) for name in "ab"]
    for run, features in zip(runs, ("small network", "large network"), strict=True):
        facts = json.loads((run / "run.json").read_text())
        facts |= {"result": "adlx.metrics.denoising.DenoisingResult", "kid": {"features": features}}
        (run / "run.json").write_text(json.dumps(facts))
    with pytest.raises(UserError) as caught:
        compare(runs)
    assert str(caught.value) == "test/kid by different features does not compare: large network; small network"
    assert compare(runs, "test/skill").metric.key == "test/skill"


def test_comparing_imports_no_torch():
    code = "import sys, adlx.comparison.compare, adlx.reporting.comparison, adlx.runs.declarations; print(*sys.modules)"
    modules = "forecast", "classification", "reconstruction", "denoising", "fields"
    imports = "".join(f"import adlx.metrics.{name}; " for name in modules)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", imports + code], env=environment, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "adlx.comparison.compare" in loaded
    heavy = {"torch", "pytorch_lightning", "lightning_fabric", "sklearn", "scipy.stats", "matplotlib", "arch"}
    assert loaded & heavy == set()
