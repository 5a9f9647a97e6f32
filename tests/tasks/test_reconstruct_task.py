"""Whole runs of reconstruction: scores, statistics, and codes that the classifiers read."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from user_errors import user_error_of

import adlx
from adlx.api import Run
from adlx.data.images.faces import Faces
from adlx.models.classification.vqvae import VQVAE
from adlx.runs.checkpoints import load_checkpoint
from adlx.specs import ImageSpec
from adlx.tasks.optimization import Optimization
from adlx.tasks.reconstruct import Reconstruct

COUNT, CODES, D = 120, 12, 4
SIZES = {"hidden": 8, "blocks": 1, "codes": CODES, "dimension": D, "revive_below": 0.5}
SMALL = ["logger=none", "trainer.accelerator=cpu", "trainer.threads=1", "trainer.enable_progress_bar=false"]
FACES = ["data=faces", f"data.count={COUNT}", "data.batch_size=16"]
WORDS = ["model=vqvae", *(f"model.{key}={value}" for key, value in SIZES.items()), *FACES, *SMALL]


def touch(figure: object, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.touch()


@pytest.fixture(autouse=True)
def unpainted_runs(unpainted, monkeypatch):
    monkeypatch.setattr("adlx.figures.style.save", touch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    """A run that tests must not change, except by predictions."""
    folder = tmp_path_factory.mktemp("vq")
    return adlx.train([*WORDS, "trainer.max_epochs=12", "optimizer.lr=0.01", f"output_dir={folder}"])


@pytest.fixture(scope="module")
def codes(trained):
    """Codes and codebook that the run predicts from its own images."""
    return trained.predict()


@pytest.fixture(scope="module")
def faces() -> Faces:
    data = Faces(count=COUNT)
    data.setup("fit")
    return data


def network_of(run: Run) -> tuple[VQVAE, float, float]:
    state = load_checkpoint(run.best)["state_dict"]
    network = VQVAE(ImageSpec(1, (48, 48)), **SIZES)
    network.load_state_dict({key[6:]: value for key, value in state.items() if key.startswith("model.")})
    return network.eval(), state["mean"].item(), state["std"].item()


def task_of(data: Faces) -> Reconstruct:
    task = Reconstruct(VQVAE(data.spec, **SIZES), torch.nn.MSELoss(), Optimization(torch.optim.Adam), data)
    task.fit_statistics(data)
    return task


def newest(run: Run):
    return max(run.path.glob("predict/*/codes.npz"), key=lambda path: path.stat().st_mtime_ns)


def test_statistics_are_of_the_training_part(trained, faces):
    state = load_checkpoint(trained.best)["state_dict"]
    images = faces.loaded.values[faces.indices["train"]].astype(np.float64) / 255
    assert state["mean"].item() == pytest.approx(images.mean(), rel=1e-6)
    assert state["std"].item() == pytest.approx(images.std(), rel=1e-5)
    np.testing.assert_allclose(state["mean_image"], images.mean(axis=0), rtol=1e-5, atol=1e-7)


def test_only_training_images_change_the_statistics(faces):
    """Halves the values of one part after the other."""
    statistics = []
    for part in (None, "test", "val", "train"):
        data = Faces(count=COUNT)
        data.setup("fit")
        if part:
            data.loaded.values[data.indices[part]] //= 2
        task = task_of(data)
        statistics.append([task.mean.item(), task.std.item(), *task.mean_image.flatten().tolist()])
    assert [each == statistics[0] for each in statistics] == [True, True, True, False]
    assert statistics[3][0] == pytest.approx(statistics[0][0] / 2, rel=0.02)


def test_scores_follow_from_predictions_and_checkpoint(trained, faces):
    metrics = json.loads((trained.path / "metrics.json").read_text())
    images = torch.from_numpy(faces.loaded.values[faces.indices["test"]]).float() / 255
    network, mean, std = network_of(trained)
    with torch.no_grad():
        output = network((images - mean) / std)
        image = (output.image * std + mean).clamp(0, 1)
    error = (image - images).square().flatten(1).double().mean(dim=1).numpy()
    train_images = faces.loaded.values[faces.indices["train"]].astype(np.float64) / 255
    baseline = ((train_images.mean(axis=0) - images.numpy()) ** 2).reshape(len(images), -1).mean(axis=1)
    with np.load(trained.path / "predictions.npz") as stored:
        np.testing.assert_allclose(stored["error"], error, rtol=1e-4)
        np.testing.assert_allclose(stored["baseline_error"], baseline, rtol=1e-4)
        assert np.array_equal(stored["codes"], output.codes)
        assert stored["index"].tolist() == faces.indices["test"].tolist()
        assert np.array_equal(stored["originals"], faces.loaded.values[faces.indices["test"]])
        np.testing.assert_allclose(stored["reconstructions"], image * 255, rtol=0, atol=0.51)
        error, baseline, used = stored["error"], stored["baseline_error"], stored["codes"]
    assert metrics["test/mse"] == pytest.approx(error.mean(), rel=1e-9)
    assert metrics["baseline/mse"] == pytest.approx(baseline.mean(), rel=1e-9)
    assert metrics["test/psnr"] == pytest.approx(-10 * math.log10(error.mean()))
    assert metrics["test/skill"] == pytest.approx(1 - error.mean() / baseline.mean())
    assert metrics["test/skill"] > 0.05  # training has improved it
    shares = np.bincount(used.ravel(), minlength=CODES) / used.size
    entropy = -sum(share * math.log(share) for share in shares if share)
    assert metrics["test/perplexity"] == pytest.approx(math.exp(entropy))
    assert metrics["test/codes_used"] == pytest.approx((shares > 0).mean())
    assert trained.evaluate() == {key: metrics[key] for key in metrics if key.startswith(("test/", "baseline/"))}


def test_the_loss_is_that_of_standardised_images_and_the_penalty(faces):
    torch.manual_seed(0)
    task = task_of(faces)
    batch = next(iter(faces.train_dataloader()))
    task.train().batch_loss(batch)  # initializes the codebook
    x = task.standardized(batch[0])
    assert x.mean().item() == pytest.approx(0, abs=0.3)
    states = {key: value.clone() for key, value in task.state_dict().items()}
    loss = task.batch_loss(batch).item()
    task.load_state_dict(states)
    output = task.model(x)
    assert output.penalty > 1e-6
    expected = (output.image - x).square().mean() + output.penalty
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    task.load_state_dict(states)
    assert task.eval().batch_loss(batch).item() == pytest.approx((task.model(x).image - x).square().mean().item())


# Codes


def test_codes_are_those_of_all_images(trained, faces, codes):
    predicted, codebook = codes
    network, mean, std = network_of(trained)
    images = torch.from_numpy(faces.loaded.values).float() / 255
    with torch.no_grad():
        expected = network.encode((images - mean) / std)
    assert torch.equal(predicted, expected)
    assert torch.equal(codebook, network.codebook)
    with np.load(newest(trained)) as stored:
        assert np.array_equal(stored["codes"], predicted)
        assert np.array_equal(stored["codebook"], codebook)
        assert np.array_equal(stored["labels"], faces.loaded.labels)
        assert stored["classes"].tolist() == list(faces.loaded.classes)
        assert [np.flatnonzero(stored["parts"] == number).tolist() for number in range(3)] == [
            faces.indices[part].tolist() for part in ("train", "val", "test")
        ]
        assert bool(stored["simulated"])


@pytest.mark.parametrize("model", [["model=mlp", "model.widths=[8]"], ["model=elm", "model.hidden=20"]])
def test_classifiers_read_codes_from_the_run_and_keep_its_split(trained, faces, codes, model, tmp_path):
    words = [*model, "data=codes", f"data.path={trained.path}", *SMALL, f"output_dir={tmp_path}"]
    run = adlx.train([*words, "trainer.max_epochs=2"])
    assert run.info["data"]["samples"] == {part: len(indices) for part, indices in faces.indices.items()}
    assert run.info["data"]["simulated"]
    assert run.info["data"]["classes"] == faces.about()["classes"]
    with np.load(run.path / "predictions.npz") as stored:
        assert stored["index"].tolist() == faces.indices["test"].tolist()
        assert stored["label"].tolist() == faces.loaded.labels[faces.indices["test"]].tolist()
    state = load_checkpoint(run.best)["state_dict"]
    assert torch.equal(state["model.inputs.codebook"], codes[1])
    assert run.evaluate() == {k: v for k, v in run.metrics.items() if k.startswith(("test/", "baseline/"))}

    other = adlx.train([*WORDS, "seed=1", "trainer.max_epochs=1", f"output_dir={tmp_path}"])
    message = user_error_of(run.evaluate, [f"data.path={other.path}"])
    assert message == (f"the run {other.path.name} has no code maps yet; make them with: adlx predict {other.path}")
    other.predict()
    assert "was made with another codebook than the data of this run" in user_error_of(
        run.evaluate, [f"data.path={other.path}"]
    )


def test_pictures_without_labels_have_codes_and_no_parts(trained, faces, codes, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(faces.loaded.values[number, 0]).save(folder / f"{number}.png")
    words = ["data.source=folder", f"data.path={folder}"]
    predicted, _ = trained.predict(words)
    assert torch.equal(predicted, codes[0][:5])
    with np.load(newest(trained)) as stored:
        assert stored["labels"].tolist() == [-1] * 5
        assert "parts" not in stored
        assert stored["names"].tolist() == [f"{number}.png" for number in range(5)]
    assert user_error_of(adlx.train, [*WORDS, *words]) == (
        "pictures (5 pictures): 5 of 5 samples have no label, and a split needs them; for such samples use adlx predict"
    )
    newest(trained).unlink()  # so that later tests read the codes of the run's own images


# What does not fit


def test_errors_are_reported_in_one_line(tmp_path):
    words = [*WORDS, f"output_dir={tmp_path / 'outputs'}"]
    table = tmp_path / "codes.npz"
    np.savez(table, codes=np.arange(60 * 16).reshape(60, 4, 4), labels=np.arange(60) % 3)
    on_codes = [word for word in words if not word.startswith("data")] + ["data=codes", f"data.path={table}"]
    assert (
        user_error_of(adlx.train, on_codes)
        == "model and data do not fit: VQVAE is for images, and Codes gives code maps"
    )
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("loss", ["cross_entropy", "quantile"])
def test_a_loss_that_does_not_fit_images_is_refused(loss, tmp_path):
    message = user_error_of(
        adlx.train, [*WORDS, f"loss={loss}", "trainer.max_epochs=1", f"output_dir={tmp_path / 'outputs'}"]
    )
    assert message.startswith("loss")


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_runs_in_other_precisions_evaluate_to_the_same_scores(precision, tmp_path):
    words = ["trainer.max_epochs=1", f"trainer.precision={precision}", f"output_dir={tmp_path}"]
    run = adlx.train([*WORDS, *words])
    assert run.evaluate() == {k: v for k, v in run.metrics.items() if k.startswith(("test/", "baseline/"))}
    assert run.metrics["test/mse"] < 0.1
