"""Finds the keys of a config that are paths, from the annotations of the classes that the config names."""

import copy
import inspect
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, get_args

from adlx.config.catalog import NODES
from adlx.config.targets import parameters, resolve
from adlx.errors import UserError
from adlx.paths import PathText


def is_path(annotation: Any) -> bool:
    """Whether an annotation means a path, or a union with a path, such as `PathText | None`."""
    if annotation == PathText or (inspect.isclass(annotation) and issubclass(annotation, Path)):
        return True
    return any(is_path(argument) for argument in get_args(annotation))


def path_keys(config: Mapping[str, Any]) -> set[str]:
    """The dotted keys of a plain config that are paths. A class that is not trusted is not imported, and adds none."""
    return {"output_dir", *(key for node in NODES for key in _path_keys(config.get(node), node))}


def _path_keys(node: Any, where: str) -> Iterator[str]:
    if not isinstance(node, Mapping):
        return
    for key, value in node.items():
        yield from _path_keys(value, f"{where}.{key}")
    try:
        accepted = parameters(resolve(node.get("_target_"), object, where))
    except UserError:
        return
    for name, (annotation, _) in accepted.items():
        if is_path(annotation) or (where == "model" and is_model_of_run(annotation)):
            yield f"{where}.{name}"


def is_model_of_run(annotation: Any) -> bool:
    """Whether an argument of a model is the model of another run, which the config gives as the folder of that run."""
    return any(cls.__module__.startswith("torch.nn") for cls in getattr(annotation, "__mro__", ()))


def with_absolute_paths(config: dict[str, Any]) -> dict[str, Any]:
    """The config with all its paths absolute. A file that is called 2023 is a path, not a number."""
    changed = copy.deepcopy(config)
    for key in path_keys(config):
        *groups, last = key.split(".")
        node = reduce(lambda tree, group: tree[group], groups, changed)
        value = node.get(last)
        if type(value) in (str, int) and value != "":
            node[last] = absolute(str(value))
    return changed


def absolute(path: str) -> str:
    """A path as it is stored: absolute, with the home folder instead of `~`."""
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError:  # `~name` of a user that does not exist
        return str(Path(path).absolute())
