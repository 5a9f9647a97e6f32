"""Fit, resume, eval, predict and fine-tuning of every classifier, autoencoder and diffusion model in the configs."""

import numpy as np
import pandas as pd
import pytest
import torch
from requirements_of_runs import check_checkpoints, check_evaluation_repeats, check_finished, check_runs_are_equal
from tiny_models import LONGER, SIDE, TinyRuns, fail_at, models_of_task, node_of, task_of, tiny_words

from adlx.errors import UserError
from adlx.runs.predict import predict
from adlx.runs.trained import load_trained
from adlx.tasks.classify import Classify
from adlx.tasks.closed_form import ClosedForm
from adlx.tasks.denoise import Denoise
from adlx.tasks.reconstruct import Reconstruct

CLASSIFIERS, AUTOENCODERS, DENOISERS = models_of_task(Classify), models_of_task(Reconstruct), models_of_task(Denoise)


def test_the_scan_finds_the_models():
    assert set(CLASSIFIERS) >= {"elm", "mlp"}
    assert set(AUTOENCODERS) >= {"vqvae"}
    assert set(DENOISERS) >= {"dit", "unet"}


@pytest.fixture(scope="session", params=[*CLASSIFIERS, *AUTOENCODERS, *DENOISERS])
def model(request: pytest.FixtureRequest) -> str:
    return request.param


def data_of(model: str, tiny_runs: TinyRuns) -> list[str]:
    return tiny_runs.codes if model in CLASSIFIERS else tiny_runs.images


@pytest.fixture(scope="session")
def fitted(tiny_runs):
    """Trains a tiny run of a model; each run is trained once per session."""
    runs = {}

    def get(model: str, epochs: int = 2, *words: str):
        if (model, epochs, *words) not in runs:
            arguments = [*tiny_words(model), *words], epochs, data_of(model, tiny_runs)
            runs[(model, epochs, *words)] = tiny_runs.train(*arguments)
        return runs[(model, epochs, *words)]

    return get


def test_fit(model, fitted):
    run = fitted(model)
    check_finished(run)
    check_checkpoints(run)
    figures = {"reconstructions", "code_usage"}
    if model in CLASSIFIERS:
        figures = {"confusion", "class_scores"}
    elif model in DENOISERS:
        figures = {"samples", "neighbours", "trajectory", "loss_by_noise"}
    assert {path.stem for path in run.path.glob("figures/*.png")} >= {*figures, "training_curves"}


def test_eval(model, fitted):
    check_evaluation_repeats(fitted(model))


def test_resume(model, fitted, tiny_runs):
    resumed = tiny_runs.copy(fitted(model)).resume([f"trainer.max_epochs={LONGER}"])
    check_finished(resumed)
    check_runs_are_equal(resumed, fitted(model, LONGER))


def test_fit_again(model, fitted, tiny_runs):
    run = fitted(model)
    check_runs_are_equal(tiny_runs.train(tiny_words(model), data=data_of(model, tiny_runs)), run)
    other = tiny_runs.train([*tiny_words(model), "seed=1"], data=data_of(model, tiny_runs))
    first, second = (torch.load(r.best, weights_only=True)["state_dict"] for r in (run, other))
    assert any(not torch.equal(first[name], second[name]) for name in first)


# A step in the middle of the first epoch, at its end, and in the second epoch, if there is one.
@pytest.mark.parametrize("call", [2, 5, 7])
def test_a_resumed_run_repeats_the_failed_step(model, call, fitted, tiny_runs, monkeypatch):
    task = task_of(model)
    with monkeypatch.context() as patch:
        fail_at(patch, task, call)
        try:
            tiny_runs.train(tiny_words(model), data=data_of(model, tiny_runs))
        except OSError:
            pass
        else:
            assert task is ClosedForm and call > 5  # it has only one epoch
            return
    check_runs_are_equal(tiny_runs.failed(model).resume(), fitted(model))


def test_fine_tuning_starts_from_the_base(model, fitted, tiny_runs):
    """With a very small learning rate, the weights stay those of the base."""
    base, data = fitted(model), data_of(model, tiny_runs)
    words = [*tiny_words(model), "finetune=full", f"finetune.run={base.path}", "optimizer.lr=1e-12"]
    if not task_of(model).uses_gradient_descent:
        kind = node_of(model).target.__name__
        with pytest.raises(
            UserError,
            match=rf"^finetune: {kind} has a closed-form solution and cannot start from another run: leave finetune ",
        ):
            tiny_runs.train(words, data=data)
        return
    if model in AUTOENCODERS:  # their codebook is not trained by gradients
        words += ["model.decay=0.9999999", "model.revive_below=0.0"]
    run = tiny_runs.train(words, data=data)
    check_evaluation_repeats(run)
    first, second = (torch.load(r.best, weights_only=True)["state_dict"] for r in (base, run))
    compared = {name for name in first if ".running_" not in name}  # batch norms update their statistics
    for name in compared - {name for name in first if name.endswith("num_batches_tracked")}:
        torch.testing.assert_close(second[name], first[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_predict_classes(name, fitted):
    run = fitted(name)
    prediction = predict(run)
    written = pd.read_csv(prediction.path / "classes.csv")
    assert written.columns.tolist()[:4] == ["sample", "part", "label", "class"]
    assert len(written) == 90
    assert written["class"].tolist() == prediction.product["class"].tolist()
    with np.load(run.path / "predictions.npz") as stored:
        names, index, best = stored["classes"], stored["index"], stored["scores"].argmax(axis=1)
    assert written["class"].to_numpy()[index].tolist() == names[best].tolist()
    assert (written["part"].to_numpy()[index] == "test").all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_does_not_use_the_labels(name, fitted):
    """If all labels of the test part are replaced, scores are exactly the same."""
    run = fitted(name)
    trained = load_trained(run, [], "test")
    before = [trained.task.model(sample) for sample, _ in trained.data.test_dataloader()]
    values = trained.data.loaded.labels
    values[trained.data.indices["test"]] = (values[trained.data.indices["test"]] + 1) % 3
    again = [trained.task.model(sample) for sample, _ in trained.data.test_dataloader()]
    assert all(torch.equal(one, other) for one, other in zip(before, again, strict=True))


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_predict_codes(name, fitted, tiny_runs):
    run = fitted(name)
    codes, codebook = predict(run).product
    task = load_trained(run, [], "test").task
    assert torch.equal(codebook, task.model.codebook)
    trained = tiny_runs.train([*tiny_words("mlp")], data=["data=codes", f"data.path={run.path}", "data.batch_size=16"])
    parts = run.info["data"]["samples"]
    assert trained.info["data"]["samples"] == parts  # the split is that of the autoencoder
    assert len(codes) == sum(parts.values())


@pytest.mark.parametrize("name", DENOISERS)
def test_predict_images(name, fitted):
    run = fitted(name)
    words = ["predict.n=5", "predict.steps=3", "predict.pictures=true", "seed=1"]
    first, second = (predict(run, words) for _ in range(2))
    assert first.product.shape == (5, 1, SIDE, SIDE)
    names = ["samples.npz", *(f"pictures/{number:04d}.png" for number in range(5))]
    for file in names:
        assert (first.path / file).read_bytes() == (second.path / file).read_bytes(), file
    other = predict(run, [*words[:2], "seed=2"]).product
    assert not np.array_equal(other, first.product)
    noisy = predict(run, [*words[:2], "predict.eta=1.0", "seed=1"]).product
    assert not np.array_equal(noisy, first.product)
    small = predict(run, [*words[:2], "predict.batch_size=2", "seed=1"]).product
    assert np.abs(small.astype(int) - first.product).max() <= 1  # batches of another size are summed in another order


@pytest.mark.parametrize("name", DENOISERS)
def test_the_model_of_a_checkpoint_has_the_averaged_weights(name, fitted):
    """The raw weights are stored separately, and differ from the average."""
    checkpoint = torch.load(fitted(name).last, weights_only=True)
    state, weights = checkpoint["state_dict"], checkpoint["adlx"]["raw_weights"]
    assert any(not torch.equal(state[f"model.{key}"], value) for key, value in weights.items())
    task = load_trained(fitted(name), [], "test").task
    best = torch.load(fitted(name).best, weights_only=True)["state_dict"]
    assert all(torch.equal(value, best[f"model.{key}"]) for key, value in task.model.named_parameters())
