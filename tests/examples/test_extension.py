"""The example package is installed, and its model, data set and task go through every command, with no edit of adlx."""

import json
import os
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


@pytest.fixture(scope="module")
def adlx(site: Path, tmp_path_factory: pytest.TempPathFactory):
    """Runs commands one after the other in a process that has the package, and returns what they print."""
    folder = tmp_path_factory.mktemp("work")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    code = "import json, sys; from adlx.cli.main import run; sys.exit(max(map(run, json.loads(sys.argv[1]))))"

    def run(*commands: list[str]) -> str:
        arguments = [sys.executable, "-c", code, json.dumps(commands)]
        done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def runs(adlx) -> dict[int, Path]:
    """A run by its epochs."""
    commands = [[*TRAIN, f"trainer.max_epochs={epochs}", f"output_dir=epochs_{epochs}"] for epochs in (2, 4)]
    adlx(*commands)
    return {epochs: next((adlx.folder / f"epochs_{epochs}").glob("*/*")) for epochs in (2, 4)}


def scores(folder: Path) -> dict[str, float]:
    metrics = json.loads((folder / "metrics.json").read_text())
    return {key: value for key, value in metrics.items() if key.startswith(("test/", "baseline/"))}


def test_its_choices_are_listed(adlx):
    printed = adlx(["list", "model"], ["list", "data"], ["list", "task"])
    lines = [line.split(maxsplit=1) for line in printed.splitlines()]
    assert ["peak_net", "convolutional network that finds a position in a signal"] in lines
    assert ["signals", "a bump somewhere in a noisy signal, drawn"] in lines
    assert ["locate", "where in a signal its bump is"] in lines


def test_train(runs):
    info = json.loads((runs[4] / "run.json").read_text())
    assert info["status"] == "finished"
    assert info["choices"]["task"] == "locate"
    assert info["result"] == "adlx_locate.positions.Positions"
    with np.load(runs[4] / "predictions.npz") as stored:
        own, guess = np.abs(stored["predicted"] - stored["actual"]), np.abs(stored["mean"] - stored["actual"])
    found = scores(runs[4])
    assert found["test/distance"] == pytest.approx(own.mean(), rel=1e-6)
    assert found["test/skill"] == pytest.approx(1 - own.mean() / guess.mean(), rel=1e-5)
    assert found["test/distance"] < scores(runs[2])["test/distance"]  # it learns


def test_resume_is_exact(adlx, runs):
    """The run of two epochs goes on to four, and is then the one of four, to the last bit."""
    adlx(["resume", str(runs[2]), "trainer.max_epochs=4"])
    states = [torch.load(runs[epochs] / "checkpoints" / "last.ckpt", weights_only=True) for epochs in (2, 4)]
    assert states[0]["state_dict"].keys() == states[1]["state_dict"].keys()
    for name, value in states[0]["state_dict"].items():
        assert torch.equal(value, states[1]["state_dict"][name]), name
    assert scores(runs[2]) == scores(runs[4])
    curves = [pd.read_csv(runs[epochs] / "metrics.csv") for epochs in (2, 4)]
    pd.testing.assert_frame_equal(*curves, check_exact=True)


def test_eval_and_predict(adlx, runs):
    printed = adlx(["eval", str(runs[4])], ["predict", str(runs[4])])
    assert scores(next((runs[4] / "evaluations").iterdir())) == scores(runs[4])
    assert "18 signals" in printed
    written = pd.read_csv(next((runs[4] / "predict").glob("*/positions.csv")))
    assert len(written) == 120
    with np.load(runs[4] / "predictions.npz") as stored:
        expected = stored["predicted"]
    np.testing.assert_allclose(written["position"].to_numpy()[-18:], expected, atol=1e-5)


def test_compare_uses_what_the_package_declares(adlx, runs):
    printed = adlx(
        [*TRAIN, "trainer.max_epochs=4", "seed=1", "output_dir=seeds"],
        ["compare", str(runs[4]), *map(str, (adlx.folder / "seeds").glob("*/*")), "--metric", "test/hits"],
        ["compare", str(runs[4]), "--metric", "test/distance", "--out", "table.csv"],
    )
    assert "share within 0.05" in printed
    table = pd.read_csv(adlx.folder / "table.csv")
    assert table["mean"].item() == pytest.approx(scores(runs[4])["test/distance"])
    assert table["baseline"].item() == pytest.approx(scores(runs[4])["baseline/distance"])
    assert table["hits"].item() == pytest.approx(scores(runs[4])["test/hits"])


def test_other_data_of_the_package_without_naming_it_again(adlx, runs):
    adlx(["eval", str(runs[4]), "data=signals", "data.noise=0.1", "data.count=200"])
    newest = max((runs[4] / "evaluations").iterdir(), key=lambda path: path.stat().st_mtime)
    assert scores(newest)["test/distance"] < scores(runs[4])["test/distance"]  # less noise is easier
