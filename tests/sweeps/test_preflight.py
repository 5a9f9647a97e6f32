"""A sweep is checked before it starts: a mistake is one line and leaves no folder. Also sweeps from Python."""

import logging

import pandas as pd
import pytest
from user_errors import user_error_of

from adlx.cli.main import run
from adlx.sweeps.multirun import run_sweep


@pytest.fixture
def words(small_words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return [word for word in small_words if not word.startswith("model=")]


@pytest.mark.parametrize(
    ("grid", "line"),
    [
        (["model=naive,drift", "data.contxt=3"], "unknown key data.contxt on the command line (data.contxt=3)"),
        (["model=naive,drift", "seed"], "seed: cannot be read"),
        (["model=naive,drift", "data.path=none.csv"], "data.path={folder}/none.csv does not exist"),
        (
            ["model=naive", "data.context=8,9", "data.horizon=500"],
            "job 0 (data.context=8): data.context=8 and data.horizon=500 leave no window",
        ),
        (["model=naive,no_such_model", "seed=0,1"], "job 2 (model=no_such_model seed=0): unknown model=no_such_model"),
        (["model=drift,sea", "seed=1"], "job 1 (model=sea): "),
        (["model=seasonal_naive", "model.season=98,99"], "job 0 (model.season=98): model.season=98 must lie within"),
    ],
)
def test_a_mistake_is_one_line_before_any_folder(grid, line, words, tmp_path, call_quietly):
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call_quietly("train", "-m", *words, *grid)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("adlx: " + line.format(folder=tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def call_quietly(capsys, monkeypatch):
    monkeypatch.delenv("ADLX_DEBUG", raising=False)
    logger = logging.getLogger("adlx")
    before = logger.handlers[:], logger.level, logger.propagate

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        return run(list(words)), *capsys.readouterr()

    yield call
    logger.handlers[:], _, logger.propagate = before
    logger.setLevel(before[1])


def test_a_sweep_from_python_returns_its_runs_and_its_table(words, tmp_path, capsys):
    sweep = run_sweep(["-m", "model=seasonal_naive", "model.season=3,99", *words, 'output_dir="out (1)"'])
    assert capsys.readouterr().out == ""
    assert sweep.path.is_absolute()
    assert sweep.path.parent == tmp_path / "out (1)" / "multirun"
    assert [(run.status, run.path.is_absolute()) for run in sweep.runs] == [("finished", True)]
    assert list(sweep.failed) == [1]
    assert sweep.table["mean"].tolist() == pytest.approx([sweep.runs[0].metrics["test/skill"]])
    pd.testing.assert_series_equal(sweep.table["mean"], pd.read_csv(sweep.path / "summary.csv")["mean"])
    page = sweep._repr_html_()
    assert "<table" in page
    assert "seasonal_naive" in page
    assert "model.season=99 must lie within data.context=12" in page


def test_a_key_that_does_not_exist_is_named_from_python(words):
    line = user_error_of(run_sweep, ["model=naive,drift", *words, "sead=1"])
    assert line == "unknown key sead on the command line (sead=1); did you mean seed?"
