"""Installs the example package and runs every command with its model, data set and task. No file of adlx changes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

EXTENSION = Path(__file__).parents[2] / "examples" / "extension"
TRAIN = [
    *("train", "model=peak_net", "data=signals", "data.count=120", "optimizer/schedule=constant", "optimizer.lr=1e-2"),
    *("trainer.accelerator=cpu", "trainer.threads=1", "trainer.log_every_n_steps=1"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed in it, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(folder), str(EXTENSION)], check=True, capture_output=True)
    return folder


PROGRAM = """
import contextlib, io, json, sys
from adlx.cli.main import run
results = {}
for name, command in json.loads(sys.argv[1]).items():
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        results[name] = [run(command), printed.getvalue()]
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def adlx(site: Path, tmp_path_factory: pytest.TempPathFactory):
    """Runs commands one after the other in a process that has the package; returns what each prints, by its name."""
    folder = tmp_path_factory.mktemp("work")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}

    def run(**commands: list[str]) -> dict[str, str]:
        arguments = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
        done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        results = json.loads(done.stdout.splitlines()[-1])
        assert all(code == 0 for code, _ in results.values()), done.stdout + done.stderr
        return {name: printed for name, (_, printed) in results.items()}

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def runs(adlx) -> dict[str, Path]:
    """A run of two epochs, one of four, and one of four with another seed."""
    words = {"two": ["2"], "four": ["4"], "seed": ["4", "seed=1"]}
    commands = {
        name: [*TRAIN, f"trainer.max_epochs={epochs}", *more, f"output_dir={name}"]
        for name, (epochs, *more) in words.items()
    }
    adlx(**commands)
    return {name: next((adlx.folder / name).glob("*/*")) for name in words}


@pytest.fixture(scope="module")
def printed(adlx, runs) -> dict[str, str]:
    """What the commands after a training print; the run of two epochs is resumed to four as `resumed`."""
    two, four, seed = map(str, runs.values())
    shutil.copytree(two, adlx.folder / "resumed")
    return adlx(
        eval=["eval", four],
        other_data=["eval", four, "data=signals", "data.noise=0.1", "data.count=200"],
        predict=["predict", four],
        compare=["compare", four, seed, "--metric", "test/hits"],
        table=["compare", four, "--metric", "test/distance", "--out", "table.csv"],
        resume=["resume", "resumed", "trainer.max_epochs=4"],
        models=["list", "model"],
        data=["list", "data"],
        tasks=["list", "task"],
    )


def scores(folder: Path) -> dict[str, float]:
    metrics = json.loads((folder / "metrics.json").read_text())
    return {key: value for key, value in metrics.items() if key.startswith(("test/", "baseline/"))}


def evaluations(folder: Path) -> list[Path]:
    """The folders of the evaluations, oldest first."""
    return sorted((folder / "evaluations").iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_list_shows_the_choices_of_the_package(printed):
    lines = [line.split(maxsplit=1) for name in ("models", "data", "tasks") for line in printed[name].splitlines()]
    assert ["peak_net", "convolutional network that predicts a position in a signal"] in lines
    assert ["signals", "simulated noisy signals with one bump each"] in lines
    assert ["locate", "predicts the position of the bump in a signal"] in lines


def test_a_run_stores_the_scores_that_the_package_computes(runs):
    info = json.loads((runs["four"] / "run.json").read_text())
    assert info["status"] == "finished"
    assert info["choices"]["task"] == "locate"
    assert info["result"] == "adlx_locate.positions.Positions"
    with np.load(runs["four"] / "predictions.npz") as stored:
        own, guess = np.abs(stored["predicted"] - stored["actual"]), np.abs(stored["mean"] - stored["actual"])
    metrics = scores(runs["four"])
    assert metrics["test/distance"] == pytest.approx(own.mean(), rel=1e-6)
    assert metrics["test/skill"] == pytest.approx(1 - own.mean() / guess.mean(), rel=1e-5)
    assert metrics["test/distance"] < scores(runs["two"])["test/distance"]  # it learns


def test_a_resumed_run_equals_a_run_that_was_not_stopped(adlx, printed, runs):
    """The run of two epochs, resumed to four, equals the run of four epochs to the last bit."""
    pair = adlx.folder / "resumed", runs["four"]
    states = [torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for folder in pair]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    assert scores(pair[0]) == scores(pair[1])
    curves = [pd.read_csv(folder / "metrics.csv") for folder in pair]
    pd.testing.assert_frame_equal(*curves, check_exact=True)


def test_eval_and_predict_use_the_best_checkpoint(printed, runs):
    assert scores(evaluations(runs["four"])[0]) == scores(runs["four"])
    assert "18 signals" in printed["eval"]
    written = pd.read_csv(next((runs["four"] / "predict").glob("*/positions.csv")))
    assert len(written) == 120
    with np.load(runs["four"] / "predictions.npz") as stored:
        expected = stored["predicted"]
    np.testing.assert_allclose(written["position"].to_numpy()[-18:], expected, atol=1e-5)


def test_compare_shows_the_metrics_that_the_package_declares(adlx, printed, runs):
    assert "share within 0.05" in printed["compare"]
    table, metrics = pd.read_csv(adlx.folder / "table.csv"), scores(runs["four"])
    assert table["mean"].item() == pytest.approx(metrics["test/distance"])
    assert table["baseline"].item() == pytest.approx(metrics["baseline/distance"])
    assert table["hits"].item() == pytest.approx(metrics["test/hits"])


def test_eval_accepts_other_data_of_the_package(printed, runs):
    newest = evaluations(runs["four"])[1]
    assert scores(newest)["test/distance"] < scores(runs["four"])["test/distance"]  # less noise is easier
