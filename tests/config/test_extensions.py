"""An installed package adds choices by an entry point. It needs no `allow`, since the user installed it."""

import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from user_errors import user_error_of

import adlx
from adlx.cli import completion as completion_verb
from adlx.cli import list as list_verb
from adlx.cli import train as train_verb
from adlx.config import catalog, targets
from adlx.config.apply import apply
from adlx.config.catalog import config_folder, config_folders, description, extensions, options
from adlx.config.compose import compose
from adlx.runs.groups import checked

PACKAGE = "lab_models"

MODEL = """
from adlx.models.forecasting.baselines import Naive


class LabModel(Naive):
    def __init__(self, spec, gain: float = 1.0) -> None:
        super().__init__(spec)
        self.gain = gain
"""

DATA = """
from adlx.data.series.csv import CSV


class LabData(CSV):
    pass
"""

FILES = {
    "model/lab.yaml": "# the model of the lab\ndefaults:\n  - override /task@_global_.task: forecast\n"
    f"_target_: {PACKAGE}.model.LabModel\ngain: 1.0\n",
    "model/naive.yaml": "# a file of a name that adlx has too\n_target_: lab_models.model.LabModel\n",
    "data/lab.yaml": "# the data of the lab\ndefaults:\n  - series/windows@_here_\n"
    f"_target_: {PACKAGE}.data.LabData\npath: ???\n",
    "experiment/lab.yaml": "# @package _global_\n# adlx train experiment=lab data.path=TABLE\n# a study of the lab\n"
    "defaults:\n  - override /model: lab\n  - override /data: lab\ntrainer: {max_epochs: 3}\n",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder of installed packages with one of them; its import writes a file."""
    folder = tmp_path / "site packages"
    package = folder / PACKAGE
    for name, text in FILES.items():
        path = package / "settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (package / "__init__.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    (package / "model.py").write_text(MODEL)
    (package / "data.py").write_text(DATA)
    facts = folder / f"{PACKAGE}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[adlx.configs]\nlab = {PACKAGE}.settings\n")
    monkeypatch.syspath_prepend(str(folder))
    extensions.cache_clear()
    yield package / "settings"
    uninstall(monkeypatch)


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    extensions.cache_clear()
    for module in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[module]


def is_imported(site: Path) -> bool:
    return PACKAGE in sys.modules or (site.parents[2] / "imported").exists()


def test_no_extension_is_installed_in_this_environment():
    """Otherwise the tests of this folder would also read its files."""
    installed = [point.value for point in entry_points(group=catalog.ENTRY_POINTS)]
    assert not installed, f"uninstall the packages of {installed} to test adlx"
    assert config_folders() == [config_folder()]


def test_choices_of_a_package_are_listed_without_importing_it(site, capsys):
    assert extensions() == {PACKAGE: site}
    assert config_folders() == [config_folder(), site]
    assert options("model")["lab"] == site / "model" / "lab.yaml"
    assert options("model")["naive"] == config_folder() / "model" / "naive.yaml"  # an extension cannot replace it
    list_verb.main([])
    lines = capsys.readouterr().out.splitlines()
    for group in ("model", "data", "experiment"):
        path, width = site / group / "lab.yaml", max(map(len, options(group)))
        assert f"  {'lab':<{width}} {description(path)}" in lines
    completion_verb.main(["complete", "--", "adlx train model=lab model."])
    assert capsys.readouterr().out.splitlines() == ["model.gain="]
    assert not is_imported(site)


def test_only_the_check_of_a_config_imports_the_package(site):
    composition = compose(["model=lab", "data=lab", "data.path=x", "model.gain=2"])
    assert composition.config["model"] == {"_target_": f"{PACKAGE}.model.LabModel", "gain": 2}
    assert composition.config["task"] == {"_target_": "adlx.tasks.forecast.Forecast"}
    assert composition.config["data"]["context"] == 96
    assert (composition.name, composition.folders) == ("lab-lab", [config_folder(), site])
    assert composition.user_folders == []  # an installed package needs no entry
    assert composition.origin("data.path") == "on the command line (data.path=x)"
    assert composition.origin("model._target_") == "in model/lab.yaml"
    assert not is_imported(site)

    assert composition.config["allow"] == []
    config = checked(composition.config, composition.origin)
    assert config.model.target.__name__ == "LabModel"
    assert config.model.arguments == {"gain": 2.0}
    assert is_imported(site)
    assert PACKAGE not in targets._TRUSTED  # it is trusted because it is installed, and the list does not grow


def test_an_experiment_of_the_package_composes(site):
    composition = compose(["experiment=lab", "data.path=x"])
    assert composition.choices["model"] == composition.choices["data"] == composition.choices["experiment"] == "lab"
    assert composition.config["trainer"]["max_epochs"] == 3
    assert composition.origin("trainer.max_epochs") == "in experiment/lab.yaml"


def test_errors_name_choices_and_keys_of_the_package(site):
    models = ", ".join(options("model"))
    assert (
        user_error_of(compose, ["model=labb", "data=fx"]) == f"unknown model=labb; did you mean lab?; one of {models}"
    )
    composition = compose(["model=lab", "data=fx", "model.gian=2"])
    assert user_error_of(checked, composition.config, composition.origin) == (
        "unknown key model.gian on the command line (model.gian=2); did you mean gain?"
    )


def test_a_stored_config_can_use_data_of_the_package(site):
    stored = compose(["model=naive", "data=fx"]).config
    config, allow = apply(stored, ["data=lab", "data.path=x"])
    assert (config["data"]["_target_"], config["data"]["path"]) == (f"{PACKAGE}.data.LabData", "x")
    assert config["data"]["scaling"] == "standard"
    assert allow == []


def test_the_command_shows_the_config_of_the_package(site, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_verb.main(["model=lab", "data=lab", "data.path=x", "--cfg", "job"])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown == compose(["model=lab", "data=lab", "data.path=x"]).config


def test_a_run_of_the_package_can_be_evaluated_while_it_is_installed(site, small_words, tmp_path, monkeypatch):
    words = [word for word in small_words if not word.startswith(("model=", "data="))]
    run = adlx.train(["model=lab", "data=lab", *words, f"output_dir={tmp_path}"])
    assert run.info["config_folders"] == []
    assert run.metrics["test/skill"] == 0  # a naive forecast under another name
    scores = run.evaluate()
    assert scores == {key: run.metrics[key] for key in scores}
    uninstall(monkeypatch)
    assert user_error_of(adlx.open_run(run.path).evaluate) == (
        f"model._target_={PACKAGE}.model.LabModel is refused: {PACKAGE} is not trusted here"
        f"; if it is yours, add 'allow=[{PACKAGE}]' to the command once"
    )
