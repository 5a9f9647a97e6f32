"""What a run returns: scores, curves and predictions as pandas, and its table in a notebook."""

import os

import numpy as np
import pandas as pd
from user_errors import user_error_of

import adlx
from adlx.metrics.forecast import ForecastResult


def test_a_run_returns_pandas(finished):
    result = ForecastResult.load(finished.path / "predictions.npz")
    windows, horizon, series = result.target.shape
    table, curves, predictions = finished.table, finished.curves, finished.predictions
    assert list(table.columns) == ["metric", "model", "baseline", "skill"]
    row = table.set_index("metric").loc["mase"]
    assert row["model"] == finished.metrics["test/mase"]
    assert row["baseline"] == finished.metrics["baseline/mase"]
    assert row["skill"] == finished.metrics["test/skill"]
    assert {"step", "epoch", "train/loss", "val/loss"} <= set(curves.columns)
    assert len(predictions) == windows * horizon * series
    for name, values in {"target": result.target, "prediction": result.prediction, "baseline": result.naive}.items():
        shaped = predictions[name].to_numpy().reshape(windows, horizon, series)
        np.testing.assert_array_equal(shaped, values)
    last = predictions.iloc[-1]
    assert (last["origin"], last["step"], last["series"]) == (result.origin[-1], horizon, result.series[-1])


def test_a_run_works_after_a_change_of_folder(small_words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = adlx.train([*small_words, "trainer.max_epochs=1", "output_dir=runs"])
    runs = adlx.find_runs("runs")
    same_run = adlx.open_run(os.path.relpath(run.path))
    monkeypatch.chdir("/")
    assert run.path.is_absolute()
    assert [one.path for one in runs] == [same_run.path] == [run.path]
    evaluation = adlx.evaluate(same_run)
    assert evaluation.metrics.items() <= run.metrics.items()
    assert evaluation.path.is_absolute()
    pd.testing.assert_frame_equal(evaluation.predictions, run.predictions)
    pd.testing.assert_frame_equal(evaluation.table, run.table)
    prediction = adlx.predict(run.path)
    assert prediction.path.is_absolute()
    pd.testing.assert_frame_equal(prediction.table, prediction.product)
    assert len(adlx.compare(runs).table) == 1


def test_a_home_folder_is_expanded(copied, monkeypatch):
    monkeypatch.setenv("HOME", str(copied.path.parent))
    assert adlx.open_run("~/copied").path == copied.path
    assert len(adlx.compare("~/copied").table) == 1
    assert [run.path for run in adlx.find_runs("~")] == [copied.path]


def test_a_notebook_shows_the_table_with_names_escaped(copied):
    copied.info["choices"]["data"] = "<b>csv</b>"
    metrics = {**copied.metrics, "test/mae/<script>": 64321.123456789, "baseline/mae/<script>": 1.0}
    (copied.path / "metrics.json").write_text(pd.Series(metrics).to_json())
    page = copied._repr_html_()
    assert "<script>" not in page
    assert "<b>csv</b>" not in page
    assert "mae/&lt;script&gt;" in page
    assert "64321" in page.replace(",", "")
    assert "123456789" not in page
    assert f"run: {copied.path}" in page
    assert "finished" in page


def test_a_notebook_shows_the_status_of_a_run_without_scores(copied):
    (copied.path / "metrics.json").unlink()
    copied.update(status="failed")
    assert "failed" in copied._repr_html_()
    assert "<table" not in copied._repr_html_()
    assert copied.table.empty
    (copied.path / "metrics.csv").unlink()
    assert copied.curves.empty
    copied.info["result"] = "not_trusted.Result"
    assert "not_trusted" in copied._repr_html_()


def test_short_representations(finished):
    comparison = adlx.compare(finished)
    assert repr(finished) == f"Run('{finished.path}', finished)"
    assert repr(comparison) == f"Comparison({comparison.title})"
    assert "<table" in comparison._repr_html_()


def test_find_runs_returns_runs_in_the_order_of_their_start(finished, copied, tmp_path):
    copied.update(created="2001-01-01T00:00:00+00:00")
    os.symlink(finished.path, tmp_path / "a_later_run")
    os.symlink(copied.path, tmp_path / "the_same_run_again")
    runs = adlx.find_runs(tmp_path)
    assert [run.path.resolve() for run in runs] == [copied.path, finished.path.resolve()]
    assert adlx.find_runs(copied.path)[0].path == copied.path
    assert user_error_of(adlx.find_runs, tmp_path / "none") == f"no folder {tmp_path / 'none'}"
    assert adlx.find_runs(copied.path / "checkpoints") == []
