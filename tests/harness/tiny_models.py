"""Trains tiny versions of all models. All information about a model comes from its YAML file."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import nn
from waves import WINDOWS, write_waves

import adlx
from adlx.api import Run
from adlx.config.catalog import options
from adlx.config.check import check_node
from adlx.config.compose import compose
from adlx.config.nodes import Node, Part
from adlx.data.images.sources.code_maps import write_code_maps
from adlx.data.images.sources.samples import Samples
from adlx.runs.groups import GROUPS
from adlx.specs import SeriesSpec
from adlx.tasks.forecast import Forecast
from adlx.tasks.task import Task

# Sizes of the network and of the test, for the keys that the YAML of the model has.
TINY = {"hidden": 8, "width": 8, "widths": "[8]", "layers": 1, "blocks": 1, "heads": 2, "codes": 8, "dimension": 4}
TINY |= {"patches": "[2,4]", "rank": 4, "modes": "[2,2]", "convolutions": 4}
TINY_TASK = {"kid_images": 8, "kid_steps": 2}
EPOCHS, LONGER = 2, 4
ROWS, CONTEXT, HORIZON = 320, 24, 3
SIDE = 16  # pixels


@cache
def config_of(model: str) -> dict[str, Any]:
    """The composed config of `model=NAME`, with the task that it selects."""
    return compose([f"model={model}", "data=fx"]).config


def node_of(model: str) -> Node:
    """The class and the arguments of `model=NAME`."""
    return check_node(config_of(model)["model"], GROUPS["model"], "model", lambda key: f"in model={model}")


def task_of(model: str) -> type[Task]:
    """The task that `model=NAME` selects."""
    return check_node(config_of(model)["task"], GROUPS["task"], "task", lambda key: f"in model={model}").target


def parts_of(model: str) -> dict[str, type[nn.Module]]:
    """The arguments of `model=NAME` that are models of other runs, such as an autoencoder."""
    return {name: part.kind for name, part in node_of(model).arguments.items() if isinstance(part, Part)}


def models_of_task(*tasks: type[Task]) -> list[str]:
    """The names of all models whose task is one of these, or a subclass."""
    return [name for name in options("model") if issubclass(task_of(name), tasks)]


def models_of_kind(kind: type[nn.Module]) -> list[str]:
    """The names of all models that are instances of a class."""
    return [name for name in options("model") if issubclass(node_of(name).target, kind)]


def forecasters() -> list[str]:
    """The names of all forecasters."""
    return models_of_task(Forecast)


def trainable_forecasters() -> list[str]:
    """The names of all forecasters with trainable weights."""
    spec = SeriesSpec(("A", "B"), CONTEXT, HORIZON)
    return [name for name in forecasters() if list(node_of(name).build(spec).parameters())]


def tiny_words(model: str) -> list[str]:
    """The overrides that make a model small, and that test what training made of it, even if it is worse than before.

    The untrained model could be the best after so few steps, and its forecasts may not depend on the past at all.
    """
    config = config_of(model)
    sizes = [f"model.{key}={size}" for key, size in TINY.items() if key in config["model"]]
    costs = [f"task.{key}={size}" for key, size in TINY_TASK.items() if key in config["task"]]
    trained = (
        ["callbacks.checkpoint.untrained=false"] if config["callbacks"].get("checkpoint", {}).get("untrained") else []
    )
    return [f"model={model}", *sizes, *costs, *trained]


@dataclass
class TinyRuns:
    """Trains runs in a folder, on a table of two series, code maps of 90 images, or 8 trajectories of waves."""

    folder: Path

    @property
    def table(self) -> Path:
        return self.folder / "series.csv"

    @property
    def series(self) -> list[str]:
        """The overrides for the table."""
        return ["data=csv", f"data.path={self.table}", f"data.context={CONTEXT}", f"data.horizon={HORIZON}"]

    @property
    def codes(self) -> list[str]:
        """The overrides for the code maps."""
        path = self.folder / "codes.npz"
        if not path.exists():
            rng = np.random.default_rng(0)
            values, labels = rng.integers(0, 8, (90, 4, 4)), np.arange(90) % 3
            values[:, 1, 1] = labels + 1  # the cell that depends on the class
            codebook = rng.normal(size=(8, 4)).astype(np.float32)
            write_code_maps(path, Samples(values, labels, ("a", "b", "c"), "codes", "noise", codebook=codebook))
        return ["data=codes", f"data.path={path}", "data.batch_size=16"]

    @property
    def images(self) -> list[str]:
        """The overrides for small grey pictures of three classes, each with a bright stripe at another height."""
        path = self.folder / "pictures"
        if not path.exists():
            rng = np.random.default_rng(0)
            for number in range(70):
                pixels = np.kron(rng.integers(0, 200, (4, 4)), np.ones((SIDE // 4, SIDE // 4))).astype(np.uint8)
                pixels[4 * (number % 3) : 4 * (number % 3) + 4] += 55
                picture = path / "abc"[number % 3] / f"{number}.png"
                picture.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(picture)
        return ["data=images", f"data.path={path}", f"data.size={SIDE}", "data.channels=1", "data.batch_size=16"]

    @property
    def fields(self) -> list[str]:
        """The overrides for physical fields."""
        path = self.folder / "waves.hdf5"
        if not path.exists():
            write_waves(path)
        return ["data=well", f"data.path={path}", *WINDOWS]

    def train(self, words: Sequence[str], epochs: int = EPOCHS, data: Sequence[str] | None = None) -> Run:
        return adlx.train(
            [
                *(self.series if data is None else data),
                "logger=none",
                "trainer.accelerator=cpu",
                "trainer.threads=1",
                "optimizer/schedule=constant",  # so that a resumed run with more epochs equals a longer run
                "trainer.log_every_n_steps=1",
                f"trainer.max_epochs={epochs}",
                f"output_dir={self.folder / 'outputs'}",
                *words,
            ]
        )

    def copy(self, run: Run) -> Run:
        """A copy of the run in another folder, which a test may change."""
        path = run.path.with_name(run.path.name + "_copy")
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(run.path, path)
        return adlx.open_run(path)

    def failed(self, model: str) -> Run:
        """The failed run of a model."""
        folders = (self.folder / "outputs").glob(f"{model}-*/*")
        return next(run for run in map(adlx.open_run, folders) if run.status == "failed")


def fail_at(monkeypatch: pytest.MonkeyPatch, task: type[Task], call: int) -> None:
    """Makes the training step with this number fail, once."""
    original, calls = task.training_step, [0]

    def fail(self: Task, batch: Any, batch_idx: int) -> Any:
        calls[0] += 1
        if calls[0] == call:
            raise OSError("the disk is gone")
        return original(self, batch, batch_idx)

    monkeypatch.setattr(task, "training_step", fail)
