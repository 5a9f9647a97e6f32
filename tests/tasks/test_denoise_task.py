"""Whole diffusion runs: scores, statistics, KID, predictions and fine-tuning."""

import math

import numpy as np
import pytest
import torch
from user_errors import user_error_of

import adlx
from adlx.api import Run
from adlx.data.images.digits import Digits
from adlx.metrics.denoising import DenoisingResult
from adlx.metrics.kid import kid
from adlx.models.diffusion.dit import DiT
from adlx.models.diffusion.features import Features
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.loggers import read_curves
from adlx.runs.trained import load_trained
from adlx.tasks import extractors
from adlx.tasks.denoise import Denoise
from adlx.tasks.optimization import Optimization

SIZES = {"patch": 2, "width": 24, "blocks": 1, "heads": 2}
KID = {"kid_images": 40, "kid_steps": 2}
SMALL = ["logger=none", "trainer.accelerator=cpu", "trainer.threads=1", "trainer.enable_progress_bar=false"]
DIGITS = ["data=digits", "data.source=sklearn", "data.size=8"]
TASK = [f"task.{key}={value}" for key, value in KID.items()]
WORDS = ["model=dit", *(f"model.{key}={value}" for key, value in SIZES.items()), *TASK, *SMALL]
SCORES = ("test/", "baseline/")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    """A run that tests must not change, except by predictions."""
    words = ["trainer.max_epochs=4", "optimizer.lr=0.003", "callbacks.samples.every_n_epochs=2"]
    return adlx.train([*WORDS, *DIGITS, *words, f"output_dir={tmp_path_factory.mktemp('diffusion')}"])


@pytest.fixture(scope="module")
def digits() -> Digits:
    data = Digits(source="sklearn", size=8)
    data.setup("fit")
    return data


def task_of(data: Digits, **settings) -> Denoise:
    model = DiT(data.spec, **SIZES, convolutions=0)
    task = Denoise(model, torch.nn.L1Loss(), Optimization(torch.optim.AdamW), data, **{**KID, **settings})
    task.fit_statistics(data)
    return task


def test_images_are_standardised_by_the_training_part(trained, digits):
    state = load_checkpoint(trained.best)["state_dict"]
    images = digits.loaded.values[digits.indices["train"]].astype(np.float64) / 255
    assert state["mean"].item() == pytest.approx(images.mean(), rel=1e-6)
    assert state["std"].item() == pytest.approx(images.std(), rel=1e-6)


def test_the_initial_loss_is_that_of_predicting_zero(digits):
    task = task_of(digits)
    losses = [task.batch_loss(batch).item() for batch in digits.train_dataloader()]
    assert np.mean(losses) == pytest.approx(math.sqrt(2 / math.pi), abs=0.005)


def test_scores_are_those_of_predictions(trained, digits):
    result, metrics = DenoisingResult.load(trained.path / "predictions.npz"), trained.metrics
    assert result.index.tolist() == digits.indices["test"].tolist()
    assert metrics["test/noise_mae"] == pytest.approx(result.noise_error.mean(), rel=1e-9)
    assert metrics["test/noise_mae"] < 0.6 < metrics["baseline/noise_mae"]
    assert result.samples.shape == (64, 1, 8, 8)
    training = digits.training_samples()[:].numpy().astype(float) / 255
    for sample, neighbour, distance in list(zip(result.samples, result.neighbours, result.distance, strict=True))[:5]:
        distances = np.sqrt(((sample / 255 - training) ** 2).mean(axis=(1, 2, 3)))
        assert distance == pytest.approx(distances.min(), rel=1e-5)
        assert np.array_equal(neighbour / 255, training[distances.argmin()])
    assert trained.evaluate() == {k: v for k, v in metrics.items() if k.startswith(SCORES)}


def test_kid_is_computed_with_the_features_in_the_checkpoint(trained, digits):
    state = load_checkpoint(trained.best)["state_dict"]
    network = Features(1)
    network.load_state_dict({k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")})
    task = load_trained(trained, [], "test").task
    drawn = torch.from_numpy(task.draw(40, steps=2, seed=1))
    real = extractors.sample_images(digits, "test", 40)[0]
    with torch.no_grad():
        expected, deviation = kid(network(real.float() / 255), network(drawn.float() / 255))
    metrics = trained.metrics
    assert metrics["test/kid"] == pytest.approx(expected, rel=1e-4)
    assert metrics["test/kid_deviation"] == pytest.approx(deviation, rel=1e-3, abs=1e-12)
    assert abs(metrics["baseline/kid_floor"]) < 0.2 < metrics["test/kid"] < metrics["baseline/kid_noise"]
    assert trained.info["kid"] == {"features": "small CNN trained on 10 classes", "images": 40, "steps": 2}


@pytest.mark.parametrize("monitor", [None, "val/kid"])
def test_the_best_checkpoint_has_the_lowest_monitored_value(monitor, trained, tmp_path):
    run = trained
    if monitor is not None:
        words = ["trainer.max_epochs=4", "optimizer.lr=0.003", f"callbacks.checkpoint.monitor={monitor}"]
        run = adlx.train([*WORDS, *DIGITS, *words, f"output_dir={tmp_path}"])
    curves = read_curves(run.path / "metrics.csv").dropna(subset="val/kid")
    assert len(curves) == 4
    assert {"val/noise_mae", "val/image_mae"} <= set(curves)
    best = curves.loc[curves[monitor or "val/loss"].idxmin()]
    assert load_checkpoint(run.best)["adlx"]["steps"] == best["step"] + 1


def test_images_are_generated_during_training(trained, tmp_path):
    grids = sorted(path.name for path in trained.path.glob("figures/samples_epoch_*.png"))
    assert grids == ["samples_epoch_0002.png", "samples_epoch_0004.png"]
    words = ["logger=tensorboard", "callbacks.samples.every_n_epochs=1", "trainer.max_epochs=2"]
    run = adlx.train([*WORDS, *DIGITS, *words, f"output_dir={tmp_path}"])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    steps = read_curves(run.path / "metrics.csv").dropna(subset="val/kid")["step"].tolist()
    assert [image.step for image in events.Images("samples/while_training")] == steps
    assert "val/kid" in events.Tags()["scalars"]


# Features


def accuracy(network: Features, digits: Digits) -> float:
    """Accuracy on the validation part, if the nearest class mean is predicted."""
    (train, labels), (val, answers) = (extractors.sample_images(digits, part, 5000) for part in ("train", "val"))
    with torch.no_grad():
        train, val = network(train.float() / 255), network(val.float() / 255)
    means = torch.stack([train[labels == label].mean(dim=0) for label in range(10)])
    return (torch.cdist(val, means).argmin(dim=1) == answers).double().mean().item()


def test_trained_features_separate_the_classes_and_all_features_are_scaled(digits):
    networks = {choice: extractors.fit_network(choice, 1, digits) for choice in ("trained", "random")}
    assert accuracy(networks["trained"], digits) > max(0.9, accuracy(networks["random"], digits))
    for network in networks.values():
        with torch.no_grad():
            features = network(extractors.sample_images(digits, "train", 1024)[0].float() / 255)
        assert features.shape == (1024, 256)
        assert features.square().mean().item() == pytest.approx(1, rel=1e-4)


def test_a_trained_network_is_loaded_from_the_cache(digits, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path / "cache"))
    caplog.set_level("INFO", logger="adlx")
    first = extractors.fit_network("trained", 1, digits)
    (path,) = (tmp_path / "cache" / "features").iterdir()
    with monkeypatch.context() as patch:
        patch.delattr(extractors, "train_on_labels")
        again = extractors.fit_network("trained", 1, digits)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())
    path.write_bytes(path.read_bytes()[:1000])
    extractors.fit_network("trained", 1, digits)
    assert any(f"cache: {path.name} is damaged" in message for message in caplog.messages)
    assert extractors.load_cached(path) is not None
    monkeypatch.setenv("ADLX_CACHE", str(path / "below_a_file"))
    extractors.fit_network("trained", 1, digits)
    assert any("cache: cannot write" in message for message in caplog.messages)


def test_interrupted_training_of_features_restores_the_number_of_threads(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", interrupt)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt):
            images, labels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.zeros(4, dtype=torch.long)
            extractors.train_on_labels(extractors.make_network(1), images, labels, classes=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_making_features_does_not_change_the_global_generator(digits):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    task_of(digits, kid_features="random")
    after = torch.random.get_rng_state()
    torch.manual_seed(3)
    DiT(digits.spec, **SIZES, convolutions=0)
    assert torch.equal(torch.random.get_rng_state(), after)
    assert not torch.equal(before, after)  # the model itself draws


def test_features_that_are_not_available_give_one_line(tmp_path):
    words = [*WORDS, *DIGITS, f"output_dir={tmp_path}"]
    alone = user_error_of(adlx.train, [*words, "data.digits=[3]", "task.kid_features=trained"])
    assert alone == ("task.kid_features=trained needs images of at least two classes; choose random or auto")
    message = user_error_of(adlx.train, [*words, "task.kid_features=inception"])
    assert "pip install 'adlx[kid]'" in message or "cannot be downloaded" in message
    assert "or choose task.kid_features=auto" in message
    assert list(tmp_path.iterdir()) == []


def test_kid_of_one_class_uses_random_features(tmp_path):
    run = adlx.train([*WORDS, *DIGITS, "data.digits=[3]", "trainer.max_epochs=1", f"output_dir={tmp_path}"])
    assert run.info["kid"]["features"] == "small CNN with random weights"
    assert run.evaluate() == {k: v for k, v in run.metrics.items() if k.startswith(SCORES)}


class Foreign(torch.nn.Module):
    """Replaces Inception."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.ones(8, 64))

    def forward(self, images):
        return images.flatten(1) @ self.weights.T + images.flatten(1)[:, :8]


def test_checkpoints_do_not_contain_inception(trained, monkeypatch, tmp_path):
    monkeypatch.setattr(extractors, "inception", Foreign)
    words = ["task.kid_features=inception", "trainer.max_epochs=1", f"output_dir={tmp_path}"]
    run = adlx.train([*WORDS, *DIGITS, *words])
    assert run.info["kid"]["features"] == "Inception-v3"
    state = load_checkpoint(run.best)["state_dict"]
    assert not [name for name in state if "foreign" in name or "features" in name]
    assert run.evaluate() == {k: v for k, v in run.metrics.items() if k.startswith(SCORES)}
    message = user_error_of(adlx.compare, [trained.path, run.path])
    assert (
        message
        == "test/kid cannot be compared between different features: Inception-v3; small CNN trained on 10 classes"
    )


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("predict.n=0", "predict.n=0: must be at least 1"),
        ("predict.steps=-1", "predict.steps=-1: must be at least 1"),
        ("predict.batch_size=0", "predict.batch_size=0: must be at least 1"),
        ("predict.eta=1.5", "predict.eta=1.5: must be from 0, deterministic, to 1, ancestral"),
        ("predict.eta=-0.5", "predict.eta=-0.5: must be from 0, deterministic, to 1, ancestral"),
        ("predict.sampler=euler", "predict.sampler=euler must be one of ddim, ancestral"),
        ("predict.steps=few", "predict.steps=few must be int"),
        ("predict.step=3", "predict.step: no such option; did you mean steps?"),
    ],
)
def test_invalid_options_of_predict_give_one_line(word, line, trained):
    before = sorted(trained.path.glob("predict/*"))
    assert user_error_of(trained.predict, [word]).startswith(line)
    assert sorted(trained.path.glob("predict/*")) == before


# Fine-tuning and other precisions


def test_lora_adapts_a_model_to_other_digits(tmp_path):
    words = [*WORDS, *DIGITS, "optimizer.lr=0.003", f"output_dir={tmp_path}"]
    base = adlx.train([*words, "data.digits=[0,1,2,3,4]", "trainer.max_epochs=3"])
    tuning = ["finetune=lora", f"finetune.run={base.path}", "finetune.rank=2", "data.digits=[5,6,7,8,9]"]
    run = adlx.train([*words, *tuning, "trainer.max_epochs=2"])
    assert run.evaluate() == {k: v for k, v in run.metrics.items() if k.startswith(SCORES)}
    state = load_checkpoint(run.best)["state_dict"]
    stored = [name for name in state if name.startswith("model.")]
    assert stored and all(name.endswith(("lora_A", "lora_B")) for name in stored)
    assert "features.layers.0.weight" in state  # fitted on the new digits
    assert run.metrics["model/trainable_parameters"] < 0.3 * base.metrics["model/parameters"]
    untuned = base.evaluate(["data.digits=[0,1,2,3,4]"])
    assert untuned["test/noise_mae"] == base.metrics["test/noise_mae"]
    assert run.predict(["predict.n=3", "predict.steps=2", "seed=0"]).shape == (3, 1, 8, 8)


@pytest.mark.parametrize(
    "words",
    [
        ["trainer.precision=bf16-mixed"],
        ["trainer.precision=64-true"],
        ["model=unet", "model.widths=[8,16]", *(f"~model.{key}" for key in SIZES)],
    ],
)
def test_other_precisions_and_the_unet(words, tmp_path):
    run = adlx.train([*WORDS, *DIGITS, *words, "trainer.max_epochs=1", f"output_dir={tmp_path}"])
    assert run.metrics["test/noise_mae"] < 0.8
    assert run.predict(["predict.n=2", "predict.steps=2"]).shape == (2, 1, 8, 8)
    assert run.evaluate() == {k: v for k, v in run.metrics.items() if k.startswith(SCORES)}


def test_images_are_generated_in_the_precision_of_the_run(trained, monkeypatch):
    seen = []
    original = DiT.forward

    def watched(model, image, variance):
        prediction = original(model, image, variance)
        seen.append((image.dtype, prediction.dtype))
        return prediction

    monkeypatch.setattr(DiT, "forward", watched)
    trained.predict(["predict.n=2", "predict.steps=2", "seed=0"])
    assert set(seen) == {(torch.float32, torch.float32)}
    seen.clear()
    trained.predict(["predict.n=2", "predict.steps=2", "seed=0", "trainer.precision=bf16-mixed"])
    assert set(seen) == {(torch.float32, torch.bfloat16)}
