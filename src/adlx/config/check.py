"""Checks each node of a config against the class that it configures, before anything slow runs.

Hydra accepts a misspelled key in a YAML file silently. Here, the keys of a node are compared with the signature of its
`_target_`, and each value with its annotation. The result is a `CheckedConfig`: classes with typed arguments.
"""

import inspect
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from annotated_types import Ge, Le

from adlx.config.catalog import GROUPS as CHOICES
from adlx.config.catalog import options
from adlx.config.nearest import did_you_mean, nearest, nearest_argument
from adlx.config.nodes import CheckedConfig, Group, Node, Origin, Part
from adlx.config.paths import is_path, with_absolute_paths
from adlx.config.targets import parameters, resolve
from adlx.config.values import describe, is_finite, typed
from adlx.errors import UserError

MODEL_RUN = {"run", "sha256", "model"}
"""The keys of a part after its run was read."""

LARGEST_SEED = 2**32 - 1
"""NumPy accepts no larger seed."""


class UnknownKey(UserError):
    """A key that is not similar to any key of its node. The user may mean a key of another node."""


def check(config: dict[str, Any], groups: Mapping[str, Group], origin: Origin) -> CheckedConfig:
    """Checks every node.

    Args:
        config: a composed config of plain values.
        groups: the requirements for each node.
        origin: returns where a key was set, for messages.

    Raises:
        UserError: one line that names the key, the nearest valid one and where it was set.
    """
    _typed(config["seed"], Annotated[int, Ge(0), Le(LARGEST_SEED)], "seed", origin)
    config = with_absolute_paths(config)
    try:
        return _checked_nodes(config, groups, origin)
    except UnknownKey as error:
        key = str(error).split()[2]
        raise UserError(f"{error}{did_you_mean(key, config)}") from None


def _checked_nodes(config: dict[str, Any], groups: Mapping[str, Group], origin: Origin) -> CheckedConfig:
    def node(name: str) -> Node:
        return check_node(config[name], groups[name], name, origin)

    def named_nodes(group: str) -> dict[str, Node]:
        items = config[group].items()
        for name, value in items:
            if isinstance(value, dict) and "_target_" not in value:
                path = f"{group}.{name}"
                raise UserError(f"{path} {origin(path)} has no _target_{nearest(name, config[group].keys() - {name})}")
        return {name: check_node(value, groups[group], f"{group}.{name}", origin) for name, value in items}

    if config["finetune"] and "_target_" not in config["finetune"]:
        path = f"finetune.{next(iter(config['finetune']))}"
        raise UserError(f"{path} {origin(path)} needs finetune=full or finetune=lora")
    return CheckedConfig(
        plain=config,
        model=node("model"),
        data=node("data"),
        task=node("task"),
        loss=node("loss"),
        optimizer=node("optimizer"),
        finetune=node("finetune") if config["finetune"] else None,
        callbacks=named_nodes("callbacks"),
        logger=named_nodes("logger"),
        trainer=node("trainer"),
    )


def check_node(node: Any, group: Group, where: str, origin: Origin) -> Node:
    """Checks one node and returns its class with typed arguments."""
    if not isinstance(node, dict):
        raise UserError(f"{where} {origin(where)} is {node!r}: {_node_words(where)}")
    target = group.fixed or resolve(node.get("_target_"), group.kind, where)
    accepted = parameters(target)
    hidden = {*group.given, *group.forbidden}
    hints = {name: annotation for name, (annotation, _) in accepted.items() if name not in hidden}
    # Lightning's Trainer also accepts plain values for some nested nodes; other classes do not have these arguments.
    hints |= group.extra | {name: Any if name in accepted else None for name in group.nested}
    values = {key: value for key, value in node.items() if key != "_target_"}
    arguments = {key: _argument(key, value, hints, group, where, origin, values) for key, value in values.items()}
    required = [name for name, (_, default) in accepted.items() if default is inspect.Parameter.empty]
    for name in required if group.fixed is None else ():
        if name not in {*hidden, *group.offered, *arguments}:
            raise UserError(f"{where}.{name} is required: add {where}.{name}=VALUE")
    return Node(where, target, arguments, frozenset(accepted))


def _argument(
    key: str, value: Any, hints: dict[str, Any], group: Group, where: str, origin: Origin, listed: Collection[str]
) -> Any:
    path = f"{where}.{key}"
    if key not in hints:
        close = nearest_argument(key, hints, listed)
        raise (UserError if close else UnknownKey)(f"unknown key {path} {origin(path)}{close}")
    if key in group.nested and isinstance(value, dict):
        return check_node(value, group.nested[key], path, origin) if value else None
    if hints[key] is None and value is not None:
        raise UserError(f"{path} {origin(path)} is {value!r}: {_node_words(path)}")
    hint = hints[key]
    if is_path(hint) and value == "":
        raise UserError(f"{path} {origin(path)} is empty: give a path")
    if inspect.isclass(hint) and issubclass(hint, group.kind):
        return _part(value, hint, group, path, origin)
    if key in group.ranges:
        _typed(value, group.ranges[key], path, origin)
    return _typed(value, hint, path, origin)


def _node_words(where: str) -> str:
    """The part of a message that says what a node must be, and how to choose it or leave it out."""
    path = where.replace(".", "/")
    if path in CHOICES:
        return f"it must be keys with values; write {path}=NAME for one of {', '.join(options(path))}"
    leave_out = f"; to leave it out write ~{where}" if "." in where else ""
    return f"it must be keys with values{leave_out}"


def _typed(value: Any, annotation: Any, path: str, origin: Origin) -> Any:
    try:
        return typed(value, annotation)
    except ValueError:
        what = describe(annotation)
        needed = f"must be {what}" if is_finite(value) else f"must be finite: {what}"
        raise UserError(f"{path}={json.dumps(value)} {origin(path)} {needed}") from None


def _part(value: Any, kind: type, group: Group, path: str, origin: Origin) -> Any:
    """The model of another run, given by its folder or by the config that was read from it."""
    if value is None or isinstance(value, str):
        return Part(kind, value or "")
    if isinstance(value, dict) and value.keys() == MODEL_RUN:
        inner = Group(kind, given=group.given)
        return Part(kind, value["run"], value["sha256"], check_node(value["model"], inner, path, origin))
    raise UserError(f"{path}={json.dumps(value)} {origin(path)} must be the folder of a run")
