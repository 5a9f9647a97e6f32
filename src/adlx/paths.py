"""How an argument of a class says that it is a path."""

from typing import Annotated

PathText = Annotated[str, "path"]
"""Annotation of an argument that is a path as text: read as typed, never as a number, and stored absolute.

An argument annotated with `pathlib.Path` is a path too.
"""
