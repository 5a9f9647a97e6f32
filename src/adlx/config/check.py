"""Every node of a config against what it configures, before anything heavy runs.

Hydra merges a misspelt YAML key silently; here each node's keys are held against the signature of its `_target_`, each
value against the annotation, and settings that contradict each other are named together.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import pytorch_lightning as pl
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import Profiler
from pytorch_lightning.strategies import Strategy
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from adlx.config.compose import nearest
from adlx.config.targets import parameters, resolve
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.runs.finetune import Finetune

Origin = Callable[[str], str]

# What the run itself passes, which a config may therefore not: the trainer's parts that have a group of their own.
_TRAINER_OWN = {"self", "logger", "callbacks", "plugins", "default_root_dir", "enable_checkpointing", "max_time"}
RUN_GIVES = ("dirpath", "folder", "save_dir", "first_step")  # to callbacks and loggers that ask for them
_NESTED: dict[str, type] = {
    "optimizer.schedule": LRScheduler,
    "trainer.strategy": Strategy,
    "trainer.profiler": Profiler,
}


def check(config: dict[str, Any], origin: Origin) -> None:
    """Checks every node.

    Args:
        config: a composed config.
        origin: tells where a key was set.

    Raises:
        UserError: one line that names the key, the nearest valid one and where it was set.
    """
    _check_node(config["model"], nn.Module, "model", origin, given={"spec"})
    _check_node(config["data"], DataModule, "data", origin)
    _check_node(config["loss"], nn.Module, "loss", origin)
    _check_node(config["optimizer"], Optimizer, "optimizer", origin, given={"params"}, extra={"schedule": Any})
    if config["finetune"]:
        if "_target_" not in config["finetune"]:
            path = f"finetune.{next(iter(config['finetune']))}"
            raise UserError(f"{path} {origin(path)} needs finetune=full or finetune=lora")
        _check_node(config["finetune"], Finetune, "finetune", origin)
    for name, node in config["callbacks"].items():
        _check_node(node, pl.Callback, f"callbacks.{name}", origin)
    for name, node in config["logger"].items():
        _check_node(node, Logger, f"logger.{name}", origin)
    _check_trainer(config["trainer"], origin)
    _check_contradictions(config)


def _check_node(
    node: Any,
    kind: type,
    where: str,
    origin: Origin,
    given: frozenset[str] | set[str] = frozenset(),
    extra: dict[str, Any] | None = None,
) -> None:
    if not isinstance(node, dict):
        raise UserError(f"{where} {origin(where)} is {node!r}: it must be a choice or keys of one")
    target = resolve(node.get("_target_"), kind, where)
    accepted = parameters(target)
    hints = {name: annotation for name, (annotation, _) in accepted.items() if name not in given} | (extra or {})
    _check_keys({key: value for key, value in node.items() if key != "_target_"}, hints, where, origin)
    for name, (_, default) in accepted.items():
        if default is inspect.Parameter.empty and name not in {*given, *RUN_GIVES} and name not in node:
            raise UserError(f"{where}.{name} is required: add {where}.{name}=VALUE")


def _check_trainer(node: dict[str, Any], origin: Origin) -> None:
    hints = {name: hint for name, (hint, _) in parameters(pl.Trainer).items() if name not in _TRAINER_OWN}
    _check_keys(node, {**hints, "threads": Literal["auto"] | int}, "trainer", origin)


def _check_keys(values: dict[str, Any], hints: dict[str, Any], where: str, origin: Origin) -> None:
    for key, value in values.items():
        path = f"{where}.{key}"
        if key not in hints:
            raise UserError(f"unknown key {path} {origin(path)}{nearest(key, hints)}")
        if path in _NESTED and isinstance(value, dict):
            if value:
                _check_node(value, _NESTED[path], path, origin, given={"optimizer", "total_steps"})
        elif inspect.isclass(hints[key]) and issubclass(hints[key], nn.Module):  # the run of a model, see runs/parts.py
            if not isinstance(value, str | dict | None):
                raise UserError(f"{path}={json.dumps(value)} {origin(path)} must be the folder of a run")
        elif not fits(value, hints[key]):
            raise UserError(f"{path}={json.dumps(value)} {origin(path)} must be {describe(hints[key])}")


def fits(value: Any, annotation: Any) -> bool:
    """Whether a plain value suits an annotation. Read as JSON: a list is a tuple and 1 is a float, but "1" is not."""
    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError, NameError):
        return True  # an annotation that says nothing of plain values
    try:
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


def describe(annotation: Any) -> str:
    """An annotation in words: `one of auto, yahoo` or `int or None`."""
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


def _check_contradictions(config: dict[str, Any]) -> None:
    """Settings that each make sense and together do not; the one place for them."""
    trainer, optimizer = config["trainer"], config["optimizer"]
    if str(trainer.get("precision")) == "16-mixed" and optimizer.get("fused") and trainer.get("gradient_clip_val"):
        raise UserError(
            "trainer.precision=16-mixed cannot clip gradients of a fused optimizer: "
            "set optimizer.fused=false, trainer.gradient_clip_val=null or trainer.precision=bf16-mixed"
        )
    monitored = {name for name, node in config["callbacks"].items() if node.get("monitor") == "val/loss"}
    if monitored and trainer.get("limit_val_batches") == 0:
        raise UserError(
            f"trainer.limit_val_batches=0 leaves no val/loss for callbacks.{sorted(monitored)[0]}: "
            "validate, or monitor something else"
        )
