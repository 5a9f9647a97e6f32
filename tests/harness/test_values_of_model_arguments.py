"""The config of every model refuses numbers out of range by their key, before data are loaded.

The tests find the models by their config files, and the numbers by the annotations of their arguments.
"""

import json
import math
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from tiny_models import TINY, config_of, node_of, task_of
from user_errors import user_error_of

from adlx.config.catalog import options
from adlx.config.check import check_node
from adlx.config.nodes import Node, Part
from adlx.config.targets import parameters
from adlx.errors import UserError
from adlx.models.fields.sea_autoencoder import SEAAutoencoder
from adlx.runs.build import build_model
from adlx.runs.groups import GROUPS
from adlx.runs.train import train
from adlx.specs import CodeSpec, FieldSpec, ImageSpec, SeriesSpec, Spec
from adlx.sweeps.multirun import run_sweep

MODELS = sorted(options("model"))
HUGE = 10**9
WRONG = [-5, 0, math.nan, math.inf, 1e9, HUGE, 0.5, 7, "much", [1, 2], [], True, None]
SPECS: dict[type[Spec], Spec] = {
    SeriesSpec: SeriesSpec(("a", "b"), context=24, horizon=3),
    ImageSpec: ImageSpec(1, (16, 16), ("a", "b")),
    CodeSpec: CodeSpec((4, 4), 8, 4, ("a", "b")),
    FieldSpec: FieldSpec(("u", "v", "p"), ((0, 1), (2,)), 64, grid=(8, 8), parameters=("re",)),
}


def numbers_in(annotation: Any) -> list[tuple[type, int | None]]:
    """The numbers that an argument may hold: each kind, with the length of the list that holds it."""
    if annotation in (int, float):
        return [(annotation, None)]
    kind, inner = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return numbers_in(inner[0])
    if kind in (Union, UnionType):
        return [number for argument in inner for number in numbers_in(argument)]
    if inner and isinstance(kind, type) and numbers_in(inner[0]):
        return [(numbers_in(inner[0])[0][0], len(inner) if kind is tuple else 2)]
    return []


def numbers_of(model: str) -> dict[str, list[tuple[type, int | None]]]:
    arguments = parameters(node_of(model).target)
    return {
        key: kinds for key in config_of(model)["model"] if key in arguments if (kinds := numbers_in(arguments[key][0]))
    }


def wrong_values(kinds: list[tuple[type, int | None]]) -> list[Any]:
    """Numbers and other values, as the argument or as one of the numbers of a list."""
    lists = [
        [wrong if index == position else 1 for index in range(length)]
        for _, length in kinds
        if length is not None
        for wrong in WRONG
        for position in range(length)
    ]
    return [*WRONG, *lists]


def tiny_node(model: str, **values: Any) -> Node:
    plain = dict(config_of(model)["model"])
    plain |= {key: json.loads(str(size)) for key, size in TINY.items() if key in plain} | values
    return check_node(plain, GROUPS["model"], "model", lambda key: "on the command line")


def build(model: str, **values: Any) -> None:
    """Checks the config of a tiny model with other values, and builds it."""
    node = tiny_node(model, **values)
    kinds = get_args(task_of(model).spec_kind) or (task_of(model).spec_kind,)
    for kind in kinds:
        parts: Any = {
            name: SEAAutoencoder(SPECS[FieldSpec], (2, 4), dimension=4, width=8)  # type: ignore[arg-type]
            for name, part in node.arguments.items()
            if isinstance(part, Part)
        }
        build_model(node, SPECS[kind], parts)


@pytest.mark.parametrize("model", [name for name in MODELS if numbers_of(name)])
def test_every_value_works_or_is_refused_by_its_key(model):
    build(model)
    for key, kinds in numbers_of(model).items():
        refused = []
        for value in wrong_values(kinds):
            try:
                build(model, **{key: value})
            except UserError as error:
                assert f"model.{key}=" in str(error), (value, str(error))
                assert "\n" not in str(error)
                refused.append(value)
        assert {json.dumps(value) for value in (-5, math.nan, "much")} <= {json.dumps(value) for value in refused}, key


@pytest.mark.parametrize("value", [-5, 0, math.nan, HUGE])
@pytest.mark.parametrize("model", [name for name in MODELS if numbers_of(name)])
def test_a_size_out_of_range_is_refused_before_data_are_loaded(model, value):
    """The config is checked first, before any download or simulation."""
    sizes = {key for key, kinds in numbers_of(model).items() if (int, None) in kinds}
    may_be_zero = {"blocks", "decoder_blocks", "convolutions", "pushforward", "teacher_forcing_steps"}
    unlimited = {"teacher_forcing_steps"}
    for key in sizes - (may_be_zero if value == 0 else set()) - (unlimited if value == HUGE else set()):
        message = user_error_of(tiny_node, model, **{key: value})
        assert message.startswith(f"model.{key}={json.dumps(value)} on the command line must be ")


@pytest.mark.parametrize(
    ("model", "value"),
    [
        ("seq2seq", "hidden=-5"),
        ("seq2seq", "dropout=1.5"),
        ("transformer", "heads=0"),
        ("seasonal_naive", "season=[1]"),
    ],
)
def test_a_run_and_a_sweep_are_refused_and_write_nothing(model, value, tmp_path):
    words = [f"model={model}", f"model.{value}", "data=csv", f"data.path={tmp_path / 'absent.csv'}"]
    words.append(f"output_dir={tmp_path / 'outputs'}")
    line = f"model.{value} on the command line (model.{value}) must be "
    assert user_error_of(train, words).startswith(line)
    assert line in user_error_of(run_sweep, [*words, "seed=1,2"])
    assert not (tmp_path / "outputs").exists()


def test_a_model_larger_than_the_memory_is_refused_in_one_line():
    line = "model=Seq2Seq needs more memory than there is: choose smaller sizes"
    assert user_error_of(build, "seq2seq", hidden=2**20) == line
