"""The words that a shell offers after TAB; if there are none, it completes files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from shell import environment

from adlx.cli.main import VERBS
from adlx.config.catalog import GROUPS, options

RUN, SWEEP = "outputs/nlinear-fx/r1", "outputs/multirun/s1"


@pytest.fixture
def work_folder(tmp_path, monkeypatch):
    """A folder with a run, a multirun of it, other folders and a file."""
    monkeypatch.chdir(tmp_path)
    for name in (RUN, "outputs/nlinear-fx/r2", f"{SWEEP}/jobs", "other/deep", "my runs/one", "elsewhere/naive-fx/r3"):
        Path(name).mkdir(parents=True)
    choices = {"model": "nlinear", "data": "fx", "task": "forecast", "trainer": "default"}
    for run in (RUN, "outputs/nlinear-fx/r2", "my runs/one", "elsewhere/naive-fx/r3"):
        (Path(run) / "run.json").write_text(json.dumps({"choices": choices}))
    Path(RUN, "metrics.json").write_text(json.dumps({"test/skill": 0.1, "fit/seconds": 2}))
    Path(SWEEP, "multirun.json").write_text("{}")
    Path(SWEEP, "jobs", "0.json").write_text(json.dumps({"run": "../../nlinear-fx/r1"}))
    Path("file.csv").touch()
    return tmp_path


@pytest.fixture
def complete(call, work_folder):
    def complete(line: str) -> list[str]:
        ended = call("completion", "complete", "--", line)
        assert (ended.code, ended.err) == (0, "")
        return ended.lines

    return complete


SEQ2SEQ = "adlx train model=seq2seq data=fx"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("adlx ", list(VERBS)),
        ("adlx e", ["eval", "export"]),
        ("adlx co", ["compare", "completion"]),
        ("adlx --", ["--help", "--version"]),
        ("adlx list opt", ["optimizer", "optimizer/schedule"]),
        ("adlx list --", ["--help", "--config-dir"]),
        ("adlx completion ", ["bash", "zsh", "fish"]),
        # choices and keys
        ("adlx train mod", ["model=", "model."]),
        ("adlx train model=se", [f"model={name}" for name in ("sea", "sea_autoencoder", "seasonal_naive", "seq2seq")]),
        ("adlx train -m model=naive,seq", ["model=naive,seq2seq"]),
        ("adlx train optimizer/schedule=co", ["optimizer/schedule=constant", "optimizer/schedule=cosine"]),
        ("adlx train model=seasonal_naive model.", ["model.season="]),
        (f"{SEQ2SEQ} model.teacher_forcing_", [f"model.teacher_forcing_{word}=" for word in ("final", "steps")]),
        ("adlx train data.sp", ["data.split=", "data.split_seed="]),
        ("adlx train callbacks.", ["callbacks.checkpoint.", "callbacks.early_stopping."]),
        ("adlx train callbacks.early_stopping.p", ["callbacks.early_stopping.patience="]),
        ("adlx train optimizer.sch", ["optimizer.schedule."]),
        ("adlx train optimizer.schedule.", ["optimizer.schedule.warmup=", "optimizer.schedule.floor="]),
        ("adlx train experiment=a4_lora finetune.r", ["finetune.run=", "finetune.rank="]),
        ("adlx train se", ["seed="]),
        # values from comments, from the file's own value and from annotations
        ("adlx train model=transformer model.norm=", ["model.norm=post", "model.norm=pre"]),
        ("adlx train model.norm=pr", ["model.norm=pre"]),
        (f"{SEQ2SEQ} model.zero_init=", ["model.zero_init=true", "model.zero_init=false"]),
        (f"{SEQ2SEQ} data.scaling=l", ["data.scaling=log"]),
        (f"{SEQ2SEQ} callbacks.checkpoint.mode=", ["callbacks.checkpoint.mode=min", "callbacks.checkpoint.mode=max"]),
        ("adlx train trainer.accelerator=c", ["trainer.accelerator=cpu"]),
        ("adlx train trainer.benchmark=f", ["trainer.benchmark=false"]),
        ("adlx train trainer.precision=16-m", ["trainer.precision=16-mixed"]),
        ("adlx train -m model=elm model.weights=binary,g", ["model.weights=binary,gaussian"]),
        # flags and their values
        ("adlx train --mul", ["--multirun"]),
        ("adlx train --cfg ", ["job", "hydra", "all"]),
        ("adlx compare --", ["--help", "--metric", "--against", "--reference", "--out"]),
        (f"adlx compare {RUN} --o", ["--out"]),
        (f"adlx compare {RUN} --metric te", ["test/skill"]),
        (f"adlx compare {SWEEP} --metric ", ["test/skill", "fit/seconds"]),
        ("adlx compare --metric=fit", ["--metric=fit/seconds"]),
        ("adlx export --", ["--help", "--merged", "--peft", "--base", "--out"]),
        # runs, and what a verb accepts after them
        ("adlx resume ", [SWEEP, RUN, "outputs/nlinear-fx/r2"]),
        ("adlx eval outputs/n", [RUN, "outputs/nlinear-fx/r2"]),
        (f"adlx compare {RUN} outputs/m", [SWEEP]),
        ("adlx export --base outputs/nlinear-fx/r1", [RUN]),
        ("adlx eval oth", ["other/"]),
        ("adlx eval other/", ["other/deep/"]),
        ("adlx eval elsewhere/naive-fx/", ["elsewhere/naive-fx/r3"]),
        ("adlx eval my\\ runs/", ["my\\ runs/one"]),
        ("adlx resume RUN tr", ["trainer."]),
        ("adlx resume RUN trainer.max", ["trainer.max_epochs="]),
        (f"adlx resume {RUN} ", ["finetune.", "allow=", "trainer."]),
        (f"adlx eval {RUN} da", ["data=", "data."]),
        (f"adlx eval {RUN} data.h", ["data.horizon="]),
        (f"adlx eval {RUN} data=csv data.p", ["data.path="]),
        (f"adlx eval {RUN} data.scaling=m", ["data.scaling=minmax"]),
        ("adlx predict RUN predict.sa", ["predict.sampler="]),
        ("adlx predict RUN predict.pictures=", ["predict.pictures=true", "predict.pictures=false"]),
        (f"adlx predict {RUN} predict", []),
        (f"adlx compare {RUN} al", ["allow="]),
    ],
)
def test_completion_offers_words(line, words, complete):
    assert complete(line) == words


@pytest.mark.parametrize(
    "line",
    [
        "adlx train data.path=",
        "adlx train data.path=fi",
        "adlx train output_dir=",
        "adlx train nothing=",
        "adlx train model.season=",
        "adlx nothing fi",
        f"adlx compare {RUN} --out ",
        f"adlx eval {RUN} model=",
        "adlx train --config-dir ",
        "adlx eval nowhere/",
        "adlx train ser",
    ],
)
def test_no_word_is_offered_if_a_file_may_follow(line, complete):
    assert complete(line) == []


def test_train_offers_all_groups_and_the_keys_of_all_models(complete):
    offers = complete("adlx train ")
    assert {f"{group}=" for group in GROUPS} | {"seed=", "output_dir=", "allow=", "model.", "trainer."} <= set(offers)
    assert len(offers) == len(set(offers))
    keys = complete("adlx train model.")
    assert {"model.hidden=", "model.season=", "model.exchange="} <= set(keys)  # of every model
    for group in GROUPS:
        assert complete(f"adlx train {group}=") == [f"{group}={name}" for name in options(group)]


OWN = """# mine
defaults:
- seq2seq
_target_: own_pkg.net.Net
style: fine  # fine, coarse
depth: 2
"""
NET = """
from typing import Literal
raise RuntimeError("this package must not be imported")
class Net:
    def __init__(self, spec, style, depth: Literal[2, 4]): ...
"""


def test_completion_offers_choices_keys_and_values_of_the_users_own_configs(complete, work_folder):
    (work_folder / "own configs" / "model").mkdir(parents=True)
    (work_folder / "own configs" / "model" / "mine.yaml").write_text(OWN)
    (work_folder / "own_pkg").mkdir()
    (work_folder / "own_pkg" / "net.py").write_text(NET)
    words = "adlx train --config-dir own\\ configs"
    assert complete(f"{words} model=mi") == ["model=mine"]
    assert complete(f"{words} model=mine model.s") == ["model.style="]
    assert complete(f"{words} model=mine model.hid") == ["model.hidden="]
    assert complete(f"{words} model=mine model.style=") == ["model.style=fine", "model.style=coarse"]
    assert complete(f"{words} model=mine model.depth=") == ["model.depth=2", "model.depth=4"]


def test_a_run_offers_the_choices_of_its_own_config_folder(complete, work_folder):
    (work_folder / "own" / "data").mkdir(parents=True)
    (work_folder / "own" / "data" / "mine.yaml").write_text("# mine\ndefaults:\n  - csv\ntable: a\n")
    Path(RUN, "run.json").write_text(json.dumps({"config_folders": [str(work_folder / "own")]}))
    assert complete(f"adlx eval {RUN} data=mi") == ["data=mine"]
    assert complete(f"adlx eval {RUN} data=mine data.ta") == ["data.table="]


BASH = """
eval "$(adlx completion bash)"
complete -p adlx
while IFS= read -r COMP_LINE; do
  COMP_POINT=${#COMP_LINE}
  _adlx
  echo "${#COMPREPLY[@]} ${COMPREPLY[*]}"
done
"""


def test_bash_completes_words_of_adlx_and_files(work_folder):
    """If adlx offers no word, `COMPREPLY` is empty and `-o default` makes bash complete files."""
    lines = {
        "adlx train model=se": "4 sea sea_autoencoder seasonal_naive seq2seq",
        "adlx train data.path=fi": "0 ",
        f"adlx compare {RUN} --out ": "0 ",
        "adlx resume RUN tr": "1 trainer.",
        f"adlx compare {RUN} --metric=test": "1 test/skill",
        "adlx eval outputs/m": f"1 {SWEEP}",
    }
    path = f"{Path(sys.executable).parent}:{environment()['PATH']}"
    done = subprocess.run(
        ["bash", "-c", BASH],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        env=environment(PATH=path),
        check=True,
    )
    registered, *replies = done.stdout.splitlines()
    assert "-o default" in registered
    assert dict(zip(lines, replies, strict=True)) == lines
