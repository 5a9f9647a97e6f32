"""What a user asks for before there is any run: fast, because nothing heavy is imported."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from shell import environment

from adlx.cli.main import VERBS
from adlx.config.catalog import GROUPS, description, options
from adlx.config.compose import compose
from adlx.runs.groups import checked

LIGHT = [
    ["--help"],
    ["help"],
    ["--version"],
    *([verb, "--help"] for verb in VERBS),
    ["list"],
    ["list", "model"],
    *(["completion", shell] for shell in ("bash", "zsh", "fish")),
    ["completion", "complete", "--", "adlx train model=se"],
    ["trian"],
]
HEAVY = (
    "torch",
    "pytorch_lightning",
    "lightning_fabric",
    "hydra",
    "omegaconf",
    "numpy",
    "pandas",
    "matplotlib",
    "rich",
)

PROBE = """
import contextlib, io, json, sys
from adlx.cli.main import run
told = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run(words)
    told.append([code, len(out.getvalue()), err.getvalue(), [m for m in json.loads(sys.argv[2]) if m in sys.modules]])
print(json.dumps(told))
"""


def test_nothing_heavy_is_imported():
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(LIGHT), json.dumps(HEAVY)],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    for words, (code, told, err, imported) in zip(LIGHT, json.loads(done.stdout), strict=True):
        assert imported == [], words
        if words == ["trian"]:
            assert (code, told, err) == (2, 0, "adlx: no verb trian; did you mean train?\n")
        else:
            assert (code, err) == (0, ""), words
            assert told > 5, words


def examples(help_text: str) -> list[list[str]]:
    """The commands at the end of a help, as words."""
    tail = help_text.partition("examples:\n")[2]
    lines = [line.partition("  #")[0].strip() for line in tail.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("adlx ", "eval ", "tensorboard "))]


def test_help(call):
    ended = call("--help")
    assert ended.code == 0
    for verb, text in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(text)}$", ended.out, re.MULTILINE)
    assert [words[:2] for words in examples(ended.out)] == [
        ["adlx", "train"],
        ["adlx", "train"],
        ["tensorboard", "--logdir"],
    ]
    bare = call()
    assert (bare.code, bare.out) == (2, ended.out)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_ends_in_its_examples(verb, call):
    ended = call(verb, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"usage: adlx {verb} ")
    found = examples(ended.out)
    assert len(found) >= 2
    assert all(f"adlx {verb}" in " ".join(words) for words in found)


@pytest.mark.parametrize("verb", ["", "train"])
def test_examples_of_train_compose_and_pass(verb, call):
    tried = 0
    for words in examples(call(*filter(None, [verb, "--help"])).out):
        if words[:2] != ["adlx", "train"]:
            continue
        settings = [word.split(",")[0] for word in words[2:] if word not in ("-m", "--cfg", "job")]
        composition = compose(settings)
        checked(composition.config, composition.origin)
        tried += 1
    assert tried >= 2


@pytest.mark.parametrize("verb", ["resume", "eval", "predict", "compare", "export"])
def test_a_verb_that_needs_a_run_says_so(verb, call):
    ended = call(verb)
    assert ended.code == 2
    assert "RUN" in ended.out + ended.err


def test_list(call):
    ended = call("list")
    assert ended.code == 0
    assert [line[:-1] for line in ended.lines if not line.startswith(" ")] == list(GROUPS)
    for group in GROUPS:
        for name, path in options(group).items():
            assert f"  {name:<16} {description(path)}" in ended.lines
    alone = call("list", "model")
    assert alone.lines == ["model=", *(f"  {n:<16} {description(p)}" for n, p in options("model").items())]


def test_cfg_job_shows_the_config_and_makes_nothing(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = call("train", "model=seq2seq", "data=fx", "model.hidden=5", "--cfg", "job")
    assert (ended.code, ended.err) == (0, "")
    assert yaml.safe_load(ended.out) == compose(["model=seq2seq", "data=fx", "model.hidden=5"]).config
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("adlx ", list(VERBS)),
        ("adlx co", ["compare", "completion"]),
        ("adlx list opt", ["optimizer", "optimizer/schedule"]),
        ("adlx train mod", ["model="]),
        ("adlx train model=se", [f"model={name}" for name in ("sea", "sea_autoencoder", "seasonal_naive", "seq2seq")]),
        (
            "adlx train optimizer/schedule=",
            [f"optimizer/schedule={name}" for name in ("constant", "cosine", "long_warmup")],
        ),
        ("adlx train model=seasonal_naive model.", ["model.season="]),
        (
            "adlx train model=seq2seq model.teacher_forcing_",
            [f"model.teacher_forcing_{word}=" for word in ("final", "steps")],
        ),
        ("adlx train data.sp", ["data.split=", "data.split_seed="]),
        ("adlx train nothing=", []),
    ],
)
def test_complete(line, words, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = call("completion", "complete", "--", line)
    assert ended.code == 0
    assert [word for word in ended.lines if word] == words


def test_complete_names_run_folders(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("naive-fx/1", "naive-fx/2", "seq2seq-fx/1"):
        folder = tmp_path / "outputs" / name
        folder.mkdir(parents=True)
        (folder / "run.json").touch()
    assert call("completion", "complete", "--", "adlx eval outputs/n").lines == [
        "outputs/naive-fx/1",
        "outputs/naive-fx/2",
    ]


def test_the_script_for_bash_completes(tmp_path):
    """In a real bash, with the cursor behind `model=se`."""
    script = (
        'eval "$(adlx completion bash)"; COMP_LINE="adlx train model=se"; COMP_POINT=${#COMP_LINE}; '
        '_adlx; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    folder = str(Path(sys.executable).parent)
    shell = environment(PATH=f"{folder}:{environment()['PATH']}")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=shell, cwd=tmp_path, check=True)
    assert done.stdout.split() == ["sea", "sea_autoencoder", "seasonal_naive", "seq2seq"]
