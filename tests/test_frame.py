"""The frame knows no study: its code names no metric, model, task, loss or data set."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import adlx
import adlx.metrics
from adlx.config.catalog import options
from adlx.metrics.declaration import Metric
from adlx.metrics.result import Result
from adlx.metrics.training import TRAINING

ROOT = Path(adlx.__file__).parent
FRAME = ("cli", "config", "runs", "sweeps", "comparison", "reporting")
GROUPS = ("model", "task", "loss", "data")


def result_kinds() -> list[type[Result]]:
    """The subclasses of `Result` in `adlx.metrics`."""
    modules = [import_module(f"adlx.metrics.{module.name}") for module in iter_modules(adlx.metrics.__path__)]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return sorted((kind for kind in classes if issubclass(kind, Result)), key=lambda kind: kind.__name__)


def keys_of(metric: Metric) -> set[str]:
    """All keys of `metrics.json` that a declaration names."""
    caveat = metric.caveat[0] if metric.caveat else None
    return {
        key for key in (metric.key, metric.baseline, metric.skill, metric.pvalue, metric.pvalue_of_means, caveat) if key
    }


SCORED = {key for kind in result_kinds() for metric in kind.metrics for key in keys_of(metric)}
KEYS = SCORED | {metric.key for metric in TRAINING}
BARE = {key.partition("/")[2] for key in SCORED} - {field.name for field in fields(Metric)}
"""Names without `test/`, except `skill`, which any metric may have. The names of `TRAINING` are common words."""
Words = list[tuple[int, str]]
"""Line and text of each word or string."""
OPTIONS = {group: set(options(group)) for group in GROUPS}


def class_names() -> set[str]:
    """The classes that the configs name, and the results."""
    files = [path for group in GROUPS for path in options(group).values()]
    targets = [re.search(r"^_target_: *(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE) for path in files]
    return {target[1].rpartition(".")[2] for target in targets if target} | {
        kind.__name__ for kind in result_kinds() if kind is not Result
    }


def trees(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def strings(tree: ast.Module) -> Words:
    """Line and text of each string, including docstrings and the pieces of f-strings."""
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [(node.lineno, node.value) for node in constants if isinstance(node.value, str)]


def identifiers(tree: ast.Module) -> Words:
    """Line and word of each name, attribute and imported name."""
    words = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            words.append((node.lineno, node.id))
        elif isinstance(node, ast.Attribute):
            words.append((node.lineno, node.attr))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            words += [(node.lineno, alias.name) for alias in node.names]
    return words


def names_metric(text: str) -> bool:
    """Whether a string contains the key of a metric, or is the name of one."""
    tokens = set(re.findall(r"(?<![\w/])(?:test|baseline|fit|model|insample|unseen)/\w+", text))
    return bool(tokens & KEYS) or text.partition("/")[0] in BARE


def test_the_search_knows_all_names_and_finds_them():
    assert len(result_kinds()) >= 5
    assert {"test/mase", "baseline/mase", "test/coverage_80", "insample/mse", "fit/seconds", "model/alpha"} <= KEYS
    assert {"Transformer", "Pinball", "MSELoss", "ForecastResult"} <= class_names()
    assert {"seq2seq", "naive"} <= OPTIONS["model"]
    assert all(
        names_metric(text) for text in ("test/mase", "see test/mae/BTC.", "mase", "accuracy/", "baseline/kid_floor")
    )
    assert not any(map(names_metric, ("test/", "the mase", "latest/mase", "seconds", "f1_car", "a/kid")))
    known = ast.parse("from adlx.models import Naive\nisinstance(x, losses.Pinball)\nHELP = f'{x}: model=naive'")
    assert {"Naive", "Pinball"} <= {word for _, word in identifiers(known)}
    assert any(names_option(text) for _, text in strings(known))


def names_option(text: str) -> bool:
    """Whether a string chooses an option of a group, such as the model of that name."""
    return any(name in OPTIONS[group] for group, name in re.findall(rf"\b({'|'.join(GROUPS)})=(\w+)", text))


def matches(folder: str, words: Callable[[ast.Module], Words], is_name: Callable[[str], bool]) -> list[str]:
    """File, line and text of each word in a folder for which `is_name` is true."""
    return [f"{path}:{line}: {word}" for path, tree in trees(folder) for line, word in words(tree) if is_name(word)]


@pytest.mark.parametrize("folder", FRAME)
def test_no_metric_is_named(folder):
    assert matches(folder, strings, names_metric) == []


@pytest.mark.parametrize("folder", FRAME)
def test_no_class_of_a_study_is_named(folder):
    assert matches(folder, identifiers, class_names().__contains__) == []


@pytest.mark.parametrize("folder", FRAME)
def test_no_option_is_named(folder):
    assert matches(folder, strings, names_option) == []
