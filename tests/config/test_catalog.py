"""The choices that `adlx list` shows, read from the config files."""

import re

import pytest

from adlx.config.catalog import GROUPS, NODES, config_folder, description, options


def test_options_are_the_files(tmp_path):
    assert set(options("model")) >= {"drift", "naive", "nlinear", "seasonal_naive", "seq2seq"}
    assert set(options("optimizer")) == {"adam", "adamw", "diffusion", "fields", "sgd"}
    assert list(options("optimizer/schedule")) == ["constant", "cosine", "long_warmup"]
    assert options("nothing") == {}
    (tmp_path / "model").mkdir()
    for name in ("b", "a"):
        (tmp_path / "model" / f"{name}.yaml").touch()
    assert list(options("model", [tmp_path])) == ["a", "b"]
    assert options("model", [config_folder(), tmp_path]) == {
        **options("model", [config_folder()]),
        "a": tmp_path / "model" / "a.yaml",
        "b": tmp_path / "model" / "b.yaml",
    }


def test_the_first_folder_that_has_an_option_wins(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "naive.yaml").touch()
    naive = config_folder() / "model" / "naive.yaml"
    assert options("model", [config_folder(), tmp_path])["naive"] == naive
    assert options("model", [tmp_path, config_folder()])["naive"] == tmp_path / "model" / "naive.yaml"


SHARED = {"data/fields", "data/images", "data/series"}
"""Folders of keys that several files of a group include. They are not choices."""


def test_every_folder_is_a_group():
    folders = {path.parent.relative_to(config_folder()).as_posix() for path in config_folder().rglob("*.yaml")}
    assert folders - {"."} - SHARED == set(GROUPS)
    assert folders >= SHARED
    assert set(NODES) < set(GROUPS)


@pytest.mark.parametrize("path", sorted(config_folder().rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_describes_itself_in_one_short_line(path):
    text = description(path)
    assert 10 <= len(text) <= 110
    assert not text.endswith(".") or path.name == "train.yaml"


@pytest.mark.parametrize("path", options("experiment").values(), ids=lambda path: path.stem)
def test_an_experiment_begins_with_its_launch_command(path):
    lines = path.read_text().splitlines()
    words = r"finetune\.run=RUN|data\.path=[A-Z]+|model\.autoencoder=RUN"
    assert any(re.fullmatch(rf"# adlx train experiment={path.stem}( ({words}))?", line) for line in lines[:2])


def test_description_is_not_the_launch_command_or_a_directive(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("# @package _global_\n# adlx train experiment=x\n#  what it is \n# more\na: 1\n")
    assert description(path) == "what it is"
    path.write_text("a: 1\n# late\n")
    assert description(path) == ""
