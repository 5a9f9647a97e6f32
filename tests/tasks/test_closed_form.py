"""Whole runs of extreme learning machines: solutions, interruptions, several processes, precisions and errors."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
from sklearn.linear_model import Ridge

import adlx
from adlx.api import Run
from adlx.data.images.labelled import as_input
from adlx.data.images.sources.code_maps import write_code_maps
from adlx.data.images.sources.samples import Samples
from adlx.errors import UserError
from adlx.models.classification.elm import ELM
from adlx.runs.checkpoints import Checkpoint, load_checkpoint
from adlx.runs.interruption import Interrupted
from adlx.runs.loggers import read_curves
from adlx.runs.trained import Trained, load_trained
from adlx.tasks import accumulate
from adlx.tasks.closed_form import ClosedForm
from adlx.tasks.readouts import Sums, penalty_grid, solve_readout

TRAIN, VAL, TEST = 241, 31, 29
CODES, CLASSES, HIDDEN = 9, ("a", "b", "c"), 30
SMALL = [
    *("model=elm", f"model.hidden={HIDDEN}", "data=codes", "data.batch_size=50", "logger=none"),
    *("trainer.accelerator=cpu", "trainer.threads=1", "trainer.enable_progress_bar=false"),
]
READOUTS = "model.readout=[none,ridge,lasso,elasticnet]"


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """Code maps with a fixed split, where two cells often contain the class."""
    rng = np.random.default_rng(0)
    labels = rng.choice(3, TRAIN + VAL + TEST, p=(0.5, 0.3, 0.2))
    values = rng.integers(0, CODES, (len(labels), 4, 5))
    for cell in ((1, 1), (2, 3)):
        values[:, *cell] = np.where(rng.random(len(labels)) < 0.6, labels, values[:, *cell])
    parts = rng.permutation(np.repeat([0, 1, 2], (TRAIN, VAL, TEST))).astype(np.int8)
    codebook = rng.normal(size=(CODES, 3)).astype(np.float32)
    path = tmp_path_factory.mktemp("maps") / "codes.npz"
    write_code_maps(path, Samples(values, labels, CLASSES, "codes", "made up", parts=parts, codebook=codebook))
    return path


@pytest.fixture
def train(table, tmp_path, unpainted):
    return lambda *words: adlx.train([*SMALL, f"data.path={table}", f"output_dir={tmp_path / 'outputs'}", *words])


def hidden_and_targets(trained: Trained, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    data, model = trained.data, trained.task.model
    indices = data.indices[part]
    with torch.no_grad():
        hidden = model.features(as_input(torch.from_numpy(data.loaded.values[indices])))
    return hidden.double().numpy(), np.eye(len(model.spec.classes))[data.loaded.labels[indices]]


def beta_of(run: Run) -> np.ndarray:
    return load_checkpoint(run.best)["state_dict"]["model.beta"].double().numpy()


def relative(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


# Solutions


@pytest.mark.parametrize(
    "words",
    [
        *(["data.batch_size=7"], ["data.batch_size=100"], ["data.batch_size=1000"]),
        ["model.input=onehot", "model.weights=binary", "model.field=null"],
        ["trainer.precision=64-true", "task.alpha=1e-3"],
        ["trainer.precision=bf16-mixed"],
        ["data=faces", "data.count=90", "~data.path"],
    ],
)
def test_the_readout_is_that_of_scikit_learn(train, words, monkeypatch):
    monkeypatch.setattr(accumulate, "ROWS", 64)
    run = train("task.alpha=5", *words)
    trained = load_trained(run, [], "test")
    hidden, target = hidden_and_targets(trained)
    expected = Ridge(trained.task.alpha, fit_intercept=False, solver="svd").fit(hidden, target).coef_.T
    assert relative(beta_of(run)[0], expected) < 1e-4
    assert run.metrics["model/alpha/ridge"] == trained.task.alpha
    assert run.metrics["model/nonzeros"] == expected.size
    scores = hidden_and_targets(trained, "test")[0] @ expected
    with np.load(run.path / "predictions.npz") as stored:
        np.testing.assert_allclose(stored["scores"], scores, rtol=0, atol=1e-4)
        assert run.metrics["test/accuracy"] == (scores.argmax(axis=1) == stored["label"]).mean()
    curves = read_curves(run.path / "metrics.csv")
    assert curves["val/loss"].dropna().size == 1
    assert curves["step"].max() == -(-len(target) // trained.data.batch_size) - 1


def test_the_strength_with_the_lowest_validation_error_is_selected(train):
    run = train("model.readout=[ridge,lasso]")
    trained = load_trained(run, [], "test")
    hidden, target = hidden_and_targets(trained)
    unseen, truth = hidden_and_targets(trained, "val")
    sums = Sums(hidden.T @ hidden, hidden.T @ target, target.sum(axis=0), TRAIN)
    errors = {}
    for row, readout in enumerate(("ridge", "lasso")):
        solutions = list(solve_readout(sums, readout, penalty_grid(sums, readout, 0.5), 0.5))
        each = [((unseen @ solution.beta - truth) ** 2).mean() for solution in solutions]
        best = solutions[int(np.argmin(each))]
        errors[readout] = min(each)
        assert run.metrics[f"model/alpha/{readout}"] == pytest.approx(best.alpha, rel=1e-5)
        assert run.metrics[f"model/nonzeros/{readout}"] == np.count_nonzero(best.beta)
        np.testing.assert_allclose(unseen @ beta_of(run)[row], unseen @ best.beta, rtol=0, atol=1e-3)
    curves = read_curves(run.path / "metrics.csv").iloc[-1]
    assert curves["val/loss"] == pytest.approx(min(errors.values()), rel=1e-3)
    chosen = int(np.argmin(list(errors.values())))
    assert int(load_checkpoint(run.best)["state_dict"]["model.chosen"]) == chosen
    right = ((unseen @ beta_of(run)[chosen]).argmax(axis=1) == truth.argmax(axis=1)).mean()
    assert curves["val/accuracy"] == pytest.approx(right, rel=1e-6)


def test_several_readouts_equal_those_of_single_runs(train):
    words = ("task.alpha=0.01", "task.l1_ratio=0.3")
    together = train(READOUTS, *words)
    state = load_checkpoint(together.best)["state_dict"]
    losses = []
    for row, readout in enumerate(("none", "ridge", "lasso", "elasticnet")):
        single = train(f"model.readout={readout}", *words)
        assert torch.equal(load_checkpoint(single.best)["state_dict"]["model.beta"][0], state["model.beta"][row])
        for score in ("test/accuracy", "test/balanced_accuracy", "test/f1_macro"):
            assert single.metrics[score] == together.metrics[f"{score}/{readout}"]
        count = int(state["model.beta"][row].count_nonzero())
        assert single.metrics["model/nonzeros"] == together.metrics[f"model/nonzeros/{readout}"] == count
        assert together.metrics[f"model/alpha/{readout}"] == (0.01 if row else 0)
        losses.append(read_curves(single.path / "metrics.csv")["val/loss"].iloc[-1])
    chosen = int(state["model.chosen"])
    assert chosen == int(np.argmin(losses))
    assert together.metrics["model/nonzeros"] == int(state["model.beta"][chosen].count_nonzero())
    assert 0 < together.metrics["model/nonzeros/lasso"] < HIDDEN * 3


# Interruptions


@pytest.fixture
def stop(train, monkeypatch, tmp_path):
    """Trains a run without and with a replaced method of `kind`; after a resume, the second run equals the first."""
    monkeypatch.setattr(accumulate, "ROWS", 64)

    def stop(kind, name, instead, error, status, *words) -> dict:
        whole = train(READOUTS)
        with monkeypatch.context() as patch, pytest.raises(error):
            patch.setattr(kind, name, instead(getattr(kind, name)))
            train(READOUTS, *words)
        runs = map(adlx.open_run, (tmp_path / "outputs" / "elm-codes").iterdir())
        run = next(run for run in runs if run.status == status)
        state = load_checkpoint(run.last)["adlx"] if run.last.exists() else {}
        run.resume()
        resumed, expected = (load_checkpoint(each.last)["state_dict"] for each in (run, whole))
        assert resumed["alphas"].tolist() == expected["alphas"].tolist()
        assert run.best.is_file() and all(torch.equal(resumed[key], expected[key]) for key in expected)
        scores = [{k: v for k, v in each.metrics.items() if not k.startswith("fit/")} for each in (run, whole)]
        assert scores[0] == scores[1]
        return state

    return stop


def failing(call: int):
    """A replacement for a method that fails in one call."""

    def instead(original):
        calls = iter(range(1, 1000))

        def fail(self, *arguments):
            if next(calls) == call:
                raise OSError("the disk is gone")
            return original(self, *arguments)

        return fail

    return instead


@pytest.mark.parametrize(
    ("kind", "name", "call"),
    [
        *((ClosedForm, "training_step", step) for step in (1, 3, 5)),
        *((ELM, "features", 2), (ClosedForm, "fit_readouts", 1), (ClosedForm, "validation_step", 1)),
    ],
)
def test_a_resumed_run_repeats_the_failed_step(stop, kind, name, call):
    stop(kind, name, failing(call), OSError, "failed")


def test_a_killed_run_repeats_the_steps_after_its_last_checkpoint(stop, monkeypatch):
    monkeypatch.setattr(Checkpoint, "on_exception", lambda *_: None)
    words = ["callbacks.checkpoint.every_n_train_steps=3"]
    state = stop(ClosedForm, "training_step", failing(5), OSError, "failed", *words)
    assert state["steps"] == 3
    assert [len(label) for _, label in state["pass"]["waiting"]] == [50]  # the other 100 are in the sums


def test_a_signal_during_the_solution_stops_the_run(stop):
    def instead(original):
        return lambda self: os.kill(os.getpid(), signal.SIGINT) or original(self)

    stop(ClosedForm, "fit_readouts", instead, Interrupted, "interrupted")


# Several processes


@pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="torch without gloo"
)
def test_two_processes_give_the_result_of_one(train, table, tmp_path):
    """With 241 and 31 samples in batches of 15, the last batch of the second process has only repeated samples."""
    words = [*SMALL, f"data.path={table}", "data.batch_size=15", "model.readout=[ridge,lasso]"]
    words.append("trainer.precision=64-true")  # so that the order of the sums does not matter
    one = train(*words)
    ddp = ["trainer.devices=2", "trainer.strategy=ddp", f"output_dir={tmp_path / 'two'}"]
    hidden = ("ADLX_RUN_FOLDER", "LOCAL_RANK", "NODE_RANK", "PYTEST")
    command = [str(Path(sys.executable).with_name("adlx")), "train", *words, *ddp]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    ended = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    (two,) = map(adlx.open_run, (tmp_path / "two" / "elm-codes").iterdir())
    assert [load_checkpoint(run.last)["adlx"]["steps"] for run in (one, two)] == [17, 9]
    assert relative(beta_of(two), beta_of(one)) < 1e-6
    same = {key for key in one.metrics if key.startswith(("test/", "model/nonzeros"))}
    assert {key: two.metrics[key] for key in same} == {key: one.metrics[key] for key in same}
    for name in ("ridge", "lasso"):
        assert two.metrics[f"model/alpha/{name}"] == pytest.approx(one.metrics[f"model/alpha/{name}"], rel=1e-9)
    curves = [read_curves(run.path / "metrics.csv").iloc[-1][["val/loss", "val/accuracy"]] for run in (one, two)]
    assert curves[1].tolist() == pytest.approx(curves[0].tolist(), rel=1e-6)


# Precision and errors


def test_half_precision_does_not_change_the_sums(train):
    """Nor the validation errors, by which a penalty strength is chosen."""
    full, mixed = train(READOUTS), train(READOUTS, "trainer.precision=bf16-mixed")
    states = [load_checkpoint(run.best)["state_dict"] for run in (full, mixed)]
    assert states[0]["alphas"].tolist() == states[1]["alphas"].tolist()
    assert torch.equal(states[0]["model.beta"], states[1]["model.beta"])
    curves = [read_curves(run.path / "metrics.csv")["val/loss"].tolist() for run in (full, mixed)]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "64-true"])
def test_an_evaluation_gives_the_same_scores(train, precision):
    run = train(f"trainer.precision={precision}", READOUTS)
    assert run.evaluate() == {key: run.metrics[key] for key in run.metrics if key.startswith(("test/", "baseline/"))}
    (again,) = run.path.glob("evaluations/*/predictions.npz")
    scores = [np.load(path)["scores"] for path in (run.path / "predictions.npz", again)]
    assert np.array_equal(*scores)


def test_a_validation_before_the_readout_exists_changes_nothing(train):
    runs = [train("task.alpha=0.5", *words) for words in ([], ["trainer.num_sanity_val_steps=1"])]
    assert np.array_equal(*map(beta_of, runs))


def test_errors_are_reported_in_one_line(train, tmp_path):
    first = f"finetune.run={train().path}"
    cases = {
        ("loss=mae",): "loss: a closed-form readout minimizes the mean squared error and needs loss=mse, not L1Loss",
        (
            "finetune=full",
            first,
        ): "finetune: ELM has a closed-form solution and cannot start from another run: leave finetune out",
        ("model.field=9",): "model.field=9: must be from 1 to 4, or null for the whole input",
    }
    for words, message in cases.items():
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            train(*words)
    assert len(list((tmp_path / "outputs").rglob("run.json"))) == 1  # nothing was written


REFUSED = ["precision=bf16-true", "precision=16-true", "accumulate_grad_batches=2"]
REFUSED += ["val_check_interval=2", "check_val_every_n_epoch=2"]  # the readout does not exist yet


@pytest.mark.parametrize("word", REFUSED)
def test_settings_that_make_no_sense_for_a_closed_form_are_refused(train, word):
    with pytest.raises(UserError, match=rf"^[^\n]*trainer\.{word.split('=')[0]}[^\n]*$"):
        train(f"trainer.{word}")
