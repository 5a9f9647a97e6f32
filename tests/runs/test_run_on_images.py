"""Trains a diffusion model on a folder of pictures, evaluates it and generates images; decodes each picture once."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import adlx
from adlx.api import Run
from adlx.data.images.sources import pictures
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.evaluate import evaluate
from adlx.runs.predict import predict

COUNT, SIZE = 60, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured noise that darkens to the left, 20 x 24 pixels."""
    path, rng = tmp_path_factory.mktemp("flowers"), np.random.default_rng(0)
    for number in range(COUNT):
        shade = np.linspace(0, 1, 24)[None, :, None]
        Image.fromarray((rng.integers(0, 256, (20, 24, 3)) * shade).astype(np.uint8)).save(path / f"{number:02d}.png")
    return path


@pytest.fixture(scope="module")
def words(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [
        *("model=dit", "model.patch=4", "model.width=24", "model.heads=2", "model.blocks=1", "task.ema=0.9"),
        *("task.kid_images=8", "task.kid_steps=2"),
        *("data=images", f"data.path={folder}", f"data.size={SIZE}", "data.batch_size=8"),
        *("data.flip=true", "data.repeat=2", "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.threads=1"),
        *("logger=none", f"output_dir={tmp_path_factory.mktemp('runs')}"),
    ]


@pytest.fixture(scope="module")
def trained(words: list[str]) -> Run:
    return adlx.train(words)


@pytest.fixture
def no_decoder(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments):
        raise AssertionError("decoded again")

    monkeypatch.setattr(pictures, "pixels", never)
    monkeypatch.setattr(pictures, "decode", never)


def test_run_json_describes_the_pictures(trained, folder):
    facts = json.loads((trained.path / "run.json").read_text())["data"]
    assert facts["detail"] == f"{folder.name} (60 pictures)"
    assert facts["samples"] == {"train": 48, "val": 6, "test": 6}
    assert facts["classes"] == {}
    assert load_checkpoint(trained.last)["adlx"]["steps"] == 2 * 48 // 8


def test_evaluate_and_predict_decode_nothing(trained, no_decoder):
    metrics = json.loads((trained.path / "metrics.json").read_text())
    scores = evaluate(trained).metrics
    assert scores == {key: metrics[key] for key in scores}
    samples = predict(trained, ["predict.n=3", "predict.steps=2"]).product
    assert samples.shape == (3, 3, SIZE, SIZE)
    assert samples.dtype == np.uint8


def test_the_same_words_make_the_same_run(trained, words, no_decoder):
    again = adlx.train(words)
    first, second = (json.loads((run.path / "metrics.json").read_text()) for run in (trained, again))
    scores = [key for key in first if key.startswith(("test/", "val/", "baseline/"))]
    assert {key: first[key] for key in scores} == {key: second[key] for key in scores}
