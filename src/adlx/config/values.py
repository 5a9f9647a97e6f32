"""Checks plain values against annotations, and describes annotations in words."""

import json
import math
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from adlx.paths import PathText

_BOUNDS = {Ge: ("at least", "ge"), Gt: ("above", "gt"), Le: ("at most", "le"), Lt: ("below", "lt")}


def typed(value: Any, annotation: Any) -> Any:
    """Converts a plain value to the type of its annotation: a list can be a tuple, and 1 a float, but "1" is no number.

    Raises:
        ValueError: the type is wrong, a number is out of range (see `adlx.ranges`), NaN or infinite.
    """
    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError, NameError):
        return value  # the annotation does not describe plain values
    try:
        return adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        raise ValueError(f"{value!r} is not {describe(annotation)}") from None


def fits(value: Any, annotation: Any) -> bool:
    """Whether a plain value can be converted to the type of an annotation, see `typed`."""
    try:
        typed(value, annotation)
    except ValueError:
        return False
    return True


def is_finite(value: Any) -> bool:
    """Whether a plain value, and everything inside it, is not NaN or infinite."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def describe(annotation: Any) -> str:
    """An annotation in words: `one of auto, yahoo`, `int or null`, `float (at least 0, below 1)`."""
    if annotation == PathText:
        return "a path"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return f"{describe(arguments[0])} {_range(annotation.__metadata__)}".rstrip()
    if origin is Literal:
        choices = ", ".join(map(str, arguments))
        return f"one of {choices}" if len(arguments) > 1 else choices
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(describe, _alternatives(arguments))))
    if origin in (list, tuple, Sequence):
        inside = ", ".join("..." if argument is ... else describe(argument) for argument in arguments)
        return f"{'tuple' if origin is tuple else 'list'}[{inside}]"
    if annotation in (None, NoneType):
        return "null"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _range(marks: Sequence[Any]) -> str:
    """`(at least 0, below 1)`; `(0 to 1)` if both limits belong to the range."""
    limits = {type(mark): getattr(mark, _BOUNDS[type(mark)][1]) for mark in marks if type(mark) in _BOUNDS}
    if limits.keys() == {Ge, Le}:
        return f"({limits[Ge]} to {limits[Le]})"
    return f"({', '.join(f'{_BOUNDS[kind][0]} {limit}' for kind, limit in limits.items())})" if limits else ""


def _alternatives(arguments: tuple[Any, ...]) -> list[Any]:
    """The members of a union, with all its `Literal`s merged into one. Choices with the same text are one choice."""
    literals = [argument for argument in arguments if get_origin(argument) is Literal]
    if len(literals) < 2:
        return list(arguments)
    choices = {str(choice): choice for literal in literals for choice in get_args(literal)}
    return [Literal[tuple(choices.values())], *(argument for argument in arguments if argument not in literals)]
