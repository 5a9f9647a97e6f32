"""Small runs that the tests of config, runs, sweeps, comparison and reporting share."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from generators import walk_frame

import adlx
from adlx.api import Run
from adlx.config import targets

CONTEXT, HORIZON, ROWS = 12, 2, 200
STEPS = 4  # per epoch: 127 training windows in batches of 32


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "series.csv"
    walk_frame(ROWS).to_csv(path)
    return path


@pytest.fixture(scope="session")
def small_words(table: Path) -> list[str]:
    """Overrides of a run of 8 steps on a table of two series."""
    return [
        "model=nlinear",
        "data=csv",
        f"data.path={table}",
        f"data.context={CONTEXT}",
        f"data.horizon={HORIZON}",
        "optimizer/schedule=constant",
        "callbacks.checkpoint.untrained=false",  # so that the tested weights are trained, however few the steps
        "logger=none",
        "trainer.accelerator=cpu",
        "trainer.threads=1",
        "trainer.log_every_n_steps=1",
        "trainer.max_epochs=2",
    ]


UNPAINTED = {"config", "runs", "reporting", "tasks"}
"""Folders whose tests do not draw figures; tests of sweeps and comparison check figures."""


@pytest.fixture(autouse=True)
def unpainted_runs(request: pytest.FixtureRequest) -> None:
    if request.path.relative_to(Path(__file__).parent).parts[0] in UNPAINTED:
        request.getfixturevalue("unpainted")


@pytest.fixture
def small(small_words: list[str], tmp_path: Path) -> Callable[..., Run]:
    """Returns a function that trains a small run in the folder of the test."""

    def train(*words: str) -> Run:
        return adlx.train([*small_words, f"output_dir={tmp_path / 'outputs'}", *words])

    return train


@pytest.fixture(scope="session")
def finished(small_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run that tests must not change; they may change `copied`."""
    return adlx.train([*small_words, f"output_dir={tmp_path_factory.mktemp('finished')}"])


@pytest.fixture(scope="session")
def longer(small_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """As `finished`, with twice the epochs."""
    return adlx.train([*small_words, "trainer.max_epochs=4", f"output_dir={tmp_path_factory.mktemp('longer')}"])


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Run:
    shutil.copytree(finished.path, tmp_path / "copied")
    return adlx.open_run(tmp_path / "copied")


@pytest.fixture(scope="session")
def encoder_words() -> list[str]:
    """Overrides of a small transformer, which has layers of many types."""
    return ["model=transformer", "model.hidden=8", "model.heads=2", "model.blocks=1", "trainer.max_epochs=1"]


@pytest.fixture(scope="session")
def encoder(small_words: list[str], encoder_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A base run for fine-tuning, on two series, that tests must not change."""
    return adlx.train([*small_words, *encoder_words, f"output_dir={tmp_path_factory.mktemp('encoder')}"])


@pytest.fixture
def three(tmp_path: Path) -> str:
    """The override for a table of three series."""
    walk_frame(ROWS, series=3, seed=1).to_csv(tmp_path / "three.csv")
    return f"data.path={tmp_path / 'three.csv'}"


class Canary:
    """A package whose import writes a file."""

    def __init__(self, folder: Path) -> None:
        self.song = folder / "the_canary_sang"
        package = folder / "evil_pkg"
        package.mkdir()
        (package / "__init__.py").write_text(f"open({str(self.song)!r}, 'w').close()\n")
        (package / "model.py").write_text(
            "from adlx.models.forecasting.baselines import Naive\n\n\n"
            "class Evil(Naive):\n    pass\n\n\nclass Pickled:\n    pass\n"
        )

    @property
    def silent(self) -> bool:
        return not self.song.exists()


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canary]:
    bird = Canary(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(targets, "_TRUSTED", set(targets._TRUSTED))
    yield bird
    for module in [name for name in sys.modules if name.split(".")[0] == "evil_pkg"]:
        del sys.modules[module]
