"""Starting from a finished run: the choices of the `finetune` group."""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adlx.config.targets import build, resolve
from adlx.errors import UserError
from adlx.models.lora import add_lora, merge
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.folder import Run
from adlx.runs.parts import build_model
from adlx.specs import spec_of
from adlx.tasks import task_for

log = logging.getLogger("adlx")


@dataclass(frozen=True)
class Base:
    """A finished run that another starts from.

    Args:
        run: its folder.
        sha256: of the checkpoint file.
        model: with the best weights, whole (the adapters of a LoRA run merged).
        card: what its checkpoint says of it: `config`, `spec`, `versions`.
    """

    run: Run
    sha256: str
    model: nn.Module
    card: dict[str, Any]


class Finetune:
    """What the choices share.

    Args:
        run: folder of the base run.
        sha256: of the base's checkpoint; None: not known yet, the run that starts fills it in.
    """

    holds_adapters = False
    """Whether checkpoints leave out the weights that did not change."""

    def __init__(self, run: str, sha256: str | None = None) -> None:
        self.run, self.sha256 = run, sha256

    def prepare(self, model: nn.Module, node: dict[str, Any], trained: bool) -> dict[str, Any]:
        """Makes a fresh model start from the base.

        Args:
            model: built for the new data.
            node: the config it was built from.
            trained: its weights will be read from a checkpoint afterwards.

        Returns:
            Facts for `run.json`.

        Raises:
            UserError: the base is absent, has changed, or is of another kind.
        """
        raise NotImplementedError


class Full(Finetune):
    """Trains all weights, from those of the base run."""

    def prepare(self, model: nn.Module, node: dict[str, Any], trained: bool) -> dict[str, Any]:
        if trained:  # the checkpoint holds everything
            return {}
        base = open_base(self.run, self.sha256)
        fresh = take(model, node, base)
        tell(model, base, fresh)
        return {**identity(base), "fresh": fresh}


class LoRA(Finetune):
    """Trains low-rank updates of affine layers; all else keeps the weights of the base run.

    Args:
        run, sha256: as in `Finetune`.
        rank: of the updates.
        alpha: the updates are scaled by alpha / rank; None: by 1.
        dropout: on what goes into an update.
        target: pattern, or several, of layer names such as `blocks.*.query`; None: every affine layer.
        train_fresh: train layers that do not fit the new data, and so start afresh, in full; else they stay as they
            were drawn and are updated like the others.
    """

    holds_adapters = True

    def __init__(
        self,
        run: str,
        rank: int = 8,
        alpha: float | None = None,
        dropout: float = 0.0,
        target: str | list[str] | None = None,
        train_fresh: bool = True,
        sha256: str | None = None,
    ) -> None:
        super().__init__(run, sha256)
        self.rank, self.alpha, self.dropout, self.target = rank, alpha, dropout, target
        self.train_fresh = train_fresh

    def prepare(self, model: nn.Module, node: dict[str, Any], trained: bool) -> dict[str, Any]:
        base = open_base(self.run, self.sha256)
        fresh = take(model, node, base)
        if not trained:
            tell(model, base, fresh)
        trainable = fresh if self.train_fresh else []
        lone = [name for name, _ in model.named_parameters(recurse=False)]  # of no layer, such as learned positions
        adapted = add_lora(
            model,
            rank=self.rank,
            alpha=self.alpha,
            dropout=self.dropout,
            target=self.target,
            trainable=[name for name in trainable if name not in lone],
        )
        for name in set(trainable) & set(lone):
            model.get_parameter(name).requires_grad_(True)
        return {**identity(base), "fresh": fresh, "adapted": adapted}


def prepare(model: nn.Module, config: dict[str, Any], trained: bool) -> tuple[dict[str, Any], bool]:
    """Applies `config.finetune`: facts for `run.json`, and whether checkpoints hold adapters alone."""
    node = config.get("finetune")
    if not node:
        return {}, False
    strategy: Finetune = build(node, Finetune, "finetune")
    return strategy.prepare(model, config["model"], trained), strategy.holds_adapters


def adopt(config: dict[str, Any], overrides: Sequence[str]) -> None:
    """Takes over from the base run the model's arguments that no word of the command line set.

    A fine-tuned model is the base's model: its YAML's defaults say nothing of how that was built.
    """
    node = config.get("finetune")
    if not node:
        return
    run = found(node["run"])
    node["run"] = str(run.path.absolute())  # it will be looked for from other folders
    base = run.config["model"]
    if base.get("_target_") != config["model"].get("_target_"):
        raise UserError(
            f"finetune.run={run.path} is a {_kind(base)}, and model={_kind(config['model'])}: choose the same model"
        )
    said = {word.lstrip("+").split("=")[0] for word in overrides}
    taken = {
        key: value for key, value in base.items() if config["model"].get(key) != value and f"model.{key}" not in said
    }
    config["model"].update(taken)
    if taken:
        told = {key: value["run"] if isinstance(value, dict) else value for key, value in taken.items()}
        log.info(f"as in {run.path}: " + ", ".join(f"model.{key}={value}" for key, value in told.items()))


def _kind(node: dict[str, Any]) -> str:
    return str(node.get("_target_")).rpartition(".")[2]


def open_base(path: str, sha256: str | None) -> Base:
    """Opens a base run as data: its own config, its weights and nothing that runs code.

    Raises:
        UserError: it is absent, unfinished, or not the one that `sha256` tells of.
    """
    run = found(path, sha256)
    if run.status != "finished":
        raise UserError(f"finetune.run={path} is {run.status}, not finished: adlx resume {path}")
    file = weights_file(run)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if sha256 is not None and digest != sha256:
        raise UserError(
            f"finetune.run={path} is not the run this one started from: its weights are {digest[:12]}..., "
            f"not {sha256[:12]}... (sha256 of {file.name})"
        )
    model, card = restored(run)
    return Base(run, digest, model, card)


def found(path: str, sha256: str | None = None) -> Run:
    """The folder of a base run."""
    if not Path(path).is_dir():
        known = f" (sha256 {sha256[:12]}...)" if sha256 else ""
        raise UserError(f"finetune.run={path} is not there{known}: say where the base run is with finetune.run=RUN")
    return Run.open(path)


def weights_file(run: Run) -> Path:
    return run.best if run.best.is_file() else run.last


def restored(run: Run, base: str | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The model of a run with its best weights, whole, and the card of its checkpoint; needs no data.

    Args:
        run: finished.
        base: the run it started from, if that is no longer where it was.
    """
    card = load_checkpoint(weights_file(run))["adlx"]
    model = opened(run, {**card["config"], "finetune": located(run, card["config"].get("finetune"), base)})
    merge(model)
    return model, card


def opened(run: Run, config: dict[str, Any]) -> nn.Module:
    """The model of a run with its best weights, adapters as they are."""
    checkpoint = load_checkpoint(weights_file(run))
    model = built(config, checkpoint["adlx"]["spec"])
    _, adapters = prepare(model, config, trained=True)
    held = {key.removeprefix("model."): value for key, value in checkpoint["state_dict"].items() if key[:6] == "model."}
    model.load_state_dict(held, strict=not adapters)
    return model


def built(config: dict[str, Any], spec: dict[str, Any]) -> nn.Module:
    """A model as `config` has it, for data of these dimensions."""
    kind = task_for(resolve(config["model"].get("_target_"), nn.Module, "model"))
    dimensions = kind.model_spec(spec_of(spec), config["loss"])
    return build_model(config["model"], dimensions, read=False)


def located(run: Run, node: dict[str, Any] | None, base: str | None = None) -> dict[str, Any]:
    """`config.finetune` of a run, with its base where it is now: both may have moved together, or it is said."""
    node = dict(node or {})
    if node and base is not None:
        node["run"] = base
    if isinstance(path := node.get("run"), str):
        beside = run.info.get("finetune", {}).get("beside")
        if not Path(path).is_dir() and beside and (run.path / beside / "run.json").is_file():
            path = str((run.path / beside).resolve())
        node["run"] = str(Path(path).absolute())
    return node


def identity(base: Base) -> dict[str, Any]:
    return {"run": str(base.run.path), "sha256": base.sha256}


def beside(run: Run, base: str) -> str:
    """The way from a run to its base."""
    return os.path.relpath(base, run.path.absolute())


@torch.no_grad()
def take(model: nn.Module, node: dict[str, Any], base: Base) -> list[str]:
    """Copies the base's weights into a model, layer by layer; counters (whole numbers) start anew.

    Returns:
        The layers that stay as they were drawn, since the new data have other dimensions.

    Raises:
        UserError: the model would not fit even the base's own data.
    """
    same_data = built({**base.card["config"], "model": node}, base.card["spec"]).state_dict()
    theirs = base.model.state_dict()
    for name in sorted(theirs.keys() | same_data.keys()):
        shapes = [tuple(state[name].shape) if name in state else "absent" for state in (theirs, same_data)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"model does not fit finetune.run={base.run.path}: {name} is {shapes[0]} there and {shapes[1]} here"
            )
    own = model.state_dict()
    fresh = sorted({layer(name) for name in own if name not in theirs or own[name].shape != theirs[name].shape})
    for name, value in own.items():
        if layer(name) not in fresh and (value.is_floating_point() or value.dtype == torch.bool):
            value.copy_(theirs[name])
    return fresh


def tell(model: nn.Module, base: Base, fresh: list[str]) -> None:
    layers = {layer(name) for name, _ in model.named_parameters()}
    told = f"; initialised afresh, as the data have other dimensions: {', '.join(fresh)}" if fresh else ""
    log.info(f"starting from {base.run.path}: {len(layers) - len(fresh)} of {len(layers)} layers{told}")


def layer(name: str) -> str:
    """The module that a parameter or buffer belongs to; one of the model itself stands for itself."""
    return name.rpartition(".")[0] or name
