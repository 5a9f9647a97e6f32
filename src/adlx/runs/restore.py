"""Loads a model from a checkpoint, with its parts and its base; resume, eval, export and fine-tuning share this.

A checkpoint describes its run in the card, `checkpoint["adlx"]`: see `checkpoints.card_of`.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from torch import nn

from adlx.config.nodes import CheckedConfig
from adlx.config.stored import check_plain
from adlx.config.targets import resolve
from adlx.config.values import describe, fits
from adlx.data.datamodule import DataModule
from adlx.errors import UserError
from adlx.models.lora import merge
from adlx.runs.build import build_model, build_task, model_spec
from adlx.runs.checkpoints import card_of, load_checkpoint
from adlx.runs.finetune import Base
from adlx.runs.folder import RunFolder
from adlx.runs.groups import checked_stored
from adlx.runs.provenance import versions
from adlx.specs import Spec
from adlx.tasks.task import Task


@dataclass(frozen=True)
class Restored:
    """The model of a run with its best weights.

    Args:
        model: with merged adapters, unless `restore_model` was called with `merged=False`.
        spec: the dimensions of the data that it was trained on.
        model_spec: the dimensions that the model was built from: `spec`, with the outputs that the loss needs.
        card: the card of the checkpoint, see `card_of`.
    """

    model: nn.Module
    spec: Spec
    model_spec: Spec
    card: dict[str, Any]


def spec_from(plain: dict[str, Any], path: str | Path) -> Spec:
    """The spec whose values `Spec.plain` stored in the checkpoint `path`.

    Raises:
        UserError: its class is not trusted, or it lacks a value, has an unknown one or one of the wrong type.
    """
    where = f"checkpoint {path}: the spec of its data"
    kind = resolve(plain.get("_target_"), Spec, where)
    values = {key: value for key, value in plain.items() if key != "_target_"}
    check_plain(values, "", where)
    hints = {field.name: get_type_hints(kind)[field.name] for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(map(str, values.keys() - hints.keys())):
        raise UserError(f"{where} has the unknown value {unknown[0]}: another version of adlx wrote it")
    for name, value in values.items():
        if not fits(value, hints[name]):
            raise UserError(f"{where} is damaged: {name} is {repr(value)[:60]}, and must be {describe(hints[name])}")
    try:
        return kind(**values)
    except TypeError:
        required = {field.name for field in fields(kind) if field.default is MISSING}  # type: ignore[arg-type]
        lacking = ", ".join(sorted(required - values.keys()))
        raise UserError(f"{where} lacks {lacking}: another version of adlx wrote it") from None


def restore_model(run: RunFolder, base: str | None = None, merged: bool = True) -> Restored:
    """Loads the model of a run with its best weights; needs no data.

    Args:
        run: a finished run.
        base: the base run of a fine-tuned run, if it was moved.
        merged: whether to add the updates of adapters to the weights.
    """
    checkpoint = load_checkpoint(run.checkpoint)
    card = card_of(checkpoint, run.checkpoint)
    plain = {**card["config"], "finetune": locate_base(run, card["config"]["finetune"], base)}
    config = checked_stored(plain, run.checkpoint)
    spec = spec_from(card["spec"], run.checkpoint)
    spec_of_model = model_spec(config, spec)
    model = build_model(config.model, spec_of_model)
    prepare_to_load(model, config)
    stored = checkpoint["state_dict"].items()
    weights = {key.removeprefix("model."): value for key, value in stored if key.startswith("model.")}
    strict = config.finetune is None or not config.finetune.target.stores_trained_weights_only
    with readable_mismatch(run):
        model.load_state_dict(weights, strict=strict)
    if merged:
        merge(model)
    return Restored(model, spec, spec_of_model, card)


@contextmanager
def readable_mismatch(run: RunFolder) -> Iterator[None]:
    """Turns PyTorch's error for weights that do not fit the model into one line."""
    try:
        yield
    except RuntimeError as error:
        first, *details = str(error).splitlines()
        detail = details[0].strip() if details else first
        raise UserError(f"{run.path}: the checkpoint does not fit the config: {detail}") from None


def restore_task(config: CheckedConfig, data: DataModule) -> Task:
    """Builds the task of a run with a new model; a checkpoint provides the weights and statistics afterwards."""
    model = build_model(config.model, model_spec(config, data.spec))
    facts = prepare_to_load(model, config)
    task = build_task(config, data, model)
    return with_facts(task, config, data, facts)


def prepare_to_load(model: nn.Module, config: CheckedConfig) -> dict[str, Any]:
    """Adds adapters to the model of a fine-tuned run if its checkpoint has them. Returns facts for `run.json`."""
    if config.finetune is None:
        return {}
    strategy = config.finetune.build()
    try:
        return strategy.prepare_to_load(model, lambda: load_base_run(strategy.run, strategy.sha256))
    except ValueError as error:
        raise UserError(str(error)) from None


def with_facts(task: Task, config: CheckedConfig, data: DataModule, finetune: dict[str, Any]) -> Task:
    """Gives the task the facts that it stores in its checkpoints, and returns it."""
    task.finetune = finetune
    task.strict_loading = config.finetune is None or not config.finetune.target.stores_trained_weights_only
    task.card = {"config": config.plain, "spec": data.spec.plain(), "versions": versions()}
    return task


def load_base_run(path: str, sha256: str | None) -> Base:
    """Loads a base run: its config and its weights, without running any code from its folder.

    Raises:
        UserError: it is missing, has not finished, or its checkpoint does not have this `sha256`.
    """
    run = find_base_run(path, sha256)
    run.require_finished("finetune.run")
    digest = checkpoint_digest(run)
    if sha256 is not None and digest != sha256:
        raise UserError(
            f"finetune.run={path} is not the run this one started from: its weights are {digest[:12]}..., "
            f"not {sha256[:12]}... (sha256 of {run.checkpoint.name})"
        )
    restored = restore_model(run)
    return Base(run, digest, restored.model, restored.model_spec)


def find_base_run(path: str, sha256: str | None = None) -> RunFolder:
    """The folder of a base run; raises UserError if it is not there."""
    if not Path(path).is_dir():
        known = f" (sha256 {sha256[:12]}...)" if sha256 else ""
        raise UserError(
            f"finetune.run={path} is not there{known}: give the folder of the base run with finetune.run=RUN"
        )
    return RunFolder.open(path)


def locate_base(run: RunFolder, node: dict[str, Any] | None, base: str | None = None) -> dict[str, Any]:
    """`config.finetune` of a run with the current path of its base: `base`, or the path relative to the run if both
    were moved.
    """
    node = dict(node or {})
    if node and base is not None:
        node["run"] = base
    if isinstance(path := node.get("run"), str):
        relative = run.info.get("finetune", {}).get("relative_path")
        if not Path(path).is_dir() and relative and (run.path / relative / "run.json").is_file():
            path = str((run.path / relative).resolve())
        node["run"] = str(Path(path).absolute())
    return node


def relative_path(run: RunFolder, base: str) -> str:
    """The path from the folder of a run to that of its base."""
    return os.path.relpath(base, run.path.absolute())


def checkpoint_digest(run: RunFolder) -> str:
    """SHA-256 of the file `run.checkpoint`."""
    return hashlib.sha256(run.checkpoint.read_bytes()).hexdigest()
