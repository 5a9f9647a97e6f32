"""Imports go one way and form no circle. The tests read them from the source, including imports inside functions."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import adlx

ROOT = Path(adlx.__file__).parent
TIERS = (
    ("__main__",),
    ("cli",),
    ("__init__", "api", "api_output"),
    ("sweeps",),
    ("comparison", "reporting"),
    ("runs",),
    ("config", "tasks", "data"),
    ("models", "metrics", "figures"),
    ("specs",),
    ("atomic", "caching", "cpus", "paths", "ranges"),
    ("errors",),
)
"""Tiers from top to bottom: a module may import from its own tier and from lower tiers."""
FORBIDDEN_IMPORTS = {"data": {"models"}, "models": {"data", "metrics", "figures"}, "metrics": {"models", "figures"}}
"""Imports that are not allowed, although the order of the tiers allows them."""


def name_of(path: Path) -> str:
    """The module of a file, such as `adlx.cli.main`; an `__init__.py` has the name of its folder."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def graph() -> dict[str, set[str]]:
    """The modules of adlx that each module of adlx imports, at its top or inside functions."""
    files = {name_of(path): path for path in ROOT.rglob("*.py")}
    imports: dict[str, set[str]] = {}
    for module, path in files.items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module} imports relatively"
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= {name for name in inner if name in files} or {str(node.module)}
        imports[module] = {name for name in names if name in files} - {module}
    return imports


def folder(module: str) -> str:
    """The folder that a module is in; for a module outside all folders, its own name."""
    return "__init__" if module == "adlx" else module.split(".")[1]


def tier(module: str) -> int:
    return next(number for number, names in enumerate(TIERS) if folder(module) in names)


def test_every_folder_has_its_tier():
    assert {folder(module) for module in graph()} == {name for names in TIERS for name in names}


def test_modules_do_not_import_each_other_in_a_circle():
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_folders_do_not_import_each_other_in_a_circle():
    folders: dict[str, set[str]] = {}
    for module, imports in graph().items():
        folders.setdefault(folder(module), set()).update(folder(name) for name in imports)
    try:
        TopologicalSorter({name: others - {name} for name, others in folders.items()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_module_imports_from_a_higher_tier():
    wrong = [
        f"{module} -> {name}" for module, imports in graph().items() for name in imports if tier(name) < tier(module)
    ]
    assert wrong == []


def test_forbidden_imports_between_folders_of_one_tier_do_not_occur():
    wrong = [
        f"{module} -> {name}"
        for module, imports in graph().items()
        for name in imports
        if folder(name) in FORBIDDEN_IMPORTS.get(folder(module), ())
    ]
    assert wrong == []


def other_packages(module: str) -> set[str]:
    """The packages other than adlx that a module imports, at its top or inside functions."""
    path = ROOT.parent / Path(*module.split(".")).with_suffix(".py")
    packages: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add(str(node.module).split(".")[0])
    return packages - {"adlx"}


def files_in(name: str) -> list[str]:
    return [
        module
        for module in graph()
        if folder(module) == name and (ROOT / Path(*module.split(".")[1:])).with_suffix(".py").is_file()
    ]


def test_a_model_is_plain_torch():
    packages = {package for module in files_in("models") for package in other_packages(module)}
    standard = {"collections", "functools", "math", "typing", "warnings"}
    assert packages <= {"torch", "vector_quantize_pytorch", "neuralop"} | standard


@pytest.mark.parametrize("name", ["config", "comparison", "reporting", "metrics"])
def test_folders_that_need_no_torch_do_not_import_it(name):
    """Two modules of `metrics` compare images, and need torch."""
    allowed = {"adlx.metrics.kid", "adlx.metrics.neighbours"}
    wrong = [module for module in files_in(name) if {"torch", "pytorch_lightning"} & other_packages(module)]
    assert set(wrong) <= allowed


def test_private_parts_of_libraries_are_in_one_file_each():
    """An upgrade may remove private names of Hydra and Lightning, so only one file of each uses them."""
    hooks = {
        "_current_fx_name": {"tasks/lightning_internals.py"},
        "epoch_loop": {"tasks/lightning_internals.py"},
        "._trainer": {"tasks/lightning_internals.py"},
        "hydra._internal": {"config/hydra_internals.py"},
    }
    for hook, homes in hooks.items():
        files = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if hook in path.read_text()}
        assert files == homes, hook
