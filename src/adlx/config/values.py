"""Plain values against annotations, and annotations in words."""

import json
from typing import Any, Literal, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from adlx.paths import PathText


def typed(value: Any, annotation: Any) -> Any:
    """A plain value as its annotation has it. Read as JSON: a list is a tuple and 1 is a float, but "1" is not.

    Raises:
        ValueError: it does not fit.
    """
    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError, NameError):
        return value  # an annotation that says nothing of plain values
    try:
        return adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        raise ValueError(f"{value!r} is not {describe(annotation)}") from None


def fits(value: Any, annotation: Any) -> bool:
    """Whether a plain value can be read as an annotation has it, see `typed`."""
    try:
        typed(value, annotation)
    except ValueError:
        return False
    return True


def describe(annotation: Any) -> str:
    """An annotation in words: `one of auto, yahoo` or `int or null`."""
    if annotation == PathText:
        return "a path"
    if get_origin(annotation) is Literal:
        choices = ", ".join(map(str, get_args(annotation)))
        return f"one of {choices}" if len(get_args(annotation)) > 1 else choices
    arguments = get_args(annotation)
    if arguments and (get_origin(annotation) is not None and not isinstance(get_origin(annotation), type)):
        return " or ".join(dict.fromkeys(describe(argument) for argument in arguments))
    if arguments and str(annotation).find(" | ") >= 0:
        return " or ".join(dict.fromkeys(describe(argument) for argument in arguments))
    if annotation is type(None):
        return "null"
    return (
        annotation.__name__
        if isinstance(annotation, type) and not arguments
        else str(annotation).replace("typing.", "")
    )
