"""Several processes at the same time, each with its own run, and two processes that share a run."""

import json
import os
from typing import Any

import pandas as pd
import pytest
import torch.distributed
from generators import walk_frame

import adlx
from adlx.metrics.kid import kid
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.loggers import read_curves
from adlx.runs.trained import load_trained
from adlx.tasks.extractors import sample_images

SMALL = ["data=csv", "data.path=series.csv", "data.context=12", "data.horizon=2", "logger=none", "trainer.threads=1"]


def test_runs_started_in_the_same_instant_get_their_own_folders(shell):
    walk_frame(200).to_csv(shell.folder / "series.csv")
    words = ["train", "model=naive", *SMALL, "trainer.accelerator=cpu"]
    ended = [shell.wait(process) for process in [shell.start(*words) for _ in range(3)]]
    folders = {shell.folder / each.run for each in ended}
    assert [each.err for each in ended] == ["", "", ""]
    assert len(folders) == 3
    assert set(shell.folder.glob("outputs/naive-csv/*")) == folders
    infos = [json.loads((folder / "run.json").read_text()) for folder in folders]
    assert [info["status"] for info in infos] == ["finished"] * 3
    assert {info["data"]["fingerprint"] for info in infos} == {infos[0]["data"]["fingerprint"]}
    assert all(json.loads((folder / "metrics.json").read_text())["test/skill"] == 0 for folder in folders)


without_gloo = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="torch without gloo"
)
DDP = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp", "trainer.log_every_n_steps=1"]


@without_gloo
def test_a_sweep_of_runs_with_two_processes_each(shell):
    """Each run has one folder. An epoch is 2 steps: each process has 64 of the 127 windows, in batches of 32."""
    walk_frame(200).to_csv(shell.folder / "series.csv")
    ended = shell("train", "-m", "model=nlinear", *SMALL, *DDP, "trainer.max_epochs=3", "seed=0,1")
    sweep = shell.folder / ended.run
    runs = sorted(shell.folder.glob("outputs/nlinear-csv/*"))
    assert len(runs) == 2
    assert sum(line.startswith("job ") for line in ended.lines) == 2  # one process of each run prints
    for seed, run in enumerate(runs):
        info = json.loads((run / "run.json").read_text())
        assert (info["status"], info["seed"]) == ("finished", seed)
        entry = json.loads((sweep / "jobs" / f"{seed}.json").read_text())
        assert entry["run"] == os.path.relpath(run, sweep)
        assert (entry["error"], entry["overrides"][-1]) == (None, f"seed={seed}")
        curves = read_curves(run / "metrics.csv")
        assert curves["train/loss"].dropna().between(0.01, 100).sum() == 6
        assert curves["val/loss"].dropna().between(0.01, 100).sum() == 3
        assert curves.loc[curves["val/loss"].notna(), ["step", "epoch"]].to_numpy().tolist() == [[1, 0], [3, 1], [5, 2]]
        assert load_checkpoint(run / "checkpoints" / "last.ckpt")["adlx"]["steps"] == 6
    metrics = [json.loads((run / "metrics.json").read_text()) for run in runs]
    summary = pd.read_csv(sweep / "summary.csv")
    assert len(summary) == 1
    assert summary.loc[0, "n"] == 2
    assert summary.loc[0, "mean"] == pytest.approx((metrics[0]["test/skill"] + metrics[1]["test/skill"]) / 2)
    assert metrics[0]["test/mase"] != metrics[1]["test/mase"]
    assert metrics[0]["baseline/mase"] == metrics[1]["baseline/mase"]


@without_gloo
def test_kid_over_two_processes_counts_each_image_once(shell):
    sizes = ["model.patch=4", "model.width=24", "model.blocks=1", "model.heads=2", "task.kid_images=40"]
    small = [*sizes, "task.kid_steps=1", "data=digits", "data.source=sklearn", "data.size=8"]
    words = ["trainer.max_epochs=1", "trainer.threads=1", "logger=none"]
    run = adlx.open_run(shell.folder / shell("train", "model=dit", *small, *words, *DDP).run)
    trained = load_trained(run, [], "test")
    task: Any = trained.task
    features = [task.features_of(sample_images(trained.data, part, 40)[0]) for part in ("val", "test")]
    generated = task.features_of_samples()
    curves = read_curves(run.path / "metrics.csv")
    assert curves["val/kid"].dropna().item() == pytest.approx(kid(features[0], generated)[0], rel=1e-4)
    assert run.metrics["test/kid"] == pytest.approx(kid(features[1], generated)[0], rel=1e-4)
