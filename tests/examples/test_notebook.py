"""Runs the cells of the example notebook in their order, as a user does."""

import json
from pathlib import Path
from typing import Any

import pytest

from adlx.errors import UserError

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_stored_without_outputs(cells):
    assert len(cells) == 10
    assert [cell for cell in cells if cell["outputs"] or cell["execution_count"]] == []


def test_the_cells_run(cells, tmp_path, monkeypatch, unpainted, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        # One epoch, and no TensorBoard, which takes longer than the epoch.
        source = "".join(cell["source"]).replace('"trainer.max_epochs=5"', '"trainer.max_epochs=1", "logger=none"')
        code = compile(source, f"cell {number}", "exec")
        if "raises-exception" in cell["metadata"].get("tags", ()):
            with pytest.raises(UserError, match=r"did you mean trainer\.max_epochs"):
                exec(code, names)
        else:
            exec(code, names)
    out, err = capfd.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["data:", "threads:", "epoch", "26", "6"]
    assert err == ""
    assert len(names["sweep"].runs) == 4
    assert names["sweep"].table["n"].tolist() == [2, 2]
    assert len(names["runs"]) == 6
    assert names["again"].metrics == names["run"].metrics
    assert {"epoch", "step", "val/loss"} <= set(names["run"].curves)
    assert set(names["predictions"]["series"]) == {"north", "south"}
    assert names["by_step"].index.tolist() == [1, 2, 3, 4, 5, 6]
