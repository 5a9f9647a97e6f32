"""Each mistake is one line on stderr with the right exit code, and leaves no file."""

import io
import logging
import os
import subprocess
import sys

import pytest
import torch
import yaml
from generators import walk_frame
from shell import COMMAND, Ended, environment

from adlx.api import Run
from adlx.cli.main import VERBS
from adlx.cli.output import Lines, protect_output
from adlx.config.catalog import options
from adlx.reporting.terminal import console

SMALL = ["data.context=12", "data.horizon=2", "logger=none", "trainer.accelerator=cpu", "trainer.max_epochs=1"]


@pytest.fixture
def work_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walk_frame(200).to_csv("series.csv")
    (tmp_path / "text.csv").write_text("time,name\n2024-01-01,a\n2024-01-02,b\n")
    (tmp_path / "binary.csv").write_bytes(b"\x00\xff\xfe" * 100)
    return tmp_path


def tree(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


MODELS = ", ".join(options("model"))
FILE = ["model=naive", "data=csv", "data.path=series.csv"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["train", "model=naive", "data=csv", "data.path=none.csv"],
            "data.path={folder}/none.csv does not exist; check the spelling and the folder you are in",
        ),
        (["train", "model=naive", "data=csv", "data.path=text.csv"], "text.csv has no numeric column other than time"),
        (["train", "model=naive", "data=csv", "data.path=binary.csv"], "binary.csv cannot be read as CSV (UTF-8 text)"),
        (["train", "model=naive", "data=csv"], "data.path is required: add data.path=VALUE"),
        (
            ["train", "model=transfomer", "data=fx"],
            f"unknown model=transfomer; did you mean transformer?; one of {MODELS}",
        ),
        (["train"], f"model is not chosen: add model=NAME, one of {MODELS}"),
        (["train", "data=fx"], f"model is not chosen: add model=NAME, one of {MODELS}"),
        (
            ["train", *FILE, "data.contxt=9"],
            "unknown key data.contxt on the command line (data.contxt=9); did you mean context?",
        ),
        (["train", *FILE, "sead=9"], "unknown key sead on the command line (sead=9); did you mean seed?"),
        (["train", *FILE, "seed"], "seed: cannot be read; write key=value, and quote special characters"),
        (
            ["train", *FILE, "data.context=150"],
            "data.context=150 and data.horizon=5 leave no window in the train part (140 of 200 rows)",
        ),
        (["train", *FILE, "model._target_=os.system"], "model._target_=os.system is refused: os is not trusted here"),
        (["train", *FILE, "optimizer._target_=torch.load"], "optimizer._target_=torch.load is refused: torch is not"),
        (
            ["train", "model=seasonal_naive", *FILE[1:], *SMALL, "model.season=13"],
            "model.season=13 must lie within data.context=12",
        ),
        (["train", *FILE, "--cfg"], "argument --cfg/-c: expected one argument"),
        (["train", *FILE, "--cfg", "all", "--package"], "argument --package/-p: expected one argument"),
        (["train", *FILE, "--config_dir", "own"], "--config_dir: no such flag; did you mean --config-dir?"),
        (["train", *FILE, "-m", "hydra/sweeper=none"], "unknown hydra/sweeper=none: is the plugin of Hydra installed?"),
        (["eval", "nowhere"], "no run folder nowhere"),
        (["predict", "."], ". is not a run folder: it has no run.json"),
        (["resume", "nowhere"], "no run folder nowhere"),
        (["export", "nowhere", "--merged"], "no run folder nowhere"),
        (
            ["train", *FILE, "finetune=lora", "finetune.run=nowhere"],
            "finetune.run={folder}/nowhere is not there: give the folder of the base run with finetune.run=RUN",
        ),
        (["train", *FILE, "finetune=full"], "finetune.run is required: add finetune.run=VALUE"),
        (
            ["train", *FILE, "finetune.run=nowhere"],
            "finetune.run on the command line (finetune.run=nowhere) needs finetune=full or finetune=lora",
        ),
        (
            ["train", *FILE, "finetune=lora", "finetune.run=nowhere", "finetune.rnk=2"],
            "unknown key finetune.rnk on the command line (finetune.rnk=2); did you mean rank?",
        ),
        (["compare", "nowhere"], "no run folder nowhere"),
        (["compare", "nowhere", "--out", "x.pdf"], "--out x.pdf: the suffix must be .csv, .md or .png"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(words, line, work_folder, call):
    before = tree(work_folder)
    ended = call(*words)
    assert ended.code == 2
    assert ended.err.startswith("adlx: " + line.format(folder=work_folder))
    assert ended.err.count("\n") == 1
    assert tree(work_folder) == before
    assert not (work_folder / "outputs").exists()


def test_a_missing_device_is_one_line_and_leaves_no_folder(work_folder, call):
    wrong = {"trainer.devices=0": "must be -1 or int (at least 1)"}
    if not torch.cuda.is_available():
        wrong["trainer.accelerator=gpu"] = "PyTorch finds none on this machine"
    for word, reason in wrong.items():
        ended = call("train", *FILE, *SMALL, word)
        assert ended.code == 2
        assert ended.err.startswith("adlx: trainer.")
        assert word in ended.err
        assert reason in ended.err
        assert ended.err.count("\n") == 1
        assert not list(work_folder.glob("outputs/*"))


def test_a_finished_or_changed_run_folder_is_refused_in_one_line(work_folder, call):
    run = Run.open(call("train", *FILE, *SMALL).run)
    before = tree(work_folder)
    assert call("resume", str(run.path)).err == (
        f"adlx: {run.path} has finished: adlx eval, predict or compare it (or give a later trainer.max_epochs)\n"
    )
    assert call("eval", str(run.path), "model.hidden=3").err == (
        "adlx: model.hidden: a trained run cannot change this; override data, data.* or trainer.*\n"
    )
    assert tree(work_folder) == before

    run.best.write_bytes(run.best.read_bytes()[:500])
    config = yaml.safe_load((run.path / "config.yaml").read_text())
    before = tree(work_folder)
    for verb in ("eval", "predict"):
        ended = call(verb, str(run.path))
        assert (ended.code, ended.err) == (
            2,
            f"adlx: checkpoint {run.best} is truncated or not a checkpoint (500 bytes)\n",
        )
    assert tree(work_folder) == before

    config["model"]["_target_"] = "os.system"
    config["allow"] = ["os"]
    (run.path / "config.yaml").write_text(yaml.safe_dump(config))
    before = tree(work_folder)
    for words in (["eval"], ["predict"], ["resume", "trainer.max_epochs=9"]):
        ended = call(words[0], str(run.path), *words[1:])
        assert (ended.code, ended.err) == (
            2,
            "adlx: model._target_=os.system is refused: os is not trusted here; if it is yours, "
            "add 'allow=[os]' to the command once\n",
        )
    assert tree(work_folder) == before


def test_an_unknown_verb_or_group_is_one_line(call):
    assert call("trian") == Ended(2, "", "adlx: no verb trian; did you mean train?\n")
    ended = call("xyz")
    assert (ended.code, ended.out, ended.err) == (2, "", "adlx: no verb xyz; see adlx --help\n")
    ended = call("list", "models")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "adlx: no group models; there are model, data, task, loss, optimizer, finetune, trainer, callbacks, "
        "logger, optimizer/schedule, experiment\n"
    )
    ended = call("compare")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("adlx compare: error: the following arguments are required: RUN\n")


def test_a_traceback_is_shown_only_with_adlx_debug(work_folder):
    words = [*COMMAND, "list", "models"]
    for debug, traced in (("0", False), ("1", True)):
        done = subprocess.run(words, capture_output=True, text=True, env=environment(ADLX_DEBUG=debug), check=False)
        assert done.returncode == (1 if traced else 2)
        assert ("Traceback (most recent call last)" in done.stderr) is traced
        assert "no group models" in done.stderr
        assert done.stdout == ""


@pytest.mark.parametrize("verb", VERBS)
def test_an_unexpected_error_is_one_line(verb, call, monkeypatch):
    def broken(words: list[str]) -> None:
        raise KeyError("an error\nof adlx")

    monkeypatch.setattr(f"adlx.cli.{verb}.main", broken)
    assert call(verb) == Ended(1, "", "adlx: KeyError: 'an error\\nof adlx' (ADLX_DEBUG=1 shows where)\n")


@pytest.mark.parametrize("verb", VERBS)
def test_control_c_ends_a_command_without_a_traceback(verb, call, monkeypatch):
    def interrupted(words: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"adlx.cli.{verb}.main", interrupted)
    assert call(verb) == Ended(130, "", "")


def test_output_to_a_closed_pipe_is_dropped_quietly():
    """As in `adlx list 2>&1 | head -1`."""
    process = subprocess.Popen([*COMMAND, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0


def test_a_command_continues_after_its_output_was_closed(monkeypatch, capfd):
    """A log line, a print and a table are dropped; no error stops a training whose output is piped to `head`."""
    reader, writer = os.pipe()
    os.close(reader)
    streams = [io.TextIOWrapper(os.fdopen(os.dup(writer), "wb"), "ascii", line_buffering=True) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    protect_output()
    print("a word")
    print("an error", file=sys.stderr, flush=True)
    console().print("a table")
    Lines().handle(logging.makeLogRecord({"msg": "a line"}))
    assert (sys.stdout.encoding, sys.stdout.errors) == ("ascii", "strict")
    os.close(writer)
    assert capfd.readouterr() == ("", "")


def test_an_error_while_a_log_line_is_printed_ends_the_command(monkeypatch):
    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OSError, match="No space left"):
        Lines().handle(logging.makeLogRecord({"msg": "a line"}))
