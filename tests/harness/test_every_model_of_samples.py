"""Every choice of model that classifies, reconstructs or denoises, found by scanning, through every verb."""

import numpy as np
import pandas as pd
import pytest
import torch
from demands import checkpoints_are_plain, equal_to_the_last_bit, evaluates_to_its_own_metrics, is_whole
from workshop import LONGER, Workshop, break_at, node_of, of_task, task_of, tiny_words

from adlx.errors import UserError
from adlx.runs.predict import predict
from adlx.runs.trained import open_trained
from adlx.tasks.classify import Classify
from adlx.tasks.closed_form import ClosedForm
from adlx.tasks.denoise import Denoise
from adlx.tasks.reconstruct import Reconstruct

CLASSIFIERS, AUTOENCODERS, DENOISERS = of_task(Classify), of_task(Reconstruct), of_task(Denoise)


def test_the_scan_finds_the_models():
    assert set(CLASSIFIERS) >= {"elm", "mlp"}
    assert set(AUTOENCODERS) >= {"vqvae"}
    assert set(DENOISERS) >= {"dit", "unet"}


@pytest.fixture(scope="session", params=[*CLASSIFIERS, *AUTOENCODERS, *DENOISERS])
def model(request: pytest.FixtureRequest) -> str:
    return request.param


def data_of(model: str, workshop: Workshop) -> list[str]:
    return workshop.codes if model in CLASSIFIERS else workshop.images


@pytest.fixture(scope="session")
def fitted(workshop):
    """Each model's run, trained once a session."""
    runs = {}

    def get(model: str, epochs: int = 2, *words: str):
        if (model, epochs, *words) not in runs:
            arguments = [*tiny_words(model), *words], epochs, data_of(model, workshop)
            runs[(model, epochs, *words)] = workshop.train(*arguments)
        return runs[(model, epochs, *words)]

    return get


def test_fit(model, fitted):
    run = fitted(model)
    is_whole(run)
    checkpoints_are_plain(run)
    figures = {"reconstructions", "code_usage"}
    if model in CLASSIFIERS:
        figures = {"confusion", "class_scores"}
    elif model in DENOISERS:
        figures = {"samples", "neighbours", "trajectory", "loss_by_noise"}
    assert {path.stem for path in run.path.glob("figures/*.png")} >= {*figures, "training_curves"}


def test_eval(model, fitted):
    evaluates_to_its_own_metrics(fitted(model))


def test_resume(model, fitted, workshop):
    resumed = workshop.copy(fitted(model)).resume([f"trainer.max_epochs={LONGER}"])
    is_whole(resumed)
    equal_to_the_last_bit(resumed, fitted(model, LONGER))


def test_fit_again(model, fitted, workshop):
    run = fitted(model)
    equal_to_the_last_bit(workshop.train(tiny_words(model), data=data_of(model, workshop)), run)
    other = workshop.train([*tiny_words(model), "seed=1"], data=data_of(model, workshop))
    first, second = (torch.load(r.best, weights_only=True)["state_dict"] for r in (run, other))
    assert any(not torch.equal(first[name], second[name]) for name in first)


# In mid-epoch, at the end of the epoch, and in the next one, if there is a next one.
@pytest.mark.parametrize("call", [2, 5, 7])
def test_a_failed_step_is_taken_again(model, call, fitted, workshop, monkeypatch):
    task = task_of(model)
    with monkeypatch.context() as patch:
        break_at(patch, task, call)
        try:
            workshop.train(tiny_words(model), data=data_of(model, workshop))
        except OSError:
            pass
        else:
            assert task is ClosedForm and call > 5  # it has one epoch alone
            return
    equal_to_the_last_bit(workshop.failed(model).resume(), fitted(model))


def test_fine_tuning_starts_from_the_base(model, fitted, workshop):
    """With steps of next to nothing it also ends there."""
    base, data = fitted(model), data_of(model, workshop)
    words = [*tiny_words(model), "finetune=full", f"finetune.run={base.path}", "optimizer.lr=1e-12"]
    if not task_of(model).follows_gradient:
        kind = node_of(model).target.__name__
        with pytest.raises(UserError, match=rf"^finetune: {kind} is solved, not trained; it starts from nothing$"):
            workshop.train(words, data=data)
        return
    if model in AUTOENCODERS:  # whose codebook does not follow the gradient
        words += ["model.decay=0.9999999", "model.revive_below=0.0"]
    run = workshop.train(words, data=data)
    evaluates_to_its_own_metrics(run)
    first, second = (torch.load(r.best, weights_only=True)["state_dict"] for r in (base, run))
    followed = {name for name in first if ".running_" not in name}  # batch norms count what they see anew
    for name in followed - {name for name in first if name.endswith("num_batches_tracked")}:
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
def test_labels_are_not_among_what_a_classifier_sees(name, fitted):
    """With every label of the test part replaced, scores do not change by a bit."""
    run = fitted(name)
    trained = open_trained(run, [], "test")
    before = [trained.task.model(sample) for sample, _ in trained.data.test_dataloader()]
    values = trained.data.loaded.labels
    values[trained.data.places["test"]] = (values[trained.data.places["test"]] + 1) % 3
    again = [trained.task.model(sample) for sample, _ in trained.data.test_dataloader()]
    assert all(torch.equal(one, other) for one, other in zip(before, again, strict=True))


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_predict_codes(name, fitted, workshop):
    run = fitted(name)
    codes, codebook = predict(run).product
    task = open_trained(run, [], "test").task
    assert torch.equal(codebook, task.model.codebook)
    trained = workshop.train([*tiny_words("mlp")], data=["data=codes", f"data.path={run.path}", "data.batch_size=16"])
    parts = run.info["data"]["samples"]
    assert trained.info["data"]["samples"] == parts  # what the codebook was trained on is training data still
    assert len(codes) == sum(parts.values())


@pytest.mark.parametrize("name", DENOISERS)
def test_predict_images(name, fitted):
    run = fitted(name)
    words = ["predict.n=5", "predict.steps=3", "predict.pictures=true", "seed=1"]
    first, second = (predict(run, words) for _ in range(2))
    assert first.product.shape == (5, 1, 48, 48)
    names = ["samples.npz", *(f"pictures/{number:04d}.png" for number in range(5))]
    for file in names:
        assert (first.path / file).read_bytes() == (second.path / file).read_bytes(), file
    other = predict(run, [*words[:2], "seed=2"]).product
    assert not np.array_equal(other, first.product)
    noisy = predict(run, [*words[:2], "predict.eta=1.0", "seed=1"]).product
    assert not np.array_equal(noisy, first.product)
    small = predict(run, [*words[:2], "predict.batch_size=2", "seed=1"]).product
    assert np.abs(small.astype(int) - first.product).max() <= 1  # batches of another size add up in another order


@pytest.mark.parametrize("name", DENOISERS)
def test_the_average_is_what_counts(name, fitted):
    """Checkpoints hold the average as the model, and the weights beside it: they differ, and both follow training."""
    checkpoint = torch.load(fitted(name).last, weights_only=True)
    state, weights = checkpoint["state_dict"], checkpoint["adlx"]["raw_weights"]
    assert any(not torch.equal(state[f"model.{key}"], value) for key, value in weights.items())
    task = open_trained(fitted(name), [], "test").task
    best = torch.load(fitted(name).best, weights_only=True)["state_dict"]
    assert all(torch.equal(value, best[f"model.{key}"]) for key, value in task.model.named_parameters())
