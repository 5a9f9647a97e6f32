"""Where the harness makes its runs. What it needs to know of a model is in the model's YAML."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf
from torch import nn

import adlx
from adlx.models.forecaster import Forecaster
from adlx.runs.catalog import options
from adlx.runs.folder import Run
from adlx.specs import SeriesSpec
from adlx.targets import build, resolve

TINY = {"hidden": 8, "width": 8, "layers": 1, "heads": 2}  # sizes of a network, where its YAML has them
EPOCHS, LONGER = 2, 4
ROWS, CONTEXT, HORIZON = 320, 24, 3


def forecasters() -> list[str]:
    """Every choice of model that forecasts."""
    return [
        name
        for name, path in options("model").items()
        if issubclass(resolve(OmegaConf.load(path).get("_target_"), nn.Module, "model"), Forecaster)
    ]


def learners() -> list[str]:
    """Those of them that have something to train."""
    spec = SeriesSpec(("A", "B"), CONTEXT, HORIZON)
    nodes = {name: OmegaConf.load(options("model")[name]) for name in forecasters()}
    for node in nodes.values():
        node.pop("defaults", None)
    return [name for name, node in nodes.items() if list(build(node, nn.Module, "model", spec).parameters())]


def tiny_words(model: str) -> list[str]:
    """The words that make a model of the project small."""
    keys = OmegaConf.load(options("model")[model])
    return [f"model={model}", *(f"model.{key}={size}" for key, size in TINY.items() if key in keys)]


@dataclass
class Workshop:
    """A folder with a table of two series, in which runs are made."""

    folder: Path

    @property
    def table(self) -> Path:
        return self.folder / "series.csv"

    def train(self, words: Sequence[str], epochs: int = EPOCHS) -> Run:
        return adlx.train(
            [
                "data=csv",
                f"data.path={self.table}",
                f"data.context={CONTEXT}",
                f"data.horizon={HORIZON}",
                "logger=none",
                "trainer.accelerator=cpu",
                "trainer.threads=1",
                "optimizer/schedule=constant",  # so that more epochs go on as if they had been meant from the start
                "trainer.log_every_n_steps=1",
                f"trainer.max_epochs={epochs}",
                f"output_dir={self.folder / 'outputs'}",
                *words,
            ]
        )

    def copy(self, run: Run) -> Run:
        """The run in another folder, to be changed there."""
        path = run.path.with_name(run.path.name + "_copy")
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(run.path, path)
        return adlx.open_run(path)
