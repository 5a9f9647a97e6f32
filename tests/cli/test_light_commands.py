"""Commands that need no run are fast, because they import neither torch nor Hydra."""

import json
import re
import subprocess
import sys

import yaml
from shell import environment

from adlx.cli.main import VERBS
from adlx.config.catalog import GROUPS, description, options
from adlx.config.compose import compose

OFFERED = [
    "adlx tr",
    "adlx train model=se",
    "adlx train model=seq2seq model.",
    "adlx train model=elm model.weights=",
    "adlx train trainer.precision=",
    "adlx predict RUN predict.",
    "adlx compare --",
]

LIGHT = [
    ["--help"],
    ["help"],
    ["--version"],
    *([verb, "--help"] for verb in VERBS),
    ["list"],
    ["list", "model"],
    *(["completion", shell] for shell in ("bash", "zsh", "fish")),
    *(["completion", "complete", "--", line] for line in OFFERED),
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
results = []
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run(words)
    imported = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
    results.append([code, len(out.getvalue()), err.getvalue(), imported])
print(json.dumps(results))
"""


def test_light_commands_import_no_slow_packages():
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(LIGHT), json.dumps(HEAVY)],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    for words, (code, length, err, imported) in zip(LIGHT, json.loads(done.stdout), strict=True):
        assert imported == [], words
        if words == ["trian"]:
            assert (code, length, err) == (2, 0, "adlx: no verb trian; did you mean train?\n")
        else:
            assert (code, err) == (0, ""), words
            assert length > 5, words


def test_list_shows_every_choice_with_its_description(call):
    ended = call("list")
    assert ended.code == 0
    assert [line[:-1] for line in ended.lines if not line.startswith(" ")] == list(GROUPS)
    entries = [re.split(" +", line.strip(), maxsplit=1) for line in ended.lines if line.startswith("  ")]
    for group in GROUPS:
        for name, path in options(group).items():
            assert [name, description(path)] in entries, name
    alone = call("list", "model")
    assert alone.lines == ["model=", *(f"  {n:<15} {description(p)}" for n, p in options("model").items())]


def test_cfg_job_shows_the_config_and_writes_nothing(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = call("train", "model=seq2seq", "data=fx", "model.hidden=5", "--cfg", "job")
    assert (ended.code, ended.err) == (0, "")
    assert yaml.safe_load(ended.out) == compose(["model=seq2seq", "data=fx", "model.hidden=5"]).config
    assert list(tmp_path.iterdir()) == []
