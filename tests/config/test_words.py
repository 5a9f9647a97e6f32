"""Words of a command: a path is read as typed, and a mistake in the form of a word is one line."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from user_errors import user_error_of

from adlx.config.apply import apply
from adlx.config.catalog import options
from adlx.config.compose import compose, for_hydra
from adlx.config.hydra_internals import grid_jobs
from adlx.config.paths import absolute, is_path
from adlx.config.words import quote, settings, unquote
from adlx.paths import PathText
from adlx.runs.folder import new_folder
from adlx.runs.groups import checked

BASE = ["model=nlinear", "data=csv"]
NAMES = [
    "2023",
    "2023_01_02",
    "1e3",
    "007",
    "true",
    "a,b.csv",
    "par(2).csv",
    "a & #=[b] {c}.csv",
    "j\u00f6rg",
    "it's",
    "a:b",
]


def plain(*words: str) -> dict:
    composition = compose([*BASE, *words])
    return checked(composition.config, composition.origin).plain


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_read_as_typed(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = plain(f"data.path={name}", f"output_dir={name}")
    assert config["data"]["path"] == config["output_dir"] == str(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_a_path_of_an_override_is_read_as_typed(name):
    stored = compose([*BASE, "data.path=x"]).config
    assert str(apply(stored, [f"data.path={name}"])[0]["data"]["path"]) == name
    assert str(apply(stored, ["data=images", f"data.path={name}"])[0]["data"]["path"]) == name


@pytest.mark.parametrize("word", ["data.path=~/x.csv", "data.path='~/x.csv'", 'data.path="~/x.csv"'])
def test_a_tilde_is_the_home_folder(word, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert plain(word)["data"]["path"] == str(tmp_path / "x.csv")


def test_every_path_key_is_stored_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = ["data.path=x", "finetune=full", "finetune.run=1e3", "++callbacks.checkpoint.dirpath=2_0"]
    config = plain(*words)
    assert config["finetune"]["run"] == str(tmp_path / "1e3")
    assert config["callbacks"]["checkpoint"]["dirpath"] == str(tmp_path / "2_0")
    assert config["output_dir"] == str(tmp_path / "outputs")
    composition = compose(["model=sea", "data=cylinder", "model.autoencoder=2023_01_02"])
    config = checked(composition.config, composition.origin)
    assert config.parts["autoencoder"].run == config.plain["model"]["autoencoder"] == str(tmp_path / "2023_01_02")


def test_an_annotation_declares_a_path():
    assert is_path(PathText)
    assert is_path(PathText | None)
    assert is_path(str | Path)
    assert not is_path(str)
    assert not is_path(int | None)


def test_a_command_shows_a_path_as_typed():
    assert compose([*BASE, "data.path=a b,(1).csv"]).command == (
        "adlx train model=nlinear data=csv 'data.path=a b,(1).csv'"
    )


def test_a_comma_separates_paths_with_m():
    words = ["output_dir=1e3", "data.path=2_0.csv, 'b,c.csv'", "seed=0,1"]
    assert settings(words, {"output_dir", "data.path"}, multirun=True) == [
        *("++output_dir='1e3'", "++data.path='2_0.csv','b,c.csv'", "++seed=0,1")
    ]
    assert settings(['output_dir="my (1)"'], {"output_dir"}, multirun=True) == ["++output_dir='my (1)'"]
    assert for_hydra([*BASE, "data.path=1e3,2_0"], multirun=True)[2:] == ["++data.path='1e3','2_0'"]


def test_an_ambiguous_comma_with_m_is_refused_with_the_right_way_to_write_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.csv").touch()
    assert user_error_of(settings, ["data.path=a,b.csv"], {"data.path"}, True) == (
        "data.path=a,b.csv: with -m a comma separates values; for the one file of this name write "
        "'data.path=\"a,b.csv\"'"
    )


@pytest.mark.parametrize("text", [*NAMES, "a\\", "a\\'b", "\\\\'", 'q"q"'])
def test_hydra_reads_a_quoted_text_unchanged(text):
    assert OverridesParser.create().parse_override(f"k={quote(text)}").value() == text
    assert unquote(quote(text)) == text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["epochs=3"], "unknown key epochs on the command line (epochs=3); did you mean trainer.max_epochs?"),
        (["lr=0.1"], "unknown key lr on the command line (lr=0.1); did you mean optimizer.lr?"),
        (["batch_size=8"], "unknown key batch_size on the command line (batch_size=8); did you mean data.batch_size?"),
        (["hidden=128"], "unknown key hidden on the command line (hidden=128); did you mean model.hidden?"),
        (["hiden=128"], "unknown key hiden on the command line (hiden=128); did you mean model.hidden?"),
        (["trainer.lr=1"], "unknown key trainer.lr on the command line (trainer.lr=1); did you mean optimizer.lr?"),
        (["+seeed=3"], "unknown key seeed on the command line (+seeed=3); did you mean seed?"),
        (
            ["++trainr.max_epochs=3"],
            "unknown key trainr.max_epochs on the command line (trainr.max_epochs=3); did you mean trainer.max_epochs?",
        ),
        (["+compile=true"], "unknown key compile on the command line (+compile=true)"),
        (
            ["model=seq2seq,nlinear"],
            "model=seq2seq,nlinear: several values need -m, as in adlx train -m model=seq2seq,nlinear",
        ),
        (["seed=1,2"], "seed=1,2: several values need -m, as in adlx train -m seed=1,2; a list is written seed=[1,2]"),
        (["--model", "seq2seq"], "--model seq2seq: settings are written without dashes: model=seq2seq"),
        (["-model=seq2seq"], "-model=seq2seq: settings are written without dashes: model=seq2seq"),
        (["--epochs", "3"], "--epochs 3: settings are written without dashes: trainer.max_epochs=3"),
        (["seed=-1"], "seed=-1 on the command line (seed=-1) must be int (0 to 4294967295)"),
        (["seed=4294967296"], "seed=4294967296 on the command line (seed=4294967296) must be int (0 to 4294967295)"),
        (["wd=1"], "unknown key wd on the command line (wd=1); did you mean optimizer.weight_decay?"),
        (
            ["trainer.epochs=3"],
            "unknown key trainer.epochs on the command line (trainer.epochs=3); did you mean max_epochs?",
        ),
        (
            ["trainer.nested.key=3"],
            "unknown key trainer.nested on the command line (trainer.nested.key=3)",
        ),
        (
            ["callbacks.early_stoping.patience=3"],
            "callbacks.early_stoping on the command line (callbacks.early_stoping.patience=3) has no _target_; did you "
            "mean early_stopping?",
        ),
        (
            ["callbacks.early_stopping=null"],
            "callbacks.early_stopping on the command line (callbacks.early_stopping=null) is None: it must be keys "
            "with values; to leave it out write ~callbacks.early_stopping",
        ),
        (
            ["optimizer.schedule=cosine"],
            "optimizer.schedule on the command line (optimizer.schedule=cosine) is 'cosine': it must be keys with "
            f"values; write optimizer/schedule=NAME for one of {', '.join(options('optimizer/schedule'))}",
        ),
        (["--seed=3"], "--seed=3: settings are written without dashes: seed=3"),
        (["=3"], "=3: cannot be read; write key=value without spaces around ="),
        (["loss=3"], f"loss=3: must be one of {', '.join(options('loss'))}"),
        (["callbacks=null"], f"callbacks=null: must be one of {', '.join(options('callbacks'))}"),
        (["~nothing"], "~nothing: there is no such key or choice to leave out"),
        (["~modle"], "~modle: there is no such key or choice to leave out; did you mean model?"),
        (["model@foo=seq2seq"], "unknown key model@foo on the command line (model@foo=seq2seq); did you mean model?"),
        (["data.context=${nope}"], "data.context: there is no key nope that ${nope} could refer to"),
        (["allow=3"], "allow=3: must be a list of package names, as in allow=[my_package]"),
        (["output_dir=null"], "output_dir=None: must be the path of a folder"),
        (["output_dir=a${b}"], "output_dir=a${b}: a path must not contain ${"),
    ],
)
def test_an_error_names_the_right_way_to_write_a_word(words, line):
    def check(*words: str) -> None:
        composition = compose(words)
        checked(composition.config, composition.origin)

    assert user_error_of(check, "model=seq2seq", "data=fx", *words) == line


def test_a_user_without_a_home_folder_keeps_the_tilde():
    assert absolute("~nobody_of_this_name/x").endswith("/~nobody_of_this_name/x")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    assert user_error_of(new_folder, tmp_path / "file" / "model-data") == (
        f"cannot make the folder {tmp_path}/file/model-data: Not a directory; choose another output_dir"
    )


def test_the_origin_of_a_shared_key_is_the_shared_file():
    composition = compose(["model=nlinear", "data=fx", "trainer=gpu"])
    assert composition.origin("data.context") == "in data/series/windows.yaml"
    assert composition.origin("trainer.max_epochs") == "in trainer/default.yaml"
    assert composition.origin("trainer.precision") == "in trainer/gpu.yaml"
    assert composition.origin("optimizer.schedule.warmup") == "in optimizer/schedule/cosine.yaml"
    assert composition.origin("callbacks.checkpoint.mode") == "in callbacks/checkpoint.yaml"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["data.path=${x}.csv"], "data.path=${x}.csv: a path must not contain ${"),
        (["data.path="], "data.path on the command line (data.path=) is empty: give a path"),
        (["data.path=null"], "data.path=null on the command line (data.path=null) must be a path"),
    ],
)
def test_an_impossible_path_is_refused(words, line):
    def check() -> None:
        composition = compose(["model=naive", "data=csv", *words])
        checked(composition.config, composition.origin)

    assert user_error_of(check) == line


def test_a_sweep_without_values_is_refused():
    assert user_error_of(grid_jobs, ["seed=range(0,0)"]) == "seed=range(0,0): gives no value"
