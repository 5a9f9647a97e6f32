"""Evaluates a trained run, and predicts with it, on its own data and on other data."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from adlx.config.catalog import options
from adlx.errors import UserError
from adlx.metrics.forecast import ForecastResult
from adlx.reporting.outcomes import report_evaluation, report_prediction
from adlx.runs.evaluate import evaluate
from adlx.runs.predict import predict

DATA = ", ".join(options("data"))


@pytest.fixture(scope="module")
def frame(table) -> pd.DataFrame:
    return pd.read_csv(table, index_col="time", parse_dates=True, float_precision="round_trip")


@pytest.fixture
def own_scores(finished) -> dict[str, float]:
    return {key: value for key, value in finished.metrics.items() if key.startswith(("test/", "baseline/"))}


def test_an_evaluation_writes_a_folder_with_the_scores_of_the_run(copied, own_scores, capsys):
    evaluation = evaluate(copied)
    assert capsys.readouterr().out == ""  # only the command prints
    report_evaluation(evaluation)
    assert evaluation.metrics == own_scores
    assert evaluation.path.parent == copied.path / "evaluations"
    assert {path.name for path in evaluation.path.iterdir()} == {
        "metrics.json",
        "config.yaml",
        "predictions.npz",
        "months.csv",
    }
    assert json.loads((evaluation.path / "metrics.json").read_text()) == own_scores
    assert yaml.safe_load((evaluation.path / "config.yaml").read_text()) == copied.config
    stored, again = (ForecastResult.load(path / "predictions.npz") for path in (copied.path, evaluation.path))
    assert np.array_equal(stored.prediction, again.prediction)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "nlinear on csv: test"
    assert lines[-2:] == ["29 windows, one every step", f"evaluation: {evaluation.path}"]
    assert evaluate(copied).path != evaluation.path


def test_the_results_by_month_equal_the_scores_for_a_single_month(copied, own_scores, capsys):
    """The whole test part lies in one month."""
    evaluation = evaluate(copied)
    months = pd.read_csv(evaluation.path / "months.csv", float_precision="round_trip")
    assert months.columns.tolist() == ["month", "windows", "mase", "naive_mase", "skill"]
    assert months[["month", "windows"]].to_numpy().tolist() == [["2024-01", 29]]
    assert months.loc[0, "mase"] == pytest.approx(own_scores["test/mase"], rel=1e-12)
    assert months.loc[0, "skill"] == pytest.approx(own_scores["test/skill"], rel=1e-9)
    report_evaluation(evaluation)
    lines = capsys.readouterr().out.splitlines()
    assert "nlinear on csv: months" in lines
    assert [cell.strip() for cell in next(line for line in lines if "2024-01" in line).split("│")[1:3]] == [
        "2024-01",
        "29",
    ]


def test_another_stride_scores_fewer_windows(copied, own_scores, capsys):
    scores = evaluate(copied, ["data.stride=5"])
    report_evaluation(scores)
    assert "6 windows, one every 5 steps" in capsys.readouterr().out.splitlines()
    every, fifth = (ForecastResult.load(path / "predictions.npz") for path in (copied.path, scores.path))
    assert np.array_equal(fifth.origin, every.origin[::5])
    np.testing.assert_allclose(fifth.prediction, every.prediction[::5], rtol=1e-6)
    assert scores.metrics["test/mase"] != own_scores["test/mase"]


def test_more_and_reordered_columns_change_nothing(copied, own_scores, frame, tmp_path, caplog):
    other = pd.DataFrame({"S1": frame["S1"], "extra": np.arange(len(frame)) ** 1.5, "S0": frame["S0"]})
    other.to_csv(tmp_path / "other.csv")
    with caplog.at_level(logging.INFO, "adlx"):
        assert copied.evaluate([f"data.path={tmp_path / 'other.csv'}"]) == own_scores
    assert "ignoring series that the run was not trained on: extra" in caplog.messages
    forecast = copied.predict([f"data.path={tmp_path / 'other.csv'}"])
    assert list(forecast.columns) == ["S0", "S1"]
    pd.testing.assert_frame_equal(forecast, copied.predict(), check_exact=True)


def test_an_absent_series_is_refused(copied, frame, tmp_path):
    frame.rename(columns={"S1": "T1"}).to_csv(tmp_path / "other.csv")
    for verb in (copied.evaluate, copied.predict):
        with pytest.raises(UserError) as caught:
            verb([f"data.path={tmp_path / 'other.csv'}"])
        assert str(caught.value) == "the run was trained on the series S0, S1; other.csv lacks S1 (it has S0, T1)"
    assert not (copied.path / "evaluations").exists()
    assert not (copied.path / "predict").exists()


def test_another_choice_of_data_keeps_what_the_model_depends_on(copied, own_scores, table, capsys, monkeypatch):
    """The config file has context 96 and horizon 5; the run was trained with 12 and 2. Stores the path as absolute."""
    monkeypatch.chdir(table.parent)
    evaluation = evaluate(copied, ["data=csv", f"data.path={table.name}"])
    assert evaluation.metrics == own_scores
    config = yaml.safe_load((evaluation.path / "config.yaml").read_text())
    assert [config["data"][key] for key in ("context", "horizon", "scaling")] == [12, 2, "standard"]
    assert config["data"]["path"] == str(table)
    assert evaluation.title == "nlinear on series.csv"
    report_evaluation(evaluation)
    assert "nlinear on series.csv: test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "line"),
    [
        (
            "model.individual=true",
            "model.individual: a trained run cannot change this; override data, data.* or trainer.*",
        ),
        ("seed=2", "seed: a trained run cannot change this; override data, data.* or trainer.*"),
        ("data.contxt=3", "unknown key data.contxt on the command line; did you mean context?"),
        ("data=bonds", f"unknown data=bonds; did you mean codes?; one of {DATA}"),
    ],
)
def test_overrides_that_a_trained_run_refuses(copied, word, line):
    with pytest.raises(UserError) as caught:
        copied.evaluate([word])
    assert str(caught.value) == line


def test_another_context_does_not_fit(copied):
    with pytest.raises(UserError, match=r"^data\.context=13: the run was trained on 12 rows$"):
        copied.evaluate(["data.context=13"])
    with pytest.raises(UserError, match=r"^data\.horizon=3: the run was trained for 2 steps ahead$"):
        copied.predict(["data.horizon=3"])


def test_new_rows_are_scored_in_the_units_of_the_training(copied, frame, tmp_path):
    """Data on another scale are scaled with the run's own scaler, so the scaled error grows with them."""
    (frame * 10).to_csv(tmp_path / "ten.csv")
    scores = copied.evaluate([f"data.path={tmp_path / 'ten.csv'}"])
    assert scores["baseline/mase"] == pytest.approx(10 * copied.metrics["baseline/mase"], rel=1e-6)
    assert scores["test/mae/S0"] == pytest.approx(10 * copied.metrics["test/mae/S0"], rel=1e-4)


def test_a_forecast_starts_after_the_last_row_and_is_written(copied, frame, capsys):
    prediction = predict(copied)
    assert capsys.readouterr().out == ""
    assert prediction.path.parent == copied.path / "predict"
    assert {path.name for path in prediction.path.iterdir()} == {"forecast.csv", "forecast.parquet", "forecast.png"}
    written = pd.read_csv(
        prediction.path / "forecast.csv", index_col="time", parse_dates=True, float_precision="round_trip"
    )
    assert np.array_equal(written.to_numpy(), prediction.product.to_numpy())
    assert list(written.index) == list(frame.index[-1] + pd.to_timedelta([1, 2], "h"))
    assert list(written.columns) == ["S0", "S1"]
    assert np.abs(written / frame.iloc[-1] - 1).to_numpy().max() < 0.05  # in the series' own units
    assert (prediction.files, prediction.simulated) == (["forecast.csv", "forecast.parquet", "forecast.png"], False)
    report_prediction(prediction)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["files: forecast.csv, forecast.parquet, forecast.png", f"predict: {prediction.path}"]


def test_a_forecast_from_new_data_starts_after_their_last_row(copied, frame, tmp_path):
    frame.iloc[:150].to_csv(tmp_path / "short.csv")
    forecast = copied.predict([f"data.path={tmp_path / 'short.csv'}"])
    assert list(forecast.index) == list(frame.index[150:152])
    assert np.abs(forecast / frame.iloc[149] - 1).to_numpy().max() < 0.05
    frame.iloc[:12].to_csv(tmp_path / "context.csv")
    assert list(copied.predict([f"data.path={tmp_path / 'context.csv'}"]).index) == list(frame.index[12:14])
    frame.iloc[:11].to_csv(tmp_path / "less.csv")
    with pytest.raises(UserError, match=r"^11 rows of less\.csv are left: data\.context=12 needs more$"):
        copied.predict([f"data.path={tmp_path / 'less.csv'}"])


def test_a_figure_that_fails_loses_no_forecast(copied, monkeypatch, caplog):
    def fails(figure, path):
        raise ValueError("no room")

    monkeypatch.setattr("adlx.figures.style.save", fails)
    prediction = predict(copied)
    assert (prediction.path / "forecast.csv").is_file()
    line = "the figure forecast could not be drawn (ValueError: no room); the numbers are not affected"
    assert line in caplog.messages


def test_other_data_must_be_of_the_kind_of_the_run_before_their_path_is_asked_for(copied):
    for verb in (copied.evaluate, copied.predict):
        with pytest.raises(
            UserError, match=r"^model and data do not fit: NLinear is for series, and Images gives images"
        ):
            verb(["data=images"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_an_accelerator_that_is_not_there_is_refused_before_data_are_read(copied):
    for verb in (copied.evaluate, copied.predict):
        with pytest.raises(UserError, match=r"^trainer\.accelerator=gpu: PyTorch finds none on this machine"):
            verb(["trainer.accelerator=gpu", "data.path=absent.csv"])
