"""The annotation of arguments that are paths."""

from typing import Annotated

PathText = Annotated[str, "path"]
"""Annotation of an argument that is a path as text: read as typed, never as a number, and stored absolute.

An argument annotated with `pathlib.Path` is a path too.
"""
