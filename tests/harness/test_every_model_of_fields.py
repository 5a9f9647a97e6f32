"""Fit, resume, eval, predict and fine-tuning of every autoencoder and forecaster of physical fields in the configs."""

import numpy as np
import pytest
import torch
from requirements_of_runs import (
    check_checkpoints,
    check_evaluation_repeats,
    check_finished,
    check_runs_are_equal,
    is_trainable,
)
from tiny_models import LONGER, TinyRuns, fail_at, models_of_kind, models_of_task, parts_of, task_of, tiny_words

from adlx.api import Run
from adlx.data.fields.sources.well import read_well
from adlx.errors import UserError
from adlx.runs.predict import predict
from adlx.runs.trained import load_trained
from adlx.tasks.reconstruct_fields import ReconstructFields
from adlx.tasks.rollout import Rollout

AUTOENCODERS, FORECASTERS = models_of_task(ReconstructFields), models_of_task(Rollout)
pytestmark = pytest.mark.usefixtures("plain_films")


def test_the_scan_finds_the_models():
    assert set(AUTOENCODERS) >= {"sea_autoencoder"}
    assert set(FORECASTERS) >= {"sea", "persistence", "dmd"}


@pytest.fixture(scope="module", params=[*AUTOENCODERS, *FORECASTERS])
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def words(tiny_runs: TinyRuns, plain_films):
    """Returns the overrides of a tiny model; the autoencoder that it needs is trained once."""
    parts: dict[type, Run] = {}

    def part(kind: type) -> str:
        if kind not in parts:
            (name, *_) = models_of_kind(kind)
            parts[kind] = tiny_runs.train(tiny_words(name), data=tiny_runs.fields)
        return str(parts[kind].path)

    def get(model: str) -> list[str]:
        return [*tiny_words(model), *(f"model.{name}={part(kind)}" for name, kind in parts_of(model).items())]

    return get


@pytest.fixture(scope="module")
def fitted(tiny_runs: TinyRuns, words):
    """Trains a tiny run of a model; each run is trained once."""
    runs = {}

    def get(model: str, epochs: int = 2):
        if (model, epochs) not in runs:
            try:
                runs[model, epochs] = tiny_runs.train(words(model), epochs, tiny_runs.fields)
            except UserError as error:
                if "pip install" not in str(error):
                    raise
                pytest.skip(str(error))
        return runs[model, epochs]

    return get


def test_fit(model, fitted):
    run = fitted(model)
    check_finished(run)
    check_checkpoints(run)
    figures = {"reconstruction"} if model in AUTOENCODERS else {"rollout", "error_by_time"}
    curves = {"training_curves"} if is_trainable(run) else set()
    assert {path.stem for path in run.path.glob("figures/*")} == figures | curves
    name = "vrmse" if model in AUTOENCODERS else "rollout_vrmse"
    skill = 1 - run.metrics[f"test/{name}"] / run.metrics[f"baseline/{name}"]
    assert run.metrics["test/skill"] == pytest.approx(skill, abs=1e-12)


def test_eval(model, fitted):
    check_evaluation_repeats(fitted(model))


def test_resume(model, fitted, tiny_runs):
    if not is_trainable(fitted(model)):
        pytest.skip("nothing to train")
    resumed = tiny_runs.copy(fitted(model)).resume([f"trainer.max_epochs={LONGER}"])
    check_finished(resumed)
    check_runs_are_equal(resumed, fitted(model, LONGER))


def test_fit_again(model, fitted, words, tiny_runs):
    run = fitted(model)
    check_runs_are_equal(tiny_runs.train(words(model), data=tiny_runs.fields), run)
    other = tiny_runs.train([*words(model), "seed=1"], data=tiny_runs.fields)
    first, second = (torch.load(each.best, weights_only=True)["state_dict"] for each in (run, other))
    differ = [name for name in first if not torch.equal(first[name], second[name])]
    assert bool(differ) == is_trainable(run)


# A step in the middle of the first epoch, at its end, and in the second epoch.
@pytest.mark.parametrize("call", [2, 4, 7])
def test_a_resumed_run_repeats_the_failed_step(model, call, fitted, words, tiny_runs, monkeypatch):
    if not is_trainable(fitted(model)):
        pytest.skip("nothing to train")
    task = task_of(model)
    overrides = words(model)
    with monkeypatch.context() as patch:
        fail_at(patch, task, call)
        with pytest.raises(OSError, match="the disk is gone"):
            tiny_runs.train(overrides, data=tiny_runs.fields)
    check_runs_are_equal(tiny_runs.failed(model).resume(), fitted(model))


def test_fine_tuning_starts_from_the_base(model, fitted, words, tiny_runs):
    """With a very small learning rate, the weights stay those of the base."""
    base = fitted(model)
    if not is_trainable(base):
        pytest.skip("nothing to train")
    tuning = ["finetune=full", f"finetune.run={base.path}", "optimizer.lr=1e-12"]
    run = tiny_runs.train([*tiny_words(model), *tuning], data=tiny_runs.fields)
    check_evaluation_repeats(run)
    first, second = (torch.load(each.best, weights_only=True)["state_dict"] for each in (base, run))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", FORECASTERS)
def test_predict_rollouts(name, fitted):
    prediction = predict(fitted(name), ["predict.steps=5"])
    assert prediction.product.shape == (1, 5, 128, 3)
    assert np.isfinite(prediction.product).all()
    written = read_well(prediction.path / "rollout.hdf5")
    assert np.array_equal(written.frames.read(0, 0, 5), prediction.product[0])


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_predict_latents(name, fitted):
    latents = predict(fitted(name)).product
    task = load_trained(fitted(name), [], "predict").task
    assert len(latents) == 8
    assert all(part.shape == (20, 2, task.model.latents) for part in latents.values())


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_rollout_uses_only_its_seed_frames(name, fitted):
    trained = load_trained(fitted(name), [], "test")
    task, seed_frames = trained.task.eval(), trained.task.model.seed_frames
    (batch,) = trained.data.test_dataloader()
    fields = batch[0].clone()
    fields[:, seed_frames:] = torch.nan
    assert torch.equal(task.rollout_and_target((fields, *batch[1:]))[0], task.rollout_and_target(batch)[0])
