"""Special runs on fields: fine-tuned, in other precisions, without a grid, with `threads=auto`, and invalid ones."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from user_errors import user_error_of
from waves import WINDOWS, WORDS, write_waves

import adlx
from adlx.api import Run
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.trained import load_trained

pytestmark = pytest.mark.usefixtures("plain_films")
AUTOENCODER = ["model=sea_autoencoder", "model.patches=[2,4]", "model.dimension=4", "model.width=8", "model.heads=2"]
AUTOENCODER += ["model.blocks=1", "optimizer.lr=0.01"]
SEA = ["model=sea", "model.width=16", "model.heads=2", "model.ratio=2", "optimizer.lr=0.003"]
ONCE = ["trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def folder(plain_films, tmp_path_factory):
    return tmp_path_factory.mktemp("fields")


@pytest.fixture(scope="module")
def files(folder) -> dict[str, str]:
    """Slow waves, fast waves, waves without a grid, waves on another grid, and a file with few short trajectories."""
    return {
        "slow": write_waves(folder / "slow.hdf5"),
        "fast": write_waves(folder / "fast.hdf5", speeds=(0.6, 0.9), seed=1),
        "free": write_waves(folder / "free.hdf5", grid=None),
        "turned": write_waves(folder / "turned.hdf5", grid=(16, 8)),
        "single": write_waves(folder / "single.hdf5", count=3, steps=5),
    }


@pytest.fixture(scope="module")
def train(files, folder):
    words = [*WORDS, "data=well", *WINDOWS, f"output_dir={folder}"]
    return lambda name, *more: adlx.train([*words, f"data.path={files[name]}", *more])


@pytest.fixture(scope="module")
def autoencoder(train) -> Run:
    return train("slow", *AUTOENCODER, "trainer.max_epochs=4")


@pytest.fixture(scope="module")
def around(autoencoder) -> list[str]:
    return [*SEA, f"model.autoencoder={autoencoder.path}"]


@pytest.fixture(scope="module")
def sea(train, around) -> Run:
    return train("slow", *around, "trainer.max_epochs=2")


def scores(run: Run) -> dict[str, float]:
    return {key: value for key, value in run.metrics.items() if key.startswith(("test/", "baseline/"))}


# Fine-tuning


def test_lora_from_slow_waves_to_fast_ones(train, sea):
    run = train("fast", *SEA, "finetune=lora", f"finetune.run={sea.path}", "finetune.rank=2", *ONCE)
    assert run.evaluate() == scores(run)
    checkpoint = load_checkpoint(run.best)["state_dict"]
    updates = {name for name in checkpoint if name.endswith(("lora_A", "lora_B"))}
    assert updates
    assert not any("autoencoder" in name for name in updates)  # it is frozen
    model, base = (load_trained(each, [], "test").task.model.state_dict() for each in (run, sea))
    for name, value in base.items():
        if name.startswith("autoencoder."):
            assert torch.equal(model[name], value)
    assert any(not torch.equal(model[name], value) for name, value in base.items())
    assert run.metrics["model/trainable_parameters"] < 0.5 * sea.metrics["model/trainable_parameters"]
    longer = train("fast", *SEA, "finetune=lora", f"finetune.run={sea.path}", "finetune.rank=2", "trainer.max_epochs=2")
    run.resume(["trainer.max_epochs=2"])
    assert scores(run) == scores(longer)
    assert run.predict(["predict.steps=2"]).shape == (1, 2, 128, 3)


def test_full_fine_tuning_from_slow_waves_to_fast_ones(train, sea):
    words = [*SEA, "finetune=full", f"finetune.run={sea.path}"]
    run = train("fast", *words, *ONCE)
    assert run.evaluate() == scores(run)
    scratch = train("fast", *SEA, f"model.autoencoder={sea.config['model']['autoencoder']['run']}", *ONCE)
    assert scores(run) != scores(scratch)
    same = train("slow", *words, "optimizer.lr=1e-12", *ONCE)
    assert same.metrics["test/rollout_vrmse"] == pytest.approx(sea.metrics["test/rollout_vrmse"], rel=1e-4)
    assert run.metrics["model/trainable_parameters"] == sea.metrics["model/trainable_parameters"]


def test_a_fine_tuned_autoencoder_can_be_a_part(train, autoencoder):
    tuning = [f"finetune.run={autoencoder.path}", "optimizer.lr=0.01", *ONCE]
    for kind in ("lora", "full"):
        tuned = train("fast", *AUTOENCODER, f"finetune={kind}", *tuning)
        run = train("fast", *SEA, f"model.autoencoder={tuned.path}", *ONCE)
        assert run.evaluate() == scores(run)
        own = load_trained(tuned, [], "test").task.model.state_dict()
        stored = load_checkpoint(run.best)["state_dict"]
        assert all(torch.equal(stored[f"model.autoencoder.{name}"], value) for name, value in own.items())


def test_a_fine_tuned_model_has_the_autoencoder_of_its_base(train, sea, autoencoder):
    other = train("slow", *AUTOENCODER, *ONCE)
    words = [*SEA, "finetune=full", f"finetune.run={sea.path}", *ONCE]
    message = user_error_of(train, "fast", *words, f"model.autoencoder={other.path}")
    assert message == (
        f"model.autoencoder={other.path} is not the run that {sea.path} contains: leave model.autoencoder out"
    )
    same = train("fast", *words, f"model.autoencoder={autoencoder.path}")
    assert scores(same) == scores(train("fast", *words))
    message = user_error_of(train, "free", *words)
    line = "was trained on other data: grid is (8, 16) there and None here"
    assert message == f"model.autoencoder of finetune.run={sea.path} {line}"


# Other settings


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true", "bf16-true"])
def test_runs_in_other_precisions_evaluate_to_the_same_scores(precision, train, around):
    words = [f"trainer.precision={precision}", *ONCE]
    for run in (train("slow", *around, *words), train("slow", *AUTOENCODER, *words)):
        assert all(math.isfinite(value) for value in run.metrics.values())
        assert run.evaluate() == scores(run)
    run = train("slow", *around, *words)
    longer = train("slow", *around, *words, "trainer.max_epochs=2")
    run.resume(["trainer.max_epochs=2"])
    assert scores(run) == scores(longer)
    assert np.isfinite(run.predict(["predict.steps=2"])).all()


@pytest.mark.parametrize("model", ["sea", "sea_autoencoder", "dmd"])
def test_the_chosen_number_of_threads_gives_the_same_scores(model, train, around, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    words = {"sea": around, "sea_autoencoder": AUTOENCODER, "dmd": ["model=dmd", "model.rank=4"]}[model]
    run = train("slow", *words, *ONCE, "trainer.threads=auto")
    assert run.info["threads"] in (1, 2)
    pinned = train("slow", *words, *ONCE, f"trainer.threads={run.info['threads']}")
    assert scores(pinned) == scores(run)


def test_fields_without_a_grid_have_no_divergence(train):
    first = train("free", *AUTOENCODER, *ONCE)
    run = train("free", *SEA, f"model.autoencoder={first.path}", *ONCE)
    assert run.evaluate() == scores(run)
    assert "test/divergence" not in run.metrics
    assert run.predict(["predict.steps=2"]).shape == (1, 2, 128, 3)


def test_other_trajectories_can_be_scored_and_predicted(sea, files):
    evaluated = sea.evaluate([f"data.path={files['fast']}"])
    assert math.isfinite(evaluated["test/rollout_vrmse"])
    assert evaluated != scores(sea)
    short = sea.evaluate([f"data.path={files['single']}", "data.horizon=5"])  # fewer steps than a training window has
    assert math.isfinite(short["test/rollout_vrmse"])
    message = user_error_of(sea.evaluate, [f"data.path={files['turned']}"])
    assert message.startswith("the run was trained on u, v, p on 8 x 16 with speed; turned.hdf5")
    assert sea.predict([f"data.path={files['fast']}", "predict.steps=3"]).shape == (1, 3, 128, 3)


# Errors


def test_a_folder_that_is_not_a_finished_autoencoder_is_refused(train, autoencoder, sea, tmp_path):
    assert user_error_of(train, "slow", *SEA) == (
        "model.autoencoder is required: add model.autoencoder=RUN, the folder of a run"
    )
    gone, empty = tmp_path / "gone", tmp_path / "empty"
    empty.mkdir()
    message = user_error_of(train, "slow", *SEA, f"model.autoencoder={gone}")
    assert message == f"model.autoencoder={gone} is not there: it must be the folder of a run"
    message = user_error_of(train, "slow", *SEA, f"model.autoencoder={empty}")
    assert message == f"{empty} is not a run folder: it has no run.json"
    message = user_error_of(train, "slow", *SEA, f"model.autoencoder={sea.path}")
    assert message.endswith("is refused: model.autoencoder=" + f"{sea.path}: its model must be a FieldAutoencoder")
    message = user_error_of(train, "slow", *SEA, "model.autoencoder=3")  # a path, and not a number
    assert message == f"model.autoencoder={Path('3').absolute()} is not there: it must be the folder of a run"
    copy = tmp_path / "copy"
    shutil.copytree(autoencoder.path, copy)
    adlx.open_run(copy).update(status="failed")
    message = user_error_of(train, "slow", *SEA, f"model.autoencoder={copy}")
    assert message == f"model.autoencoder={copy} is failed, not finished: adlx resume {copy}"


@pytest.mark.parametrize(
    ("name", "line"),
    [("turned", "grid is (8, 16) there and (16, 8) here"), ("free", "grid is (8, 16) there and None here")],
)
def test_an_autoencoder_of_other_cells_is_refused(name, line, train, around, autoencoder):
    message = user_error_of(train, name, *around)
    assert message == f"model.autoencoder={autoencoder.path} was trained on other data: {line}"


def test_too_few_steps_for_the_seed_frames_are_refused(train, around, sea):
    message = user_error_of(train, "slow", *around, "model.seed_frames=6")
    assert message == "data.window=6 must be above model.seed_frames=6"
    message = user_error_of(train, "slow", *around, "model.seed_frames=4", "data.horizon=4")
    assert message == "4 steps of a trajectory are tested: must be more than model.seed_frames=4"
    message = user_error_of(train, "slow", "model=dmd", "model.seed_frames=20")
    assert message == "20 steps of a trajectory are tested: must be more than model.seed_frames=20"
    run = train("slow", "model=dmd", "model.seed_frames=4", "model.rank=3")
    message = user_error_of(run.evaluate, ["data.horizon=3"])
    assert message == "3 steps of a trajectory are tested: must be more than model.seed_frames=4"
    for steps in (0, -2):
        message = user_error_of(sea.predict, [f"predict.steps={steps}"])
        assert message == f"a rollout of {steps} steps: set predict.steps to at least 1"
    assert user_error_of(sea.predict, ["predict.part=all"]) == "predict.part=all: must be one of train, val, test"
