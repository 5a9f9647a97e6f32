"""Imports go one way: cli -> runs -> tasks, data -> models, metrics, figures -> the modules at the top."""

import ast
from pathlib import Path

import adlx

ROOT = Path(adlx.__file__).parent
ALLOWED = {
    "cli": {"cli", "runs"},
    "runs": {"runs", "tasks", "data", "models", "metrics", "figures"},
    "tasks": {"tasks", "models", "metrics", "figures"},
    "data": {"data"},
    "models": {"models"},
    "figures": {"figures", "metrics"},
    "metrics": {"metrics"},
}
BASE = {"atomic", "caching", "errors", "specs", "targets"}


def imported(path: Path) -> set[str]:
    """The modules a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_no_import_runs_back_up():
    wrong = []
    for package, below in ALLOWED.items():
        for path in (ROOT / package).rglob("*.py"):
            ours = {name.split(".")[1] for name in imported(path) if name.startswith("adlx.")}
            wrong += [f"{path.relative_to(ROOT)} -> {name}" for name in ours - below - BASE]
    assert wrong == []


def test_a_model_is_plain_torch():
    found = {name.split(".")[0] for path in (ROOT / "models").glob("*.py") for name in imported(path)}
    standard = {"collections", "functools", "math", "typing", "warnings"}
    assert found <= {"adlx", "torch", "vector_quantize_pytorch", "neuralop"} | standard
