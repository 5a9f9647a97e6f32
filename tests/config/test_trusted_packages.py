"""Trust in a package of the user: given once on a machine, stored there, and valid for the package's folder only."""

import json
import logging
import shutil
import sys

import pytest
import yaml
from torch import nn
from user_errors import user_error_of

import adlx
from adlx.config import targets
from adlx.config.targets import resolve, trust
from adlx.config.trusted_packages import stored_trust, trust_file

EVIL = "evil_pkg.model.Evil"


@pytest.fixture
def new_process(monkeypatch):
    """Returns a function that removes the trust and the imports of this process, and keeps the stored trust."""

    def forget() -> None:
        monkeypatch.setattr(targets, "_TRUSTED", targets._TRUSTED - {"evil_pkg"})
        for module in [name for name in sys.modules if name.split(".")[0] == "evil_pkg"]:
            del sys.modules[module]

    return forget


def test_trust_is_stored_and_logged_once(canary, new_process, caplog, tmp_path):
    caplog.set_level(logging.INFO, logger="adlx")
    trust(["evil_pkg"])
    assert caplog.messages == [
        f"allow: evil_pkg in {tmp_path} is trusted on this machine from now on (stored in {trust_file()})"
    ]
    assert json.loads(trust_file().read_text()) == {"evil_pkg": [str(tmp_path)]}
    assert canary.silent
    new_process()
    assert resolve(EVIL, nn.Module, "model").__name__ == "Evil"
    trust(["evil_pkg"])
    assert len(caplog.messages) == 1


def test_a_trusted_package_is_imported_from_its_trusted_folder(canary, new_process, monkeypatch, tmp_path):
    trust(["evil_pkg"])
    new_process()
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder != str(tmp_path)])
    assert resolve(EVIL, nn.Module, "model").__name__ == "Evil"


def test_another_package_of_the_same_name_is_not_trusted(canary, new_process, monkeypatch, tmp_path):
    """A folder from somebody else may contain a package with the name of a trusted one."""
    trust(["evil_pkg"])
    new_process()
    stranger = tmp_path / "download"
    shutil.copytree(tmp_path / "evil_pkg", stranger / "evil_pkg")
    monkeypatch.syspath_prepend(str(stranger))
    assert user_error_of(resolve, EVIL, nn.Module, "model") == (
        f"model._target_={EVIL} is refused: evil_pkg is not trusted here (it is trusted in {tmp_path}, and this one is "
        f"in {stranger}); if it is yours, add 'allow=[evil_pkg]' to the command once"
    )
    assert canary.silent


@pytest.mark.parametrize("content", ["", "[]", "{", '{"evil_pkg": true}', '{"evil_pkg": []}'])
def test_an_invalid_trust_file_gives_no_trust(content, canary):
    trust_file().parent.mkdir(exist_ok=True)
    trust_file().write_text(content)
    assert "evil_pkg is not trusted here; if it is yours, add 'allow=[evil_pkg]'" in user_error_of(
        resolve, EVIL, nn.Module, "model"
    )
    assert canary.silent


def test_trust_that_the_user_did_not_type_is_not_stored(canary):
    trust(["evil_pkg"], store=False)
    assert stored_trust() == {}


@pytest.mark.parametrize("verb", ["evaluate", "predict", "resume"])
def test_a_strangers_run_is_refused_until_its_package_is_allowed_once(verb, copied, canary, new_process, caplog):
    """The `allow` in the config of a run folder gives no trust. After the user types it once, later verbs accept it."""
    caplog.set_level(logging.INFO, logger="adlx")
    config = yaml.safe_load((copied.path / "config.yaml").read_text())
    config["allow"] = ["evil_pkg"]
    config["loss"] = {"_target_": "evil_pkg.model.NoSuchLoss"}
    (copied.path / "config.yaml").write_text(yaml.safe_dump(config))
    more = ["trainer.max_epochs=3"] if verb == "resume" else []
    run = getattr(adlx.open_run(copied.path), verb)
    assert user_error_of(run, more) == (
        "loss._target_=evil_pkg.model.NoSuchLoss is refused: evil_pkg is not trusted here; "
        "if it is yours, add 'allow=[evil_pkg]' to the command once"
    )
    assert canary.silent
    assert stored_trust() == {}
    assert "cannot be found" in user_error_of(run, [*more, "allow=[evil_pkg]"])
    assert "is trusted on this machine from now on" in caplog.text
    new_process()
    assert "cannot be found" in user_error_of(run, more)
