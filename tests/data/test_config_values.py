"""The config of every data set refuses numbers out of range by their key, and declares its paths.

The tests find the data sets by their config files, and the numbers and paths by the annotations of their arguments.
"""

import math
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from user_errors import user_error_of

from adlx.config.catalog import options
from adlx.config.check import check_node
from adlx.config.compose import compose
from adlx.config.paths import is_path, with_absolute_paths
from adlx.config.targets import parameters, resolve
from adlx.errors import UserError
from adlx.runs.groups import GROUPS

DATA = sorted(options("data"))


@cache
def config_of(name: str) -> dict[str, Any]:
    """The composed config of `data=NAME`, with a path if the data set needs one."""
    words = ["model=naive", f"data={name}"]
    try:
        return compose(words).config["data"]
    except UserError:
        return compose([*words, "data.path=somewhere"]).config["data"]


def arguments_of(name: str) -> dict[str, Any]:
    """The annotations of the arguments that the config of a data set may set."""
    accepted = parameters(resolve(config_of(name)["_target_"], object, "data"))
    return {key: annotation for key, (annotation, _) in accepted.items()}


def build(name: str, **values: Any) -> Any:
    """Checks the config of a data set with other values, and builds the data set without loading it."""
    node = {**config_of(name), **values}
    return check_node(node, GROUPS["data"], "data", lambda key: "on the command line").build()


def wrong_values(annotation: Any, wrong: float) -> list[Any]:
    """Values with one wrong number for an argument that holds numbers; no values for other arguments."""
    if annotation in (int, float):
        return [wrong]
    kind, inner = get_origin(annotation), get_args(annotation)
    if kind in (Union, UnionType):
        return [value for argument in inner for value in wrong_values(argument, wrong)]
    if kind in (tuple, list) and inner[0] in (int, float):
        length = len(inner) if kind is tuple else 1
        return [[*[64] * index, wrong, *[64] * (length - index - 1)] for index in range(length)]
    return []


@pytest.mark.parametrize("wrong", [-5, math.nan])
@pytest.mark.parametrize("name", DATA)
def test_every_number_out_of_range_is_refused_by_its_key(name, wrong):
    """In a list of numbers, each number is out of range in one case."""
    cases = [(key, value) for key, kind in arguments_of(name).items() for value in wrong_values(kind, wrong)]
    assert {"batch_size", "repeat", "split"} <= {key for key, _ in cases}
    for key, value in cases:
        assert user_error_of(build, name, **{key: value}).startswith(f"data.{key}=")


@pytest.mark.parametrize("name", DATA)
def test_the_values_of_the_config_are_accepted(name):
    assert type(build(name)).__module__.startswith("adlx.data.")


@pytest.mark.parametrize("name", DATA)
def test_every_path_is_stored_absolute(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    paths = {key for key, annotation in arguments_of(name).items() if is_path(annotation)}
    assert paths == {key for key in arguments_of(name) if "path" in key or "file" in key or "folder" in key}
    config = with_absolute_paths({"data": config_of(name) | dict.fromkeys(paths, "2023"), "output_dir": "outputs"})
    assert {key: config["data"][key] for key in paths} == dict.fromkeys(paths, str(tmp_path / "2023"))
