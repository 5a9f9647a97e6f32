"""The arguments of a class, from its own signature and those of its bases."""

import math
from typing import Any, Literal

import pytest
from pytorch_lightning.callbacks import EarlyStopping

from adlx.config.targets import parameters
from adlx.config.values import describe, fits, typed
from adlx.data.series.csv import CSV
from adlx.data.series.fx import FX
from adlx.data.series.series import Series
from adlx.models.forecasting.seq2seq import Seq2Seq
from adlx.paths import PathText
from adlx.runs.loggers import TensorBoard


def test_parameters_of_a_class_are_those_of_its_bases_too():
    assert list(parameters(FX)) == list(parameters(Series))
    both = parameters(CSV)
    assert list(both) == [
        "path",
        *("time_column", "id_column", "columns", "timezone", "freq", "dayfirst", "decimal", "na_values"),
        *("duplicates", "sort", "gaps"),
        *parameters(Series),
    ]
    assert both["context"] == (int, 96)
    assert both["path"][0] == PathText
    assert "spec" in parameters(Seq2Seq)
    assert list(parameters(TensorBoard)) == [
        "folder",
        "first_step",
    ]  # it has no **kwargs, so arguments of its base do not count
    assert parameters(EarlyStopping)["patience"][1] == 3


class Stated:
    def __init__(self, a: int, *rest: int, b: "Literal['x'] | None" = None, **more: Any) -> None: ...


class Derived(Stated):
    def __init__(self, a: float, **more: Any) -> None: ...


def test_parameters_of_a_derived_class_win():
    assert parameters(Derived) == {"a": (float, parameters(Derived)["a"][1]), "b": (Literal["x"] | None, None)}


@pytest.mark.parametrize(
    ("value", "annotation", "good"),
    [
        (1, int, True),
        (True, int, False),
        ("1", int, False),
        (1.0, int, False),
        (1, float, True),
        (math.pi, float, True),
        ("0.1", float, False),
        (True, bool, True),
        (1, bool, False),
        ("a", str, True),
        (1, str, False),
        (None, int | None, True),
        (None, int, False),
        ([0.9, 0.999], tuple[float, float], True),
        ([0.9], tuple[float, float], False),
        ([1, 2], list[int], True),
        (["a"], list[int], False),
        ({"a": 1}, dict[str, int], True),
        ("min", Literal["min", "max"], True),
        ("least", Literal["min", "max"], False),
        ("auto", Literal["auto"] | int, True),
        (2, Literal["auto"] | int, True),
        ("anything", Any, True),
    ],
)
def test_fits_checks_a_value_against_an_annotation(value, annotation, good):
    assert fits(value, annotation) is good


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, float, 1.0),
        (1, int | float, 1),
        (0.5, float | int, 0.5),
        ([1, 2], tuple[int, int], (1, 2)),
        ([1, 2], tuple[float, ...] | None, (1.0, 2.0)),
        ([[0, 1], [2]], tuple[tuple[int, ...], ...], ((0, 1), (2,))),
        ([1, 2], list[float], [1.0, 2.0]),
        (["a"], str | list[str] | None, ["a"]),
        ({"a": 1}, dict[str, float], {"a": 1.0}),
        ("auto", Literal["auto"] | int, "auto"),
        ([1], Any, [1]),
    ],
)
def test_typed_converts_a_value(value, annotation, expected):
    result = typed(value, annotation)
    assert (result, type(result)) == (expected, type(expected))
    assert repr(result) == repr(expected)  # 1.0 and not 1, inside too


def test_typed_refuses_a_value_in_words():
    with pytest.raises(ValueError, match=r"^'1' is not int or null$"):
        typed("1", int | None)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "int"),
        (int | None, "int or null"),
        (Literal["min", "max"], "one of min, max"),
        (Literal["auto"] | int, "auto or int"),
        (tuple[float, float], "tuple[float, float]"),
        (list[str] | None, "list[str] or null"),
        (Any, "Any"),
    ],
)
def test_describe_puts_an_annotation_into_words(annotation, words):
    assert describe(annotation) == words
