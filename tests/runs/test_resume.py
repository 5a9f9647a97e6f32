"""Resume: when it is refused, and that it uses the same data."""

import numpy as np
import pandas as pd
import pytest
import torch
from generators import walk_frame

import adlx
from adlx.data.series.sources import crypto
from adlx.data.series.sources.download import DownloadFailed
from adlx.errors import UserError
from adlx.reporting.outcomes import report_evaluation, report_prediction
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.evaluate import evaluate
from adlx.runs.loggers import read_curves
from adlx.runs.predict import predict
from adlx.tasks.forecast import Forecast


def test_a_resume_of_a_finished_run_is_refused(copied):
    with pytest.raises(UserError) as caught:
        copied.resume()
    assert str(caught.value) == (
        f"{copied.path} has finished: adlx eval, predict or compare it (or give a later trainer.max_epochs)"
    )


@pytest.mark.parametrize("word", ["seed=1", "model.hidden=3", "data.stride=2", "optimizer.lr=1", "data=fx"])
def test_a_resume_with_another_config_is_refused(copied, word):
    with pytest.raises(UserError) as caught:
        copied.resume([word])
    assert str(caught.value) == (
        f"{word}: a resumed run keeps its config; only trainer.* can change (start a new run instead)"
    )


def test_a_misspelt_key_is_named_with_its_file(copied):
    with pytest.raises(UserError) as caught:
        copied.resume(["trainer.max_epoch=4"])
    assert str(caught.value).startswith("unknown key trainer.max_epoch ")
    assert str(caught.value).endswith("; did you mean max_epochs?")


def test_changed_data_are_refused(small, tmp_path):
    path = tmp_path / "mine.csv"
    frame = walk_frame(200)
    frame.to_csv(path)
    run = small(f"data.path={path}")
    frame.iloc[17, 1] *= 1.0001  # in the training part
    frame.to_csv(path)
    was = run.info["data"]["fingerprint"]
    with pytest.raises(UserError) as caught:
        run.resume(["trainer.max_epochs=4"])
    message = str(caught.value)
    assert message.startswith(f"the data changed since {run.path} was started (fingerprint ")
    assert message.endswith(f", was {was[:12]}): start a new run, or evaluate this one")
    assert adlx.open_run(run.path).status == "finished"
    path.unlink()
    with pytest.raises(UserError, match=r"mine\.csv does not exist"):
        run.resume(["trainer.max_epochs=4"])


def test_rows_that_were_added_to_the_data_are_not_used(small, tmp_path):
    """New rows at the end change neither the splits nor the scaler of a resumed run."""
    path = tmp_path / "mine.csv"
    frame = walk_frame(260)
    frame.iloc[:200].to_csv(path)
    run = small(f"data.path={path}")
    scores = {key: value for key, value in run.metrics.items() if key.startswith(("test/", "baseline/"))}
    frame.to_csv(path)
    assert run.evaluate() == scores
    assert run.resume(["trainer.max_epochs=3"]).metrics["baseline/mase"] == scores["baseline/mase"]


def test_a_run_resumed_for_more_epochs_equals_an_uninterrupted_run(copied, longer):
    resumed = copied.resume(["trainer.max_epochs=4"])
    curves = [read_curves(run.path / "metrics.csv") for run in (resumed, longer)]
    pd.testing.assert_frame_equal(*curves, check_exact=True)
    assert curves[0]["step"].max() == 15
    first, second = (load_checkpoint(run.last)["state_dict"] for run in (resumed, longer))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert resumed.metrics["test/mase"] == longer.metrics["test/mase"]
    assert resumed.info["seconds"] == resumed.metrics["fit/seconds"]
    again = adlx.open_run(resumed.path)
    assert again.config["trainer"]["max_epochs"] == 4  # so that a second resume has the same number of epochs
    assert load_checkpoint(again.last)["adlx"]["config"] == again.config


@pytest.mark.parametrize("loss", ["mae", "quantile"])
def test_a_model_without_parameters_keeps_the_statistics_of_its_checkpoint(small, loss):
    run = small("model=naive", f"loss={loss}")
    scores = {key: value for key, value in run.metrics.items() if key.startswith(("test/", "baseline/"))}
    resumed = run.resume(["trainer.max_epochs=4"])
    assert {key: resumed.metrics[key] for key in scores} == scores
    assert resumed.evaluate() == scores


def test_seconds_add_up_over_the_processes_of_a_run(copied):
    before = load_checkpoint(copied.last)["adlx"]["seconds"]
    resumed = copied.resume(["trainer.max_epochs=5"])
    after = load_checkpoint(resumed.last)["adlx"]["seconds"]
    assert 0 < before < after <= resumed.metrics["fit/seconds"]


@pytest.mark.parametrize(("word", "threads"), [("trainer.threads=auto", 1), ("trainer.threads=2", 2)])
def test_a_resumed_run_keeps_its_threads_unless_a_number_is_given(copied, word, threads):
    """`auto` does not choose again: another machine may have more cores, and another number rounds differently."""
    before = torch.get_num_threads()
    try:
        assert copied.resume(["trainer.max_epochs=5", word]).info["threads"] == threads
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def offline(monkeypatch) -> list[str]:
    requests: list[str] = []

    def fail():
        requests.append("yahoo")
        raise DownloadFailed("Yahoo cannot be reached; use data.source=csv")

    monkeypatch.setattr(crypto, "load_yahoo", fail)
    return requests


def test_auto_keeps_the_source_that_it_chose_in_training(small_words, tmp_path, offline, capsys):
    """Data that were simulated in training are simulated again, with the same rows, even if a download works now."""
    words = [word for word in small_words if not word.startswith(("data=", "data.path"))]
    run = adlx.train([*words, "data=crypto", "data.hours=400", f"output_dir={tmp_path}"])
    assert offline == ["yahoo"]
    assert run.config["data"]["source"] == "auto"
    assert (run.info["data"]["source"], run.info["data"]["simulated"]) == ("simulated", True)
    assert run.title == "nlinear on crypto (simulated)"
    scores = {key: value for key, value in run.metrics.items() if key.startswith(("test/", "baseline/"))}
    capsys.readouterr()
    evaluation = evaluate(run)
    assert evaluation.metrics == run.evaluate() == scores
    report_evaluation(evaluation)
    assert "\ndata: simulated\nevaluation: " in capsys.readouterr().out
    prediction = predict(run)
    report_prediction(prediction)
    forecast = prediction.product
    assert "\ndata: simulated\nfiles: " in capsys.readouterr().out
    resumed = run.resume(["trainer.max_epochs=3"])
    assert offline == ["yahoo"]  # no second request
    assert resumed.metrics["baseline/mase"] == scores["baseline/mase"]
    assert resumed.info["data"]["fingerprint"] == run.info["data"]["fingerprint"]

    with pytest.MonkeyPatch.context() as patch:  # the override asks for new data
        patch.setattr(crypto, "load_yahoo", lambda: crypto.simulate_crypto(500, 9))
        fresh = run.predict(["data.source=auto"])
    assert not np.array_equal(fresh.to_numpy(), forecast.to_numpy())


def fail_in_step(monkeypatch, call: int) -> None:
    original, calls = Forecast.batch_loss, [0]

    def fail(task, batch):
        calls[0] += task.training
        if task.training and calls[0] == call:
            raise OSError("the disk is gone")
        return original(task, batch)

    monkeypatch.setattr(Forecast, "batch_loss", fail)


def test_a_resume_that_failed_keeps_its_number_of_epochs(copied, longer, monkeypatch):
    with monkeypatch.context() as patch:
        fail_in_step(patch, call=3)
        with pytest.raises(OSError, match="the disk is gone"):
            copied.resume(["trainer.max_epochs=4"])
    again = adlx.open_run(copied.path)
    assert (again.status, load_checkpoint(again.last)["adlx"]["steps"]) == ("failed", 10)
    assert again.resume().metrics["test/mase"] == longer.metrics["test/mase"]
