"""Builds data, model and task from a checked config; the weights are random."""

from collections.abc import Mapping
from typing import Any, get_type_hints

import pytorch_lightning as pl
from torch import nn

from adlx.config.nodes import CheckedConfig, Node, Part
from adlx.config.targets import resolve
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.runs.folder import RunFolder
from adlx.runs.groups import GROUPS
from adlx.specs import Spec, describe_spec
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task


def build_data(config: CheckedConfig, earlier: RunFolder | None = None, newest: bool = False) -> DataModule:
    """The data module, not loaded yet.

    Args:
        config: of the run.
        earlier: a run whose data are loaded again: those that its `run.json` describes.
        newest: with what their source has got since then.

    Raises:
        UserError: `run.json` does not describe the data.
    """
    data: DataModule = config.data.build()
    for key, value in _pinned(data, earlier, newest).items() if earlier is not None else ():
        setattr(data, key, value)
    data.seed = config.seed
    return data


def _pinned(data: DataModule, run: RunFolder, newest: bool) -> dict[str, Any]:
    file = run.path / "run.json"
    try:
        pinned = data.pinned(run.info["data"], newest)
    except KeyError as error:
        raise UserError(f"{file}: data lacks {error.args[0]}") from None
    for key, value in pinned.items():
        if not isinstance(value, str | None):
            raise UserError(f"{file}: data has {value!r} for data.{key}, which must be text or null")
    return pinned


def check_pair(config: dict[str, Any]) -> None:
    """Raises UserError if the classes of task, model and data can never work together.

    This check comes first, so that the user reads about an impossible pair before a missing key in it.

    Args:
        config: plain, not checked yet.
    """
    nodes = {name: config[name] for name in ("task", "model", "data")}
    if not all(isinstance(node, dict) for node in nodes.values()):
        return  # the check of the config raises the error
    kinds: dict[str, Any] = {
        name: resolve(node.get("_target_"), GROUPS[name].kind, name) for name, node in nodes.items()
    }
    task, model, data = kinds["task"], kinds["model"], kinds["data"]
    if not issubclass(model, task.model_kind):
        raise UserError(
            f"task and model do not fit: {task.__name__} trains a {task.model_kind.__name__}, and {model.__name__} is "
            "not one; the model's own config file chooses its task"
        )
    if not issubclass(spec_kind(data), task.spec_kind):
        raise UserError(
            f"model and data do not fit: {model.__name__} is for {describe_spec(task.spec_kind)}, and "
            f"{data.__name__} gives {describe_spec(spec_kind(data))}"
        )
    if config["finetune"] and not task.uses_gradient_descent:
        raise UserError(
            f"finetune: {model.__name__} has a closed-form solution and cannot start from another run: leave finetune "
            "out"
        )


def spec_kind(data: type[DataModule]) -> type[Spec]:
    """The class of the spec of a data module, known before it is built."""
    return get_type_hints(data.spec.fget)["return"]  # type: ignore[attr-defined]


def build_loss(config: CheckedConfig) -> nn.Module:
    try:
        return config.loss.build()
    except ValueError as error:
        raise UserError(str(error)) from None


def model_spec(config: CheckedConfig, spec: Spec) -> Spec:
    """The dimensions that the model is built from: those of the data, and the outputs that the loss needs."""
    return config.task.target.model_spec(spec, build_loss(config))


def build_model(node: Node, spec: Spec, parts: Mapping[str, nn.Module] | None = None) -> nn.Module:
    """A model with its parts.

    Args:
        node: the node `model` of a checked config.
        spec: the dimensions that the model is built from.
        parts: models of other runs, by argument; parts that are not given are built with random weights.

    Raises:
        UserError: the model refuses its arguments (the message is the model's), or needs too much memory.
    """
    given = dict(parts or {})
    for name, part in node.arguments.items():
        if isinstance(part, Part) and name not in given:
            assert part.model is not None
            given[name] = build_model(part.model, spec)
    try:
        return node.build(spec, **given)
    except ValueError as error:
        raise UserError(str(error)) from None
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        raise UserError(f"model={node.target.__name__} needs more memory than there is: choose smaller sizes") from None


def build_task(config: CheckedConfig, data: DataModule, model: nn.Module) -> Task:
    """Builds the task with its model; it has no statistics of the training part yet.

    Args:
        config: the config of the run.
        data: the loaded data.
        model: built for these data.
    """
    kind = config.task.target
    try:
        kind.check_trainer(config.trainer.arguments)
        return config.task.build(
            model=model, loss=build_loss(config), optimization=optimization(config), data=data, seed=config.seed
        )
    except ValueError as error:
        raise UserError(str(error)) from None


def optimization(config: CheckedConfig) -> Optimization:
    """Functions that make the optimizer and its schedule later, when the weights are known."""
    schedule: Node | None = config.optimizer.arguments.get("schedule")
    return Optimization(
        make_optimizer=config.optimizer.without("schedule").build,
        make_schedule=None if schedule is None else schedule.build,
    )


def seed_everything(config: CheckedConfig) -> None:
    """Seeds all generators, so that the random first weights depend on the seed of the config alone."""
    pl.seed_everything(config.seed, verbose=False)
