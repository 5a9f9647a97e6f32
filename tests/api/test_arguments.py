"""The words and runs that the functions accept, and the errors for other arguments."""

import logging

import pytest
from user_errors import user_error_of

import adlx
from adlx.sweeps.multirun import Sweep


def test_compare_accepts_runs_sweeps_paths_and_lists_of_them(finished, longer):
    sweep = Sweep(finished.path.parent, [finished, longer], adlx.compare([finished, longer]), {})
    expected = sweep.table["label"].tolist()
    assert len(expected) == 2
    for runs in (
        [finished, longer],
        (finished.path, str(longer.path)),
        sweep,
        [sweep, [[finished], longer.path]],
        (run for run in (finished, longer)),
    ):
        assert adlx.compare(runs).table["label"].tolist() == expected
    assert len(adlx.compare(finished).table) == len(adlx.compare(str(finished.path)).table) == 1


def test_compare_uses_the_finished_runs_of_a_sweep(finished, copied):
    copied.update(status="failed")
    sweep = Sweep(finished.path.parent, [copied, finished], adlx.compare(finished), {0: {}})
    assert adlx.compare(sweep).table["n"].tolist() == [1]
    empty = Sweep(copied.path, [copied], None, {0: {}})
    assert user_error_of(adlx.compare, empty) == f"{copied.path}: no run of this sweep has finished"


@pytest.mark.parametrize(
    ("runs", "word"), [([], "the list is empty"), (3, "3 is not a run"), ([None], "None is not a run")]
)
def test_compare_refuses_values_that_are_not_runs(runs, word):
    assert word in user_error_of(adlx.compare, runs)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("model=a data=b", "'model=a data=b' is one string; write a list of words: ['model=a', 'data=b']"),
        ({"model": "a"}, "{'model': 'a'} is not a list of words; write ['model=NAME', 'data=NAME', 'KEY=VALUE']"),
        (None, "None is not a list of words; write ['model=NAME', 'data=NAME', 'KEY=VALUE']"),
        ([["model=a"]], "['model=a'] is not a word; write a list of strings such as 'KEY=VALUE'"),
        (
            ["model=a", "--cfg", "job"],
            "--cfg: only the command has this flag; Python accepts KEY=VALUE, -m and --config-dir DIR",
        ),
        (
            ["-m", "--help"],
            "--help: only the command has this flag; Python accepts KEY=VALUE, -m and --config-dir DIR",
        ),
    ],
)
def test_words_that_are_not_a_list_of_strings_are_refused(words, message, finished):
    assert user_error_of(adlx.train, words) == message
    assert user_error_of(adlx.evaluate, finished, words) == message
    assert user_error_of(adlx.predict, finished, words) == message


def test_a_sweep_is_returned_and_shown_in_a_notebook(small, tmp_path, capfd, caplog):
    caplog.set_level(logging.INFO)
    sweep = small("-m", "trainer.max_epochs=1", "data.horizon=2,80")
    assert (*capfd.readouterr(), caplog.text) == ("", "", "")
    assert sweep.path.is_absolute()
    assert [type(run) for run in sweep.runs] == [adlx.Run]
    assert sweep.table["n"].tolist() == [1]
    assert list(sweep.failed) == [1]
    assert [run.path for run in adlx.find_runs(sweep.path)] == [sweep.runs[0].path]
    assert repr(sweep) == f"Sweep('{sweep.path}', 1 run, 1 failed)"
    page = sweep._repr_html_()
    assert "<table" in page
    assert "job 1 (" in page
    assert "failed: data.context=12 and data.horizon=80 leave no window" in page
