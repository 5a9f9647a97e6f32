"""Every choice of model that compresses physical fields or carries them on in time, found by scanning, through every
verb."""

import numpy as np
import pytest
import torch
from demands import checkpoints_are_plain, equal_to_the_last_bit, evaluates_to_its_own_metrics, is_trainable, is_whole
from workshop import LONGER, Workshop, break_at, of_kind, of_task, parts_of, task_of, tiny_words

from adlx.api import Run
from adlx.data.fields.sources.well import read_well
from adlx.errors import UserError
from adlx.runs.predict import predict
from adlx.runs.trained import open_trained
from adlx.tasks.reconstruct_fields import ReconstructFields
from adlx.tasks.rollout import Rollout

AUTOENCODERS, FORECASTERS = of_task(ReconstructFields), of_task(Rollout)
pytestmark = pytest.mark.usefixtures("plain_films")


def test_the_scan_finds_the_models():
    assert set(AUTOENCODERS) >= {"sea_autoencoder"}
    assert set(FORECASTERS) >= {"sea", "persistence", "dmd"}


@pytest.fixture(scope="module", params=[*AUTOENCODERS, *FORECASTERS])
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def words(workshop: Workshop, plain_films):
    """The words of a tiny model; what it is built around is trained once."""
    parts: dict[type, Run] = {}

    def part(kind: type) -> str:
        if kind not in parts:
            (name, *_) = of_kind(kind)
            parts[kind] = workshop.train(tiny_words(name), data=workshop.fields)
        return str(parts[kind].path)

    def get(model: str) -> list[str]:
        return [*tiny_words(model), *(f"model.{name}={part(kind)}" for name, kind in parts_of(model).items())]

    return get


@pytest.fixture(scope="module")
def fitted(workshop: Workshop, words):
    """Each model's run, trained once."""
    runs = {}

    def get(model: str, epochs: int = 2):
        if (model, epochs) not in runs:
            try:
                runs[model, epochs] = workshop.train(words(model), epochs, workshop.fields)
            except UserError as error:
                if "pip install" not in str(error):
                    raise
                pytest.skip(str(error))
        return runs[model, epochs]

    return get


def test_fit(model, fitted):
    run = fitted(model)
    is_whole(run)
    checkpoints_are_plain(run)
    figures = {"reconstruction"} if model in AUTOENCODERS else {"rollout", "error_by_time"}
    curves = {"training_curves"} if is_trainable(run) else set()
    assert {path.stem for path in run.path.glob("figures/*")} == figures | curves
    name = "vrmse" if model in AUTOENCODERS else "rollout_vrmse"
    skill = 1 - run.metrics[f"test/{name}"] / run.metrics[f"baseline/{name}"]
    assert run.metrics["test/skill"] == pytest.approx(skill, abs=1e-12)


def test_eval(model, fitted):
    evaluates_to_its_own_metrics(fitted(model))


def test_resume(model, fitted, workshop):
    if not is_trainable(fitted(model)):
        pytest.skip("nothing to train")
    resumed = workshop.copy(fitted(model)).resume([f"trainer.max_epochs={LONGER}"])
    is_whole(resumed)
    equal_to_the_last_bit(resumed, fitted(model, LONGER))


def test_fit_again(model, fitted, words, workshop):
    run = fitted(model)
    equal_to_the_last_bit(workshop.train(words(model), data=workshop.fields), run)
    other = workshop.train([*words(model), "seed=1"], data=workshop.fields)
    first, second = (torch.load(each.best, weights_only=True)["state_dict"] for each in (run, other))
    differ = [name for name in first if not torch.equal(first[name], second[name])]
    assert bool(differ) == is_trainable(run)


# In mid-epoch, at the end of the epoch, and in the next one.
@pytest.mark.parametrize("call", [2, 4, 7])
def test_a_failed_step_is_taken_again(model, call, fitted, words, workshop, monkeypatch):
    if not is_trainable(fitted(model)):
        pytest.skip("nothing to train")
    task = task_of(model)
    known = words(model)
    with monkeypatch.context() as patch:
        break_at(patch, task, call)
        with pytest.raises(OSError, match="the disk is gone"):
            workshop.train(known, data=workshop.fields)
    equal_to_the_last_bit(workshop.failed(model).resume(), fitted(model))


def test_fine_tuning_starts_from_the_base(model, fitted, words, workshop):
    """With steps of next to nothing it also ends there."""
    base = fitted(model)
    if not is_trainable(base):
        pytest.skip("nothing to train")
    tuning = ["finetune=full", f"finetune.run={base.path}", "optimizer.lr=1e-12"]
    run = workshop.train([*tiny_words(model), *tuning], data=workshop.fields)
    evaluates_to_its_own_metrics(run)
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
    task = open_trained(fitted(name), [], "predict").task
    assert len(latents) == 8
    assert all(part.shape == (20, 2, task.model.latents) for part in latents.values())


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_rollout_is_blind_to_what_follows_its_seed_frames(name, fitted):
    trained = open_trained(fitted(name), [], "test")
    task, known = trained.task.eval(), trained.task.model.seed_frames
    (batch,) = trained.data.test_dataloader()
    fields = batch[0].clone()
    fields[:, known:] = torch.nan
    assert torch.equal(task.rollout_and_target((fields, *batch[1:]))[0], task.rollout_and_target(batch)[0])
