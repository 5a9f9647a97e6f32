"""The values that an argument accepts, read from source files: no package is imported."""

import sys

import pytest

from adlx.config.source_values import arguments_of, values_of

MODULE = """
import enum
from enum import StrEnum, auto
from typing import Annotated, Literal, Optional, Union

import source_pkg.kinds
from .kinds import Size as Extent
from .star import *

raise RuntimeError("this package must not be imported")

Kind = Literal["one", "two"]
if True:
    Level: object = Kind | None


class Color(StrEnum):
    RED = auto()
    BLUE = "azure"


class Number(enum.Enum):
    ONE = 1
    HALF = 0.5


class Base:
    def __init__(self, shared: bool = True, hidden: Kind = "one") -> None: ...


class Model(Base):
    def __init__(
        self, spec: object, flag: bool, kind: Kind, maybe: Optional[bool], level: "Level", color: Color, number: Number,
        mixed: Union[int, Literal["auto", 3]], hint: Annotated[Kind, "doc"], size: Extent, far: source_pkg.kinds.Size,
        star: Starred, text: str, none: int | None, unknown: Missing, plain, *, only: Kind = "two", **rest,
    ) -> None: ...

    def make(self, folder: str, *, n: int = 64, fast: bool = False, name: str = "a b") -> None: ...
"""


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    folder = tmp_path / "source_pkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .model import Model\n")
    (folder / "model.py").write_text(MODULE)
    (folder / "kinds.py").write_text("from typing import Literal\nSize = Literal['small', 'large']\n")
    (folder / "star.py").write_text("from typing import Literal\nStarred = Literal[True, None, 'x']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    assert "source_pkg" not in sys.modules


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("flag", ["true", "false"]),
        ("kind", ["one", "two"]),
        ("maybe", ["true", "false", "null"]),
        ("level", ["one", "two", "null"]),
        ("color", ["red", "azure"]),
        ("number", ["1", "0.5"]),
        ("mixed", ["auto", "3"]),
        ("hint", ["one", "two"]),
        ("size", ["small", "large"]),
        ("far", ["small", "large"]),
        ("star", ["true", "null", "x"]),
        ("only", ["one", "two"]),
        ("shared", ["true", "false"]),
        ("hidden", ["one", "two"]),
        *((name, []) for name in ("text", "none", "unknown", "plain", "absent", "spec")),
    ],
)
def test_values_of_an_annotation(name, values):
    assert values_of("source_pkg.Model", name) == values


def test_arguments_of_a_method():
    arguments = arguments_of("source_pkg.model.Model", "make")
    assert {name: (one.default, one.keyword_only) for name, one in arguments.items()} == {
        "folder": (None, False),
        "n": ("64", True),
        "fast": ("false", True),
        "name": ("a b", True),
    }


@pytest.mark.parametrize("target", ["", "nothing", "no_such_package.X", "source_pkg.nothing.X", "source_pkg.Nothing"])
def test_a_class_that_does_not_exist_has_no_arguments(target):
    assert arguments_of(target) == {}


def test_values_of_classes_of_torch_and_lightning():
    """The classes of torch and Lightning that configs name are re-exported by their packages."""
    assert values_of("torch.optim.AdamW", "amsgrad") == ["true", "false"]
    assert {"32-true", "16-mixed", "bf16-mixed"} <= set(values_of("pytorch_lightning.Trainer", "precision"))
    assert "delta" in arguments_of("torch.nn.HuberLoss")
