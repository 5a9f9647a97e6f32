"""A model out of a checkpoint, with its parts and its base: what resuming, evaluating, exporting and fine-tuning share.

What a checkpoint stores of its run, the card (`checkpoint["adlx"]`), contains the `config`, the `spec` of the data as
`Spec.plain` gives it, and library `versions`.
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
        model: with its adapters merged, unless they were asked for.
        spec: the dimensions of the data that it was trained on.
        model_spec: what the model was built from: `spec`, with the outputs that the loss of the run needs.
        card: of the checkpoint, see `card_of`.
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
    """The model of a run with its best weights; needs no data.

    Args:
        run: finished.
        base: the run it was fine-tuned from, if that is no longer where it was.
        merged: fold adapters into the weights.
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
    strict = config.finetune is None or not config.finetune.target.keeps_adapters_alone
    with readable_mismatch(run):
        model.load_state_dict(weights, strict=strict)
    if merged:
        merge(model)
    return Restored(model, spec, spec_of_model, card)


@contextmanager
def readable_mismatch(run: RunFolder) -> Iterator[None]:
    """Turns PyTorch's error for weights of another model into one line."""
    try:
        yield
    except RuntimeError as error:
        first, *details = str(error).splitlines()
        detail = details[0].strip() if details else first
        raise UserError(f"{run.path}: the checkpoint does not fit the config: {detail}") from None


def restore_task(config: CheckedConfig, data: DataModule) -> Task:
    """The task of a run with a new model; a checkpoint then provides its weights and statistics."""
    model = build_model(config.model, model_spec(config, data.spec))
    facts = prepare_to_load(model, config)
    task = build_task(config, data, model)
    return with_facts(task, config, data, facts)


def prepare_to_load(model: nn.Module, config: CheckedConfig) -> dict[str, Any]:
    """Adds adapters to the model if the checkpoint of a fine-tuned run has them. Returns facts for `run.json`."""
    if config.finetune is None:
        return {}
    strategy = config.finetune.build()
    try:
        return strategy.prepare_to_load(model, lambda: open_base(strategy.run, strategy.sha256))
    except ValueError as error:
        raise UserError(str(error)) from None


def with_facts(task: Task, config: CheckedConfig, data: DataModule, finetune: dict[str, Any]) -> Task:
    """The task, with the facts that it stores in its checkpoints."""
    task.finetune = finetune
    task.strict_loading = config.finetune is None or not config.finetune.target.keeps_adapters_alone
    task.card = {"config": config.plain, "spec": data.spec.plain(), "versions": versions()}
    return task


def open_base(path: str, sha256: str | None) -> Base:
    """Opens a base run as data: its own config, its weights and nothing that runs code.

    Raises:
        UserError: it is absent, unfinished, or not the one with this `sha256`.
    """
    run = open_base_folder(path, sha256)
    run.require_finished("finetune.run")
    digest = checkpoint_digest(run)
    if sha256 is not None and digest != sha256:
        raise UserError(
            f"finetune.run={path} is not the run this one started from: its weights are {digest[:12]}..., "
            f"not {sha256[:12]}... (sha256 of {run.checkpoint.name})"
        )
    restored = restore_model(run)
    return Base(run, digest, restored.model, restored.model_spec)


def open_base_folder(path: str, sha256: str | None = None) -> RunFolder:
    if not Path(path).is_dir():
        known = f" (sha256 {sha256[:12]}...)" if sha256 else ""
        raise UserError(f"finetune.run={path} is not there{known}: say where the base run is with finetune.run=RUN")
    return RunFolder.open(path)


def locate_base(run: RunFolder, node: dict[str, Any] | None, base: str | None = None) -> dict[str, Any]:
    """`config.finetune` of a run with the present path of its base: `base`, or where it lies if both were moved."""
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
