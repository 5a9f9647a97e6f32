"""The output of a comparison: tables for a terminal, Markdown, CSV and figures."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from adlx.comparison.compare import compare
from adlx.errors import UserError
from adlx.metrics.text import format_value
from adlx.reporting.comparison import MOST_COLUMNS, comparison_tables, few_columns
from adlx.reporting.terminal import console


def test_a_terminal_shows_only_some_of_many_steps():
    frame = pd.DataFrame([["a", *range(1, 101)]], columns=["MASE by steps ahead", *map(str, range(1, 101))])
    few = few_columns(frame)
    assert few.columns[0] == "run"
    assert len(few.columns) == 1 + MOST_COLUMNS
    assert (few.columns[1], few.columns[-1]) == ("1", "100")
    assert few.iloc[0, 1:].tolist() == [int(name) for name in few.columns[1:]]


def test_files_hold_the_tables_and_figures(folder, tmp_path):
    comparison = compare([folder("a", "a", error=0.5), folder("b", "b"), folder("b2", "b", seed=1, error=1.2)])
    names = ["t.csv", "t_series.csv", "t_steps.csv"]
    assert comparison.write(tmp_path / "t.csv") == [tmp_path / name for name in names]
    for name, frame in comparison.details.items():
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / f"t_{name}.csv"), frame, rtol=1e-12)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), comparison.table, rtol=1e-12)
    comparison.write(tmp_path / "t.md")
    pvalue = format_value(comparison.table.loc[1, "mcs_pvalue"], "pvalue")
    assert (tmp_path / "t.md").read_text() == comparison.markdown()
    assert comparison.markdown().splitlines()[:4] == [
        "| run | seeds | skill | MCS p | parameters | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | 1 | +0.5000 | 1.0000 | 7 | 2.0 |",
        f"| b | 2 | -0.1000 ± 0.1414 | {pvalue} | 7 | 2.5 |",
    ]
    written = comparison.write(tmp_path / "t.png")
    assert written == [tmp_path / "t.png", tmp_path / "t_panels.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    with pytest.raises(UserError, match=r"t\.pdf: the suffix must be \.csv, \.md or \.png$"):
        comparison.write(tmp_path / "t.pdf")


def test_the_table_for_a_terminal(folder, capsys):
    console().print(comparison_tables(compare([folder("a", "a", error=0.5), folder("b", "b")], "test/mase"))[0])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "test/mase on csv, 2 runs"
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [row[:5] for row in cells] == [
        ["a", "1", "0.5000", "1.000", "+0.5000"],
        ["b", "1", "1.0000", "1.000", "+0.0000"],
    ]


def test_comparing_imports_no_torch():
    code = "import sys, adlx.comparison.compare, adlx.reporting.comparison, adlx.runs.declarations; print(*sys.modules)"
    modules = "forecast", "classification", "reconstruction", "denoising", "fields"
    imports = "".join(f"import adlx.metrics.{name}; " for name in modules)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", imports + code], env=environment, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "adlx.comparison.compare" in loaded
    heavy = {"torch", "pytorch_lightning", "lightning_fabric", "sklearn", "scipy.stats", "matplotlib", "arch"}
    assert loaded & heavy == set()
