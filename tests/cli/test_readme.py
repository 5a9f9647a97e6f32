"""The README and the other guides: their Python code runs, their commands are valid, and their files exist."""

import re
import shlex
import sys
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml

import adlx
from adlx.cli.main import VERBS
from adlx.config.compose import compose, for_hydra
from adlx.config.config_dirs import config_dir_words, split_config_dirs
from adlx.config.hydra_internals import grid_jobs
from adlx.runs.groups import checked

ROOT = Path(__file__).parents[2]
GUIDES = ["README.md", "CONTRIBUTING.md", "examples/extension/README.md"]
TINY = [
    *("data.context=12", "data.train_windows=64", "data.stride=50", "trainer.max_epochs=1", "trainer.accelerator=cpu"),
    *("trainer.threads=1", "logger=none"),
]


def blocks(guide: str, language: str) -> list[str]:
    """The code blocks of a guide in a language; "" is a block without one."""
    text = (ROOT / guide).read_text(encoding="utf-8")
    return [
        code for name, code in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) if name == language
    ]


def commands(guide: str) -> Iterator[list[str]]:
    """The words of every `adlx` command in the bash blocks of a guide."""
    for line in "\n".join(blocks(guide, "bash")).splitlines():
        parts = [shlex.split(part, comments=True) for part in line.split("&&")]
        yield from (words[1:] for words in parts if words[:1] == ["adlx"])


@pytest.mark.usefixtures("unpainted")
@pytest.mark.parametrize("code", [code for code in blocks("README.md", "python") if "import adlx\n" in code])
def test_python_code_of_the_readme_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = adlx.train
    monkeypatch.setattr(adlx, "train", lambda words: train([*words, *TINY]), raising=False)
    names: dict[str, object] = {}
    exec(code, names)
    results = [value for name, value in names.items() if name in ("forecast", "scores", "sweep", "latest")]
    assert results
    for value in results:
        assert value is not None
    if "sweep" in names:
        assert names["sweep"].failed == {}
        assert names["latest"].path == names["sweep"].runs[-1].path


@pytest.fixture
def mean_model(monkeypatch, tmp_path):
    """The README's example of a model: its class in a module, its YAML in a folder of configs."""
    (code,) = [code for code in blocks("README.md", "python") if "import adlx\n" not in code]
    (config,) = blocks("README.md", "yaml")
    target = yaml.safe_load(config)["_target_"]
    module = types.ModuleType(target.rpartition(".")[0])
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    (tmp_path / "my_configs" / "model").mkdir(parents=True)
    (tmp_path / "my_configs" / "model" / "mean.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    return module.Mean


def test_the_model_of_the_readme_composes_and_forecasts_the_mean(mean_model):
    composition = compose(["--config-dir=my_configs", "model=mean", "data=fx", "data.horizon=3"])
    checked(composition.config, composition.origin)
    assert composition.choices["task"] == "forecast"
    model = mean_model(adlx.specs.SeriesSpec(series=("a", "b"), context=4, horizon=3), steps=2)
    past = torch.arange(8.0).reshape(1, 4, 2)
    expected = torch.tensor([[[5.0, 6.0]] * 3])
    torch.testing.assert_close(model.forecast(past), expected)


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.usefixtures("mean_model")
def test_commands_of_the_guides_are_valid(guide):
    """`mean` and `my_package` are examples of the README. Names of the extension are in its own config folder."""
    (extension,) = (ROOT / "examples" / "extension" / "src").glob("*/configs")
    for words in commands(guide):
        verb, *rest = words
        if verb != "train":
            parser = import_module(f"adlx.cli.{verb}").parser()
            given = parser.parse_args(split_config_dirs(rest)[0])
            settings = getattr(given, "settings", [])
            assert all(word.startswith(parser.prefixes) for word in settings), words
            continue
        others, folders = split_config_dirs([word for word in rest if word not in ("-m", "allow=[my_package]")])
        folders += [extension] if "extension" in guide else []
        job = grid_jobs(for_hydra(others, folders, multirun=True))[0]
        composition = compose([*config_dir_words(folders), *job])
        if extension not in folders:  # tests/examples installs it, and trains with it
            checked(composition.config, composition.origin)


@pytest.mark.parametrize("guide", GUIDES)
def test_files_and_verbs_that_the_guides_name_exist(guide):
    text = (ROOT / guide).read_text(encoding="utf-8")
    files = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r"`((?:scripts|tests|src|examples)/[\w./]+)", text)
    added = "src/adlx/models/forecasting/mean.py"
    assert [file for file in files if file != added and not (ROOT / guide).parent.joinpath(file).exists()] == []
    assert set(re.findall(r"`adlx (\w+)", text)) - {"VERB"} <= set(VERBS)


def test_the_mistake_in_the_readme_is_reported_with_these_words(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = [block for block in blocks("README.md", "") if block.startswith("$ adlx")]
    command, line = block.splitlines()
    ended = call(*shlex.split(command)[2:])
    assert (ended.code, ended.out, ended.err) == (2, "", f"{line}\n")
    assert list(tmp_path.iterdir()) == []
