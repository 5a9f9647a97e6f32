"""The classes that a config may name, and those that it may not, above all in a config from somebody else."""

import os
import re

import pytest
import yaml
from pytorch_lightning import Callback
from torch import nn
from torch.optim import Optimizer

from adlx.config import targets
from adlx.config.check import check_node
from adlx.config.nodes import Group, Node
from adlx.config.targets import dotted, resolve, trust
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.models.forecasting.baselines import Naive

UNTRUSTED = (
    "model._target_={0} is refused: {1} is not trusted here; if it is yours, add 'allow=[{1}]' to the command once"
)
NO_CLASS = "model._target_={0} is refused: it is no class of a trusted package"


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("os.system", UNTRUSTED.format("os.system", "os")),
        ("builtins.eval", UNTRUSTED.format("builtins.eval", "builtins")),
        ("torch.load", UNTRUSTED.format("torch.load", "torch")),
        ("torch.hub.load", UNTRUSTED.format("torch.hub.load", "torch")),
        ("torch.nnx.Linear", UNTRUSTED.format("torch.nnx.Linear", "torch")),
        ("torch.nnsomething", UNTRUSTED.format("torch.nnsomething", "torch")),
        ("adlx_evil.Model", UNTRUSTED.format("adlx_evil.Model", "adlx_evil")),
        ("pytorch_lightning.Trainer", UNTRUSTED.format("pytorch_lightning.Trainer", "pytorch_lightning")),
        ("evil_pkg.model.Evil", UNTRUSTED.format("evil_pkg.model.Evil", "evil_pkg")),
        # Paths that start in a trusted module and lead through its imports to another package.
        ("adlx.runs.folder.os", NO_CLASS.format("adlx.runs.folder.os")),
        ("adlx.runs.folder.FileLock", NO_CLASS.format("adlx.runs.folder.FileLock")),
        ("adlx.runs.folder.Path", NO_CLASS.format("adlx.runs.folder.Path")),
        ("adlx.runs.train.train", NO_CLASS.format("adlx.runs.train.train")),
        ("torch.nn.functional.relu", NO_CLASS.format("torch.nn.functional.relu")),
        ("torch.nn.Linear.forward", "model._target_=torch.nn.Linear.forward cannot be found: "),
        ("adlx.runs.folder.os.system", "model._target_=adlx.runs.folder.os.system cannot be found: "),
        (
            "adlx.models.forecasting.seq2seq.Nothing",
            "model._target_=adlx.models.forecasting.seq2seq.Nothing cannot be found: ",
        ),
        ("adlx.nothing.Model", "model._target_=adlx.nothing.Model cannot be found: No module named 'adlx.nothing'"),
        ("torch.optim.Adam", "model._target_=torch.optim.Adam is refused: model must be a Module"),
        ("Model", "model._target_ is 'Model': give the dotted path of a class"),
        (None, "model._target_ is None: give the dotted path of a class"),
        (["os.system"], "model._target_ is ['os.system']: give the dotted path of a class"),
    ],
)
def test_an_untrusted_target_is_refused(target, line, canary):
    with pytest.raises(UserError) as caught:
        resolve(target, nn.Module, "model")
    message = str(caught.value)
    assert message == line if not line.endswith(": ") else message.startswith(line)
    assert "\n" not in message
    assert canary.silent


@pytest.mark.parametrize(
    ("target", "kind", "word"),
    [
        ("adlx.models.forecasting.baselines.Naive", DataModule, "DataModule"),
        ("adlx.models.forecasting.baselines.Naive", Callback, "Callback"),
        ("torch.nn.L1Loss", Optimizer, "Optimizer"),
    ],
)
def test_a_class_of_the_wrong_kind_is_refused(target, kind, word):
    with pytest.raises(UserError, match=rf"^node\._target_={target} is refused: node must be a {word}$"):
        resolve(target, kind, "node")


def test_a_trusted_class_is_built():
    assert resolve("adlx.models.forecasting.baselines.Naive", nn.Module, "model") is Naive
    node = check_node({"_target_": "torch.nn.HuberLoss", "delta": 0.25}, Group(nn.Module), "loss", lambda key: "")
    assert node == Node("loss", nn.HuberLoss, {"delta": 0.25}, frozenset({"reduction", "delta"}))
    loss = node.build()
    assert (type(loss), loss.delta) == (nn.HuberLoss, 0.25)


@pytest.mark.parametrize("target", [Naive, DataModule, nn.L1Loss])
def test_a_class_is_found_again_by_its_dotted_name(target):
    assert resolve(dotted(target), target, "node") is target


def test_an_allowed_package_is_trusted(canary):
    trust(["evil_pkg"])
    assert resolve("evil_pkg.model.Evil", nn.Module, "model").__name__ == "Evil"
    assert not canary.silent
    with pytest.raises(UserError, match="evil_pkg_2 is not trusted here"):
        resolve("evil_pkg_2.model.Evil", nn.Module, "model")


@pytest.mark.parametrize("package", ["a b", "", "os;rm", "-m"])
def test_a_word_that_is_no_package_name_is_refused(package):
    before = set(targets._TRUSTED)
    with pytest.raises(UserError, match=f"^allow={package!r} is not a package name$"):
        trust([package])
    assert before == targets._TRUSTED


STRANGE = {
    "os.system": lambda config: config["model"].update(_target_="os.system", command="touch sang"),
    "evil_pkg.model.Evil": lambda config: config["model"].update(_target_="evil_pkg.model.Evil"),
    "evil_pkg.Data": lambda config: config["data"].update(_target_="evil_pkg.Data"),
    "evil_pkg.Loss": lambda config: config["loss"].update(_target_="evil_pkg.Loss"),
    "evil_pkg.Rate": lambda config: config["optimizer"].update(schedule={"_target_": "evil_pkg.Rate"}),
    "evil_pkg.Hook": lambda config: config["callbacks"].update(evil={"_target_": "evil_pkg.Hook"}),
    "evil_pkg.Log": lambda config: config["logger"].update(evil={"_target_": "evil_pkg.Log"}),
    "evil_pkg.Watch": lambda config: config["trainer"].update(profiler={"_target_": "evil_pkg.Watch"}),
}


@pytest.mark.parametrize("target", STRANGE)
def test_a_stored_config_is_not_trusted(target, copied, canary, monkeypatch, tmp_path):
    """Neither the classes that it names nor its `allow` are trusted."""
    monkeypatch.chdir(tmp_path)
    path = copied.path / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["allow"] = ["evil_pkg", "os"]
    STRANGE[target](config)
    path.write_text(yaml.safe_dump(config))
    files = sorted(copied.path.rglob("*"))
    copied.info["status"] = "interrupted"
    for verb in (copied.evaluate, copied.predict, copied.resume):
        package = target.split(".")[0]
        with pytest.raises(UserError, match=re.escape(f"_target_={target} is refused: {package} is not trusted here")):
            verb()
    assert sorted(copied.path.rglob("*")) == files
    assert copied.info["status"] == "interrupted"
    assert canary.silent
    assert not os.path.exists("sang")
