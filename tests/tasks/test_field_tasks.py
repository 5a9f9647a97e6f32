"""Whole runs on fields: scores, checkpoints, and that a rollout sees only its seed frames."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from waves import WINDOWS, WORDS, waves, write_waves

import adlx
from adlx.api import Run
from adlx.data.fields.sources.well import read_well, write_well
from adlx.metrics.field_errors import vrmse
from adlx.metrics.fields import FieldResult
from adlx.models.fields.interfaces import FieldForecaster
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.loggers import read_curves
from adlx.runs.predict import predict
from adlx.runs.trained import load_trained
from adlx.tasks.rollout import Rollout

pytestmark = pytest.mark.usefixtures("plain_films")
SMALL = [*WORDS, "data=well", *WINDOWS]
AUTOENCODER = ["model=sea_autoencoder", "model.patches=[2,4]", "model.dimension=4", "model.width=8", "model.heads=2"]
SEA = ["model=sea", "model.width=16", "model.heads=2", "model.ratio=2", "optimizer.lr=0.003"]
BEST = ("test/", "baseline/")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> str:
    """Four trajectories to train on, two to validate, two to test."""
    return write_waves(tmp_path_factory.mktemp("well") / "waves.hdf5")


@pytest.fixture(scope="module")
def train(file, plain_films, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    words = [*SMALL, f"data.path={file}", "data.split=[0.5,0.25,0.25]", f"output_dir={folder}"]
    return lambda *more: adlx.train([*words, *more])


@pytest.fixture(scope="module")
def autoencoder(train) -> Run:
    return train(*AUTOENCODER, "trainer.max_epochs=8", "optimizer.lr=0.01", "model.blocks=1")


@pytest.fixture(scope="module")
def sea(train, autoencoder) -> Run:
    """A run that tests must not change."""
    return train(*SEA, f"model.autoencoder={autoencoder.path}", "trainer.max_epochs=4", "model.dropout=0.1")


@pytest.fixture(scope="module")
def runs(train, sea, autoencoder) -> dict[str, Run]:
    dmd = train("model=dmd", "model.rank=6", "model.seed_frames=2")
    return {"sea": sea, "dmd": dmd, "persistence": train("model=persistence"), "sea_autoencoder": autoencoder}


def scores(run: Run) -> dict[str, float]:
    return {key: value for key, value in run.metrics.items() if key.startswith(BEST)}


def by_hand(predicted: np.ndarray, truth: np.ndarray) -> float:
    """VRMSE of one trajectory (T, cells, F), whose cells are all fluid."""
    error, variance = ((predicted - truth) ** 2).mean(axis=1), truth.var(axis=1)
    return float(np.sqrt(error.sum(axis=0) / variance.sum(axis=0)).mean())


def trajectories(run: Run) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Fields (T, cells, F), speed, and a mask of fluid cells, for each trajectory of the test part."""
    data = load_trained(run, [], "test").data
    return [(fields[0], parameters, ~bodies[0]) for fields, parameters, bodies, _ in data.test_dataloader()]


@pytest.mark.parametrize("name", ["sea", "dmd", "persistence"])
def test_scores_are_those_of_a_rollout_by_hand(name, runs):
    run = runs[name]
    model, known = load_trained(run, [], "test").task.eval().model, 2 if name == "dmd" else 1
    assert model.seed_frames == known
    rollout, onestep, frozen = [], [], []
    for fields, parameters, fluid in trajectories(run):
        truth = fields[known:, fluid].double().numpy()
        with torch.no_grad():
            predicted = model.rollout(fields[None, :known], len(truth), parameters)[0]
            steps = [model.rollout(fields[None, at : at + known], 1, parameters)[0, 0] for at in range(len(truth))]
        rollout.append(by_hand(predicted[:, fluid].double().numpy(), truth))
        onestep.append(by_hand(torch.stack(steps)[:, fluid].double().numpy(), truth))
        frozen.append(by_hand(fields[known - 1, fluid].double().numpy()[None], truth))
    metrics = run.metrics
    assert metrics["test/rollout_vrmse"] == pytest.approx(np.mean(rollout), rel=1e-5)
    assert metrics["test/onestep_vrmse"] == pytest.approx(np.mean(onestep), rel=1e-5, abs=1e-7)
    assert metrics["baseline/rollout_vrmse"] == pytest.approx(np.mean(frozen), rel=1e-5)
    assert metrics["test/skill"] == pytest.approx(1 - np.mean(rollout) / np.mean(frozen), abs=1e-5)
    result = FieldResult.load(run.path / "predictions.npz")
    assert result.start == known
    assert vrmse(result.error, result.variance).mean(axis=1) == pytest.approx(rollout, rel=1e-5)


def test_scores_of_the_autoencoder_follow_from_its_reconstructions(autoencoder):
    trained = load_trained(autoencoder, [], "test")
    mean = read_well(trained.config.plain["data"]["path"]).frames
    frames = np.concatenate([mean.read(index, 0, 20) for index in trained.data.indices["train"]])
    predicted, baseline = [], []
    for fields, _, fluid in trajectories(autoencoder):
        truth = fields[:, fluid].double().numpy()
        with torch.no_grad():
            back = trained.task.model(fields)[:, fluid].double().numpy()
        predicted.append(by_hand(back, truth))
        baseline.append(by_hand(frames.mean(axis=0, dtype=float)[None, fluid.numpy()], truth))
    assert autoencoder.metrics["test/vrmse"] == pytest.approx(np.mean(predicted), rel=1e-5)
    assert autoencoder.metrics["baseline/vrmse"] == pytest.approx(np.mean(baseline), rel=1e-5)
    state, moments = load_checkpoint(autoencoder.best)["state_dict"], trained.data.moments()
    for name, expected in zip(("mean", "std"), moments, strict=True):
        np.testing.assert_allclose(state[f"model.{name}"], expected, rtol=1e-6)
    assert {path.stem for path in autoencoder.path.glob("figures/*")} == {"reconstruction", "training_curves"}


@pytest.mark.parametrize("name", ["sea", "dmd", "persistence", "sea_autoencoder"])
def test_an_evaluation_gives_exactly_the_same_scores(name, runs):
    assert runs[name].evaluate() == scores(runs[name])


def test_trained_models_are_better_than_persistence(runs):
    assert runs["persistence"].metrics["test/skill"] == pytest.approx(0, abs=1e-9)
    assert runs["dmd"].metrics["test/onestep_vrmse"] < 0.2  # waves of several speeds and one linear map
    assert runs["sea_autoencoder"].metrics["test/skill"] > 0.15
    assert math.isfinite(runs["sea"].metrics["test/rollout_vrmse"])


@pytest.mark.parametrize("name", ["sea", "dmd", "persistence"])
def test_a_rollout_cannot_see_its_target(name, runs):
    trained = load_trained(runs[name], [], "test")
    task, known = trained.task.eval(), trained.task.model.seed_frames
    for batch in trained.data.test_dataloader():
        fields = batch[0].clone()
        fields[:, known:] = torch.nan
        seeing, truth = task.rollout_and_target(batch)
        blind, _ = task.rollout_and_target((fields, *batch[1:]))
        assert torch.equal(seeing, blind)
        assert truth.shape == blind.shape


def test_the_best_checkpoint_has_the_lowest_rollout_error(sea):
    curves = read_curves(sea.path / "metrics.csv").dropna(subset="val/rollout_vrmse")
    assert len(curves) == 4
    best = curves.loc[curves["val/rollout_vrmse"].idxmin()]
    checkpoint = load_checkpoint(sea.best)
    assert checkpoint["adlx"]["steps"] == best["step"] + 1
    trained = load_trained(sea, [], "test")
    errors = []
    for fields, parameters, bodies, _ in trained.data.val_dataloader():
        fluid = ~bodies[0]
        predicted = trained.task.eval().model.rollout(fields[:, :1], 19, parameters)[0]
        errors.append(by_hand(predicted[:, fluid].detach().double().numpy(), fields[0, 1:, fluid].double().numpy()))
    assert best["val/rollout_vrmse"] == pytest.approx(np.mean(errors), rel=1e-5)


# The autoencoder inside of the model


def test_a_run_works_after_its_autoencoder_is_moved(train, file, tmp_path):
    first = train(*AUTOENCODER, "trainer.max_epochs=1")
    words = [*SEA, f"model.autoencoder={first.path}"]
    run, longer = (train(*words, f"trainer.max_epochs={epochs}") for epochs in (2, 3))
    state, own = (load_checkpoint(each.best)["state_dict"] for each in (run, first))
    for name, value in own.items():
        if name.startswith("model."):
            assert torch.equal(state[name.replace("model.", "model.autoencoder.", 1)], value)
    shutil.move(first.path, tmp_path / "elsewhere")
    assert run.evaluate() == scores(run)
    assert run.predict(["predict.steps=3"]).shape == (2, 3, 128, 3)
    run.resume(["trainer.max_epochs=3"])
    assert scores(run) == scores(longer)
    tuned = train(*SEA, "finetune=full", f"finetune.run={run.path}", "trainer.max_epochs=1", "optimizer.lr=1e-12")
    assert tuned.metrics["test/rollout_vrmse"] == pytest.approx(run.metrics["test/rollout_vrmse"], rel=1e-3)


def test_prepared_frames_are_the_encoded_fields(sea):
    trained = load_trained(sea, [], "test")
    task = trained.task.eval()
    lean = list(trained.data.train_dataloader())
    trained.data.load_fields = True
    for batch, (fields, parameters, _, where) in zip(lean, trained.data.train_dataloader(), strict=True):
        assert batch[0].numel() == 0
        assert torch.equal(batch[3], where)
        direct = task.model.loss(fields, parameters)
        torch.testing.assert_close(task.batch_loss(batch), direct, rtol=1e-5, atol=1e-7)
        for row, (index, start) in zip(task.model.encode(fields), where.tolist(), strict=True):
            torch.testing.assert_close(task.prepared_frames[index][start : start + 6], row, rtol=1e-4, atol=1e-5)
    assert set(task.prepared_frames) == set(trained.data.indices["train"].tolist())


def test_the_same_seed_repeats_the_scores_and_another_does_not(train, sea, autoencoder):
    words = [*SEA, f"model.autoencoder={autoencoder.path}", "trainer.max_epochs=4", "model.dropout=0.1"]
    assert scores(train(*words)) == scores(sea)
    assert scores(train(*words, "seed=1")) != scores(sea)


@pytest.mark.parametrize("name", ["noise=0.1", "pushforward=2"])
def test_noise_and_pushforward_resume_exactly(name, train, autoencoder):
    words = [*SEA, f"model.autoencoder={autoencoder.path}", f"model.{name}", "data.repeat=2"]
    run, longer = (train(*words, f"trainer.max_epochs={epochs}") for epochs in (1, 2))
    run.resume(["trainer.max_epochs=2"])
    first, second = (load_checkpoint(each.last)["state_dict"] for each in (run, longer))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert scores(run) == scores(longer)


# Products


@pytest.mark.parametrize("name", ["sea", "dmd", "persistence"])
def test_predict_writes_rollouts_that_can_be_read(name, runs):
    prediction = predict(runs[name], ["predict.steps=30"])  # longer than the data
    predicted = read_well(prediction.path / "rollout.hdf5")
    assert prediction.product.shape == (2, 30, 128, 3)
    indices = load_trained(runs[name], [], "test").data.indices["test"]
    for index, values in enumerate(prediction.product):
        assert np.array_equal(predicted.frames.read(index, 0, 30), values)
    assert np.array_equal(predicted.parameters, waves().parameters[indices])
    known = 2 if name == "dmd" else 1
    assert predicted.time[:2].tolist() == [0.5 * known, 0.5 * (known + 1)]
    for row, (fields, parameters, _) in enumerate(trajectories(runs[name])):
        model = load_trained(runs[name], [], "predict").task.eval().model
        again = model.rollout(fields[None, :known], 30, parameters)[0].detach().numpy()
        np.testing.assert_allclose(prediction.product[row], again, rtol=1e-4, atol=1e-5)
    with Image.open(prediction.path / "rollout.gif") as film:
        assert film.n_frames == 30
    short = predict(runs[name], ["predict.part=train"]).product
    assert short.shape == (4, 20 - known, 128, 3)


def test_predict_writes_latents(autoencoder):
    prediction = predict(autoencoder)
    with np.load(prediction.path / "latents.npz") as stored:
        assert sorted(stored.files) == [f"trajectory_{index}" for index in range(8)]
        predicted = stored["trajectory_3"]
    assert predicted.shape == (20, 2, 2 * 4 * 4)
    model = load_trained(autoencoder, [], "predict").task.eval().model
    with torch.no_grad():
        latents = model.encode(torch.from_numpy(waves().frames.read(3, 0, 20)))
    np.testing.assert_allclose(predicted, latents.numpy(), rtol=1e-4, atol=1e-5)


def test_a_rollout_has_a_film_and_figures(sea):
    figures = {path.name for path in Path(sea.path / "figures").iterdir()}
    assert figures == {"rollout.png", "error_by_time.png", "rollout.gif", "training_curves.png"}
    with Image.open(sea.path / "figures" / "rollout.gif") as film:
        assert film.n_frames == 19


def test_the_divergence_uses_the_coordinates_of_the_data(runs, tmp_path):
    given = waves()
    wide = replace(given, coordinates=given.coordinates * [4.0, 4.0])
    write_well(tmp_path / "wide.hdf5", wide, "waves")
    predicted = runs["dmd"].evaluate([f"data.path={tmp_path / 'wide.hdf5'}"])
    for key in ("test/divergence", "baseline/divergence"):
        assert predicted[key] == pytest.approx(runs["dmd"].metrics[key] / 4, rel=1e-5)


def test_prepared_frames_are_not_stored_in_checkpoints(sea):
    keys = load_checkpoint(sea.best)["state_dict"].keys()
    assert keys == {f"model.{name}" for name in load_trained(sea, [], "test").task.model.state_dict()}
    assert isinstance(load_trained(sea, [], "test").task, Rollout)
    assert issubclass(type(load_trained(sea, [], "test").task.model), FieldForecaster)
