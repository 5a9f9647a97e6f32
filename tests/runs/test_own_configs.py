"""A run with the user's own config files and classes, evaluated later from another folder."""

import json
import logging
import sys
from pathlib import Path

import pytest
import yaml
from generators import walk_frame
from user_errors import user_error_of

import adlx
from adlx.cli import train as train_verb
from adlx.cli.main import run as run_command
from adlx.config import targets
from adlx.sweeps.multirun import run_sweep, summarize
from adlx.sweeps.resume import resume_sweep

PACKAGE = "my_research"

MODULE = """
from adlx.data.series.csv import CSV
from adlx.models.forecasting.baselines import Naive


class Mine(Naive):
    pass


class Table(CSV):
    pass
"""

FILES = {
    "model/mine.yaml": "# mine\ndefaults:\n  - override /task@_global_.task: forecast\n"
    f"_target_: {PACKAGE}.parts.Mine\n",
    "data/mine.yaml": f"# mine\ndefaults:\n  - series/windows@_here_\n_target_: {PACKAGE}.parts.Table\npath: ???\n",
    "data/plain.yaml": "# a table with other windows\ndefaults:\n  - series/windows@_here_\n"
    "_target_: adlx.data.series.csv.CSV\npath: ???\nbatch_size: 7\n",
}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A working folder with a package, a folder of configs and a table."""
    folder = tmp_path / "work"
    for name, text in FILES.items():
        path = folder / "my configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / PACKAGE).mkdir()
    (folder / PACKAGE / "__init__.py").touch()
    (folder / PACKAGE / "parts.py").write_text(MODULE)
    walk_frame(200, seed=1).to_csv(folder / "other.csv")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(targets, "_TRUSTED", set(targets._TRUSTED))
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield folder
    for module in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[module]


def only_run(folder: Path) -> adlx.Run:
    (path,) = (folder / "outputs").glob("*/*")
    return adlx.open_run(path)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Changes to another folder, as in a new process that does not trust the user's package yet."""

    def go() -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(targets, "_TRUSTED", targets._TRUSTED - {PACKAGE})

    return go


def rest(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith(("model=", "data=", "data.path="))]


@pytest.mark.parametrize("flag", [["--config-dir", "my configs"], ["--config-dir=my configs"], ["-cd", "my configs"]])
def test_a_run_stores_its_config_folder(flag, workspace, small_words, elsewhere):
    """Later verbs need neither `--config-dir` nor `allow=` on the machine where the run was trained."""
    words = ["model=mine", "data=mine", "data.path=other.csv", *rest(small_words), f"allow=[{PACKAGE}]"]
    train_verb.main([*words, *flag])
    run = only_run(workspace)
    assert run.name == "mine-mine"
    assert run.info["config_folders"] == [str(workspace / "my configs")]
    elsewhere()
    table = f"data.path={workspace / 'other.csv'}"
    scores = run.evaluate(["data=mine", table])
    assert scores == {key: run.metrics[key] for key in scores}
    forecast = run.predict(["data=mine", table])
    assert forecast.shape == (2, 2)


def test_other_data_of_the_users_own_for_a_run_of_adlx(workspace, small_words, elsewhere):
    """A choice without classes of the user's own does not need `allow=`."""
    words = ["model=naive", "data=plain", "data.path=other.csv", *rest(small_words), "--config-dir", "my configs"]
    train_verb.main(words)
    run = only_run(workspace)
    elsewhere()
    evaluated = run.evaluate(["data=plain", f"data.path={workspace / 'other.csv'}"])
    assert evaluated == {key: run.metrics[key] for key in evaluated}
    (folder,) = (run.path / "evaluations").iterdir()
    data = yaml.safe_load((folder / "config.yaml").read_text())["data"]
    assert (data["batch_size"], data["context"], data["horizon"]) == (7, 12, 2)


def test_choices_of_a_config_folder_that_was_removed_are_unknown(workspace, small_words, elsewhere, tmp_path):
    words = ["model=naive", "data=plain", "data.path=other.csv", *rest(small_words), "--config-dir", "my configs"]
    train_verb.main(words)
    run = only_run(workspace)
    elsewhere()
    (workspace / "my configs").rename(tmp_path / "moved")
    scores = run.evaluate()  # the folder of the run contains its config
    assert scores == {key: run.metrics[key] for key in scores}
    assert user_error_of(run.evaluate, ["data=plain"]).startswith("unknown data=plain; ")


def test_a_run_from_python_stores_its_config_folder_too(workspace, small_words, elsewhere):
    own = f"hydra.searchpath=['file://{workspace / 'my configs'}']"
    run = adlx.train([own, "model=naive", "data=plain", "data.path=other.csv", *rest(small_words)])
    assert run.info["config_folders"] == [str(workspace / "my configs")]
    elsewhere()
    scores = run.evaluate(["data=plain", f"data.path={workspace / 'other.csv'}"])
    assert scores == {key: run.metrics[key] for key in scores}


def test_a_folder_of_configs_named_later_is_remembered(copied, workspace, tmp_path, call_verb):
    """A run that was trained without `--config-dir` can be evaluated on the user's own choice of data."""
    words = ["data=plain", f"data.path={workspace / 'other.csv'}"]
    assert user_error_of(copied.evaluate, words).startswith("unknown data=plain; ")
    assert user_error_of(copied.evaluate, ["--config-dir", "no such", *words]) == (
        "--config-dir=no such is not a folder; check the spelling and the folder you are in"
    )
    assert call_verb("eval", str(copied.path), "--config-dir", "my configs", *words) == 0
    run = adlx.open_run(copied.path)
    assert run.info["config_folders"] == [str(workspace / "my configs")]
    assert run.evaluate(words)  # the folder need not be named again
    assert call_verb("predict", str(copied.path), *words) == 0


def test_a_choice_of_data_with_an_error_lists_the_users_own(copied, workspace):
    line = user_error_of(copied.evaluate, ["--config-dir=my configs", "data=plian"])
    assert line.startswith("unknown data=plian; did you mean plain?; one of ")


@pytest.fixture
def call_verb(monkeypatch):
    """Runs a command in this process."""
    monkeypatch.delenv("ADLX_DEBUG", raising=False)
    logger = logging.getLogger("adlx")
    before = logger.handlers[:], logger.level, logger.propagate
    yield lambda *words: run_command(list(words))
    logger.handlers[:], logger.level, logger.propagate = before


def test_list_shows_the_users_own_choices(workspace, capsys, call_verb):
    for flag in (["--config-dir", "my configs"], ["--config-dir=my configs"]):
        assert call_verb("list", "data", *flag) == 0
        lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
        assert ["plain", "a table with other windows"] in lines


def test_the_jobs_of_a_sweep_find_the_users_folder_when_it_is_resumed(workspace, small_words, elsewhere):
    """Job 1 has no result; it is started again from the plan, without `--config-dir`."""
    words = [
        "model=mine",
        "data=mine",
        f"data.path={workspace / 'other.csv'}",
        *rest(small_words),
        f"allow=[{PACKAGE}]",
    ]
    sweep = run_sweep(["-m", "seed=0,1", *words, "--config-dir", "my configs"])
    assert sweep.failed == {}
    plan = json.loads((sweep.path / "multirun.json").read_text())
    assert plan["config_folders"] == [str(workspace / "my configs")]
    (sweep.path / "jobs" / "1.json").unlink()
    elsewhere()
    assert resume_sweep(sweep.path, [], str) == 2
    again = summarize(sweep.path)
    assert again.failed == {}
    assert again.runs[1].metrics["test/mase"] == sweep.runs[1].metrics["test/mase"]
