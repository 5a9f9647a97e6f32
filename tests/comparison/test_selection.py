"""The runs that are found in the folders of a comparison."""

import json

import pytest

from adlx.comparison.compare import compare
from adlx.comparison.selection import select
from adlx.errors import UserError
from adlx.reporting.comparison import comparison_tables


@pytest.fixture
def sweep(folder, tmp_path):
    """A multirun folder of two runs, which lie in `outputs/naive-csv`."""
    (tmp_path / "outputs" / "naive-csv").mkdir(parents=True)
    runs = [folder(f"outputs/naive-csv/r{seed}", seed=seed) for seed in (0, 1)]
    path = tmp_path / "outputs" / "multirun" / "one"
    (path / "jobs").mkdir(parents=True)
    (path / "multirun.json").write_text("{}")
    for number, run in enumerate(runs):
        (path / "jobs" / f"{number}.json").write_text(json.dumps({"run": str(run)}))
    return path, runs


def test_each_run_counts_once(sweep, tmp_path, monkeypatch):
    path, runs = sweep
    link = tmp_path / "link"
    link.symlink_to(runs[0])
    assert compare([path, *runs, runs[0], link]).table["n"].tolist() == [2]
    assert compare([link, runs[0]]).table["n"].tolist() == [1]
    monkeypatch.chdir(tmp_path)
    assert compare(["outputs/naive-csv/r0", runs[0], "outputs/../link"]).table["n"].tolist() == [1]


def test_a_folder_of_folders_of_runs_stands_for_its_runs(sweep, tmp_path):
    _, runs = sweep
    for folder in (tmp_path / "outputs", tmp_path / "outputs" / "naive-csv"):
        assert [run.path for run in select([folder]).runs] == runs
    assert compare([tmp_path / "outputs", *runs]).table["n"].tolist() == [2]


def test_unfinished_runs_of_a_folder_are_left_out_and_named(sweep, folder, tmp_path):
    _, runs = sweep
    stopped = folder("outputs/naive-csv/stopped", status="interrupted")
    comparison = compare([tmp_path / "outputs"])
    assert comparison.table["n"].tolist() == [2]
    assert comparison_tables(comparison)[0].caption == f"left out: 1 run not finished, such as {stopped}"
    with pytest.raises(UserError, match="is interrupted, not finished: adlx resume"):
        compare([tmp_path / "outputs", stopped])
    for run in runs:
        (run / "run.json").write_text((stopped / "run.json").read_text())
    with pytest.raises(UserError, match=r"none of these 3 runs has finished$"):
        compare([tmp_path / "outputs"])


def test_a_folder_without_runs_is_refused(tmp_path):
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    with pytest.raises(UserError) as caught:
        compare([tmp_path / "empty"])
    assert str(caught.value) == (
        f"{tmp_path / 'empty'} is not a run folder (it has no run.json), and holds no run folders"
    )
