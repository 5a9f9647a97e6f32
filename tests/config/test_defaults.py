"""A value in a config file equals the default of its argument, so that a class used from Python does the same."""

import inspect
from functools import cache
from typing import Any

import pytest

from adlx.config.catalog import options
from adlx.config.compose import compose
from adlx.config.nodes import CheckedConfig, Node, Part
from adlx.config.targets import parameters
from adlx.runs.groups import GROUPS, checked

BASE = {"model": "seq2seq", "data": "fx"}
SINGLE = ("model", "data", "task", "loss", "optimizer", "finetune")
SEVERAL = ("callbacks", "logger")
FILES = [(group, name) for group in (*SINGLE, *SEVERAL) for name in options(group)]

PASSED_BY_THE_RUN = {group: GROUPS[group].given | GROUPS[group].offered for group in (*SINGLE, *SEVERAL)}

CHOSEN = {
    ("callbacks", "rollout"): {"callbacks.checkpoint.monitor"},
    ("callbacks", "default"): {"callbacks.checkpoint.untrained"},
    ("optimizer", "diffusion"): {"optimizer.schedule.warmup"},
    ("optimizer", "fields"): {"optimizer.schedule.warmup"},
}
"""Keys whose value differs on purpose. The first line of such a file says what it changes."""

LEFT_OUT: dict[tuple[str, str], set[str]] = {}
"""Arguments with a default that a file of a model, data or a task leaves out on purpose, by group and name."""


@cache
def config_with(group: str, name: str) -> CheckedConfig:
    """The config of a choice, composed through the file's own `defaults`."""
    words = [f"{key}={choice}" for key, choice in (BASE | {group: name}).items()]
    text = options(group)[name].read_text()
    words += [f"{group}.{key}=x" for key in ("path", "run") if f"\n{key}: ???" in text]
    composition = compose(words)
    return checked(composition.config, composition.origin)


def nodes_of(group: str, name: str) -> list[Node]:
    """The nodes of a choice and the nodes inside them, such as the schedule of an optimizer."""
    chosen = getattr(config_with(group, name), group)
    nodes = list(chosen.values()) if isinstance(chosen, dict) else [chosen] if chosen is not None else []
    inner = [value for node in nodes for value in node.arguments.values() if isinstance(value, Node)]
    return nodes + inner


def plain(value: Any) -> Any:
    """The value with lists instead of tuples, and None instead of a part without a run."""
    if isinstance(value, Part):
        return value.run or None
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def is_ours(node: Node) -> bool:
    return node.target.__module__.split(".")[0] == "adlx"


def test_these_tests_cover_all_groups_with_classes_of_adlx():
    ours = {group for group, name in FILES for node in nodes_of(group, name) if is_ours(node)}
    assert ours == {"model", "data", "task", "loss", "optimizer", "finetune", "callbacks", "logger"}


@pytest.mark.parametrize(("group", "name"), FILES)
def test_a_value_is_the_default_of_its_argument(group, name):
    differ = {}
    for node in filter(is_ours, nodes_of(group, name)):
        accepted = parameters(node.target)
        for key, value in node.arguments.items():
            default = accepted[key][1]
            if default is inspect.Parameter.empty or isinstance(value, Node):
                continue
            if plain(value) != plain(default) or type(plain(value)) is not type(plain(default)):
                where = f"{node.where}.{key} is {plain(value)!r} in {group}/{name}.yaml or in a file that it includes"
                differ[f"{node.where}.{key}"] = f"{where}, and {plain(default)!r} in {node.target.__name__}"
    chosen = CHOSEN.get((group, name), set())
    assert not differ.keys() - chosen, "\n".join(differ[key] for key in differ.keys() - chosen)
    assert not chosen - differ.keys(), f"no other value than the default: {chosen - differ.keys()}"


@pytest.mark.parametrize(("group", "name"), FILES)
def test_a_key_is_an_argument(group, name):
    for node in nodes_of(group, name):
        nested = {key for key, value in node.arguments.items() if isinstance(value, Node)}  # such as a schedule
        unknown = node.arguments.keys() - parameters(node.target).keys() - nested
        assert not unknown, f"{group}/{name}.yaml sets {sorted(unknown)}: {node.target.__name__} has no such argument"


@pytest.mark.parametrize(("group", "name"), [pair for pair in FILES if pair[0] in ("model", "data", "task")])
def test_an_argument_with_a_default_is_in_its_file(group, name):
    """So that `--cfg job`, completion and a reader of the file show all settings."""
    node = getattr(config_with(group, name), group)
    settable = {
        key
        for key, (_, default) in parameters(node.target).items()
        if default is not inspect.Parameter.empty and key not in PASSED_BY_THE_RUN[group]
    }
    missing = settable - node.arguments.keys() - LEFT_OUT.get((group, name), set())
    assert not missing, f"{group}/{name}.yaml leaves out {sorted(missing)} of {node.target.__name__}"
