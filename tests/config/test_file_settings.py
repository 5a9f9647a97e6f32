"""The settings of a config file as help and completion read them, line by line and without Hydra."""

import pytest
import yaml

from adlx.config.catalog import NODES, config_folder, options
from adlx.config.compose import compose
from adlx.config.file_settings import Setting, listed_values, node_settings, read_config_file, resolved_choices

FOLDERS = [config_folder()]


def test_keys_have_values_comments_and_classes(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(
        "# a: comment\n_target_: pkg.X\nhidden: 3  # of: it\n\nnested:\n  # inner: no\n  _target_: pkg.Y\n"
        "  inner: [1, 2]\nlast:\n"
    )
    file = read_config_file(path, [tmp_path])
    assert file.target == "pkg.X"
    assert file.settings == {
        "hidden": Setting("3", "of: it", "pkg.X", "hidden"),
        "nested": Setting("", "", "pkg.X", "nested"),
        "nested.inner": Setting("[1, 2]", "", "pkg.Y", "inner"),
        "last": Setting("", "", "pkg.X", "last"),
    }


def test_included_files_come_first_and_belong_to_the_class_of_the_file(tmp_path):
    (tmp_path / "data" / "shared").mkdir(parents=True)
    (tmp_path / "data" / "shared" / "split.yaml").write_text("split: 1\nseed: 2\n")
    (tmp_path / "data" / "base.yaml").write_text("rate: 1\nseed: 3\n")
    path = tmp_path / "data" / "x.yaml"
    path.write_text(
        "defaults:\n- shared/split@_here_  # note\n- /data/base\n- _self_\n- override /task@_global_.task: y\n"
        "- override /loss: null\n_target_: pkg.X\nown: 3\n"
    )
    file = read_config_file(path, [tmp_path])
    assert {key: (setting.value, setting.target) for key, setting in file.settings.items()} == {
        "split": ("1", "pkg.X"),
        "seed": ("3", "pkg.X"),
        "rate": ("1", "pkg.X"),
        "own": ("3", "pkg.X"),
    }
    assert file.choices == {"task": "y"}


@pytest.mark.parametrize("text", ["", "- 1\n", "a: {b: 1}\n", "\tx: 1\n", "a: [\n 1,\n 2]\n", "? x\n"])
def test_reading_a_file_never_raises_an_error(text, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert read_config_file(path, []).choices == {}
    path.write_bytes(b"\xff\xfe")
    assert read_config_file(path, []).settings == {}
    assert read_config_file(tmp_path / "none.yaml", []).settings == {}


@pytest.mark.parametrize(
    ("value", "comment", "values"),
    [
        ("post", "post, pre", ["post", "pre"]),
        ("post", "post, pre or none", ["post", "pre", "none"]),
        ("post", "one of post | pre", ["post", "pre"]),
        ("ridge", "none, ridge, or a list of them", ["ridge", "none"]),
        ("bundled", "bundled, openfoam (which must be installed)", ["bundled", "openfoam"]),
        ("auto", "left, right", ["auto", "left", "right"]),
        ("null", "left, right", ["left", "right"]),
        ("???", "left, right; needed", ["left", "right"]),
        ("3", "1 grey, 3 colour", ["3", "1"]),
        ("fast", "fast: less exact, slow: exact", ["fast", "slow"]),
        ("'a'", "'a', 'b'", ["a", "b"]),
        ("false", "mirror images, at random", ["true", "false"]),
        ("17520", "rows to simulate", []),
        ("32", "around the blocks; 0: none", []),
        ("null", "hidden / heads", []),
        ("null", "null: the column that holds times", []),
        ("101", "96 in, 5 out", []),
        ("[1, 2]", "rows, columns", []),
        ("3", "rows or columns", []),
        ("3", "", []),
    ],
)
def test_values_that_a_comment_lists(value, comment, values):
    assert listed_values(Setting(value, comment, "", "x")) == values


def test_settings_and_choices_are_those_that_hydra_composes():
    """For every model and experiment with its own data, and for the words of the command line."""

    def leaves(tree: object, key: str = "") -> set[str]:
        if isinstance(tree, dict) and tree:
            return {leaf for name, value in tree.items() for leaf in leaves(value, f"{key}.{name}".strip("."))}
        return {key}

    chosen = [{"experiment": name} for name in options("experiment")]
    chosen += [{"model": "transformer", "data": "fx", "optimizer/schedule": "constant", "finetune": "lora"}]
    for choices in chosen:
        required = ["data.path=x"] if choices.get("experiment") in ("a1_elm", "a5_diffusion") else []
        words = [f"{group}={name}" for group, name in choices.items()]
        if {"a4_lora", "lora"} & set(choices.values()):
            required += ["finetune.run=x"]
        composition = compose([*words, *required])
        resolved = resolved_choices(choices, FOLDERS)
        assert {group: composition.choices[group] for group in resolved} == resolved
        for node in NODES:
            listed = set(node_settings(node, resolved, FOLDERS))
            composed = {key for key in leaves(composition.config[node]) if not key.endswith("_target_")} - {""}
            added = (
                leaves(yaml.safe_load(options("experiment")[name].read_text()).get(node, {}))
                if (name := choices.get("experiment"))
                else set()
            )
            assert listed - {"schedule"} <= composed | added, node
            assert composed - {"schedule"} <= listed | added, node
