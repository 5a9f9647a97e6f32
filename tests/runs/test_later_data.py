"""A run knows the series that it was trained on, when it is scored on others or predicts from new ones."""

import logging
import shutil

import numpy as np
import pandas as pd
import pytest
from generators import walk_frame

import adlx
from adlx.errors import UserError

CONTEXT, HORIZON = 12, 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on 240 hours, in a folder with the file."""
    folder = tmp_path_factory.mktemp("later")
    frame = walk_frame(400)
    frame.iloc[:240].to_csv(folder / "series.csv")
    words = ["model=nlinear", "data=csv", f"data.path={folder / 'series.csv'}", f"data.context={CONTEXT}"]
    words += [f"data.horizon={HORIZON}", "trainer.max_epochs=1", "trainer.threads=1", "trainer.accelerator=cpu"]
    run = adlx.train([*words, "logger=none", f"output_dir={folder / 'outputs'}"])
    return run, frame, folder


@pytest.fixture
def said(caplog) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "adlx")
    return caplog


@pytest.fixture
def grown(trained):
    """The file of the run has 60 newer rows."""
    _, frame, folder = trained
    frame.iloc[:300].to_csv(folder / "series.csv")
    yield trained
    frame.iloc[:240].to_csv(folder / "series.csv")


def first_time(forecast: pd.DataFrame) -> pd.Timestamp:
    return pd.Timestamp(forecast.index[0])


def test_a_prediction_is_for_the_time_after_new_rows(grown, said):
    run, frame, _ = grown
    assert first_time(run.predict()) == frame.index[299] + pd.Timedelta(hours=1)
    assert "series.csv: 60 rows are newer than those of the run; the forecast is for the time after them" in said.text


def test_an_evaluation_repeats_its_scores_and_says_that_there_are_new_rows(grown, said):
    run, _, _ = grown
    scores = run.evaluate()
    assert scores["test/mase"] == run.metrics["test/mase"]
    assert "series.csv: 60 rows are newer than those of the run; they are not used" in said.text


@pytest.mark.parametrize("rows", [1, 20, 160])
def test_every_window_after_training_is_scored(trained, said, tmp_path, rows):
    """Contexts may reach back into rows that training saw."""
    run, frame, _ = trained
    frame.iloc[150 : 240 + rows].to_csv(tmp_path / "new.csv")
    run.evaluate([f"data.path={tmp_path / 'new.csv'}"])
    (evaluation,) = (run.path / "evaluations").glob("*")
    with np.load(evaluation / "predictions.npz") as stored:
        origins = pd.DatetimeIndex(stored["origin"], tz="UTC")
    seen_until = pd.Timestamp(run.info["data"]["seen_until"])
    later = frame.index[(frame.index > seen_until) & (frame.index <= frame.index[239 + rows])]
    assert origins.tolist() == [time - pd.Timedelta(hours=1) for time in later[: len(later) - HORIZON + 1]]
    assert "in-sample" not in said.text
    assert f"{len(later)} rows after {seen_until.isoformat()}, the end of validation, are scored" in said.text


def test_rows_of_training_are_not_scored_in_silence(trained, said, tmp_path):
    run, frame, _ = trained
    frame.iloc[:150].to_csv(tmp_path / "old.csv")
    run.evaluate([f"data.path={tmp_path / 'old.csv'}"])
    assert "rows to score lie in the time of training and validation, so this score is in-sample" in said.text


@pytest.fixture(autouse=True)
def no_evaluations(trained):
    """Each test begins without the evaluations of others."""
    yield
    shutil.rmtree(trained[0].path / "evaluations", ignore_errors=True)


def test_a_revised_history_is_named(trained, said):
    run, frame, folder = trained
    revised = frame.iloc[:240].copy()
    revised.iloc[20, 0] *= 1.5
    revised.to_csv(folder / "series.csv")
    run.evaluate()
    frame.iloc[:240].to_csv(folder / "series.csv")
    assert "series.csv: the rows that the run was trained on have other values now than in training" in said.text
    said.clear()
    run.evaluate()
    assert said.text == ""


@pytest.mark.parametrize("freq", ["2h", "30min", "D"])
def test_another_step_is_refused(trained, tmp_path, freq):
    run, frame, _ = trained
    other = frame.iloc[:100].set_axis(pd.date_range("2025-01-01", periods=100, freq=freq, tz="UTC", name="time"))
    other.to_csv(tmp_path / "other.csv")
    for verb in (run.evaluate, run.predict):
        with pytest.raises(UserError, match=r"^other\.csv has a step of .*; the run was trained on a step of 1 hour$"):
            verb([f"data.path={tmp_path / 'other.csv'}"])


def test_a_prediction_asks_of_data_only_what_it_reads(trained, tmp_path):
    """A series stands still, another one is no number, and there is barely a context."""
    run, frame, _ = trained
    new = frame.iloc[300 : 300 + CONTEXT].assign(S1=5.0, note=[None, *"abcdefghijk"], hole=[np.nan, *range(11)])
    new.to_csv(tmp_path / "new.csv")
    forecast = run.predict([f"data.path={tmp_path / 'new.csv'}"])
    assert np.isfinite(forecast.to_numpy()).all()
    assert first_time(forecast) == frame.index[300 + CONTEXT]


def test_fine_tuning_matches_series_by_name(trained, said, tmp_path):
    run, frame, _ = trained
    frame.iloc[:240, ::-1].to_csv(tmp_path / "swapped.csv")
    words = ["model=nlinear", "data=csv", f"data.context={CONTEXT}", f"data.horizon={HORIZON}", "trainer.max_epochs=1"]
    words += ["trainer.threads=1", "trainer.accelerator=cpu", "logger=none", f"output_dir={tmp_path / 'outputs'}"]
    words += ["finetune=full", f"finetune.run={run.path}"]
    tuned = adlx.train([*words, f"data.path={tmp_path / 'swapped.csv'}"])
    assert tuned.info["data"]["series"] == run.info["data"]["series"]
    assert "the series are in the order of the base run: S0, S1" in said.text
    frame.iloc[:240].rename(columns={"S0": "X", "S1": "Y"}).to_csv(tmp_path / "renamed.csv")
    said.clear()
    adlx.train([*words, f"data.path={tmp_path / 'renamed.csv'}"])
    assert "other series than those of the base run, so by position: X, Y as S0, S1" in said.text
