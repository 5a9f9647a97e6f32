"""`metrics.csv`: one row for each step, also after a kill and a resume."""

import math

import pandas as pd
import pytest

from adlx.runs.loggers import Curves, read_curves
from adlx.runs.settings import flatten


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def test_rows_and_columns(path):
    curves = Curves(path)
    curves.log_metrics({"train/loss": 0.1 + 0.2, "epoch": 0.0}, step=0)
    curves.log_metrics({"train/loss": 2.0, "epoch": 0}, step=1)
    assert path.read_text() == "step,epoch,train/loss\n0,0,0.30000000000000004\n1,0,2\n"
    curves.log_metrics({"val/loss": math.nan, "lr": 1e-3, "epoch": 0}, step=1)  # two new columns: the file is rewritten
    assert path.read_text() == (
        "step,epoch,train/loss,val/loss,lr\n0,0,0.30000000000000004,,\n1,0,2.0,,\n1,0,,nan,0.001\n"
    )
    curves.log_metrics({"train/loss": 1.5, "epoch": 1}, step=2)
    assert path.read_text().splitlines()[-1] == "2,1,1.5,,"
    table = read_curves(path)
    assert table["train/loss"].tolist()[0] == 0.1 + 0.2  # every digit
    assert (table["step"].dtype, table["epoch"].dtype) == ("int64", "int64")
    assert [file.name for file in path.parent.iterdir()] == ["metrics.csv"]


def test_final_scores_are_not_in_the_curves(path):
    curves = Curves(path)
    curves.log_metrics({"epoch": 0}, step=0)
    curves.log_metrics({"test/mase": 1.0, "baseline/mase": 1.0, "insample/mse": 1.0, "epoch": 0}, step=0)
    assert not path.exists()


def test_a_resumed_run_writes_again_what_came_after_its_checkpoint(path):
    path.write_text("step,epoch,train/loss,val/loss\n0,0,5,\n1,0,4,\n1,0,,3\n2,1,2.5,\n3,1,1,\n")
    curves = Curves(path, first_step=2)
    assert path.read_text() == "step,epoch,train/loss,val/loss\n0,0,5.0,\n1,0,4.0,\n1,0,,3.0\n"
    curves.log_metrics({"train/loss": 2.25, "epoch": 1}, step=2)
    assert path.read_text().splitlines()[-1] == "2,1,2.25,"
    Curves(path)
    assert read_curves(path).empty  # the run starts again at step 0
    assert list(read_curves(path).columns) == ["step", "epoch", "train/loss", "val/loss"]


@pytest.mark.parametrize("rest", ["3", "3,1", "3,1,0.12", "3,1,0.125"])
def test_a_last_line_cut_short_by_a_kill(path, rest):
    path.write_text(f"step,epoch,train/loss\n2,1,2.5\n{rest}")
    assert read_curves(path).to_numpy().tolist() == [[2, 1, 2.5]]
    Curves(path, first_step=3).log_metrics({"train/loss": 9.0, "epoch": 1}, step=3)
    assert path.read_text() == "step,epoch,train/loss\n2,1,2.5\n3,1,9\n"


def test_a_file_with_only_a_header_is_continued(path):
    path.write_text("step,epoch,train/loss\n0,")
    Curves(path, first_step=0).log_metrics({"train/loss": 9.0, "epoch": 0}, step=0)
    assert path.read_text() == "step,epoch,train/loss\n0,0,9\n"


def test_other_processes_of_the_run_do_not_write_the_file(path, monkeypatch):
    path.write_text("step,epoch,train/loss\n2,1,2.5\n")
    monkeypatch.setenv("LOCAL_RANK", "1")
    Curves(path, first_step=0)
    assert len(read_curves(path)) == 1


def test_flatten():
    tree = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None, "f": True, "g": "x", "h": 0.5, "i": {}}
    assert flatten(tree) == {"a.b.c": 1, "a.d": "[1, 2]", "f": True, "g": "x", "h": 0.5}


def test_curves_of_a_run(finished):
    table = read_curves(finished.path / "metrics.csv")
    assert list(table.columns) == ["step", "epoch", "train/loss", "lr", "val/loss"]
    train, val = table.dropna(subset="train/loss"), table.dropna(subset="val/loss")
    assert train[["step", "epoch"]].to_numpy().tolist() == [[step, step // 4] for step in range(8)]
    assert val[["step", "epoch"]].to_numpy().tolist() == [[3, 0], [7, 1]]
    assert set(train["lr"]) == {1e-3}
    assert isinstance(table, pd.DataFrame)
