"""Fine-tuning: training that starts from the weights of a finished run. The choices of the `finetune` group."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adlx.errors import UserError
from adlx.models.lora import add_lora
from adlx.paths import PathText
from adlx.ranges import Positive, PositiveInt, ShareBelowOne
from adlx.runs.folder import RunFolder
from adlx.specs import Spec

log = logging.getLogger("adlx")


@dataclass(frozen=True)
class Base:
    """The base run: a finished run whose weights another run starts from.

    Args:
        run: its folder.
        sha256: the hash of its checkpoint file.
        model: its model with the best weights; the adapters of a LoRA run are merged into them.
        spec: the dimensions of its data, with the outputs that its loss needs; the model was built from it.
    """

    run: RunFolder
    sha256: str
    model: nn.Module
    spec: Spec

    @property
    def identity(self) -> dict[str, Any]:
        return {"run": str(self.run.path), "sha256": self.sha256}


class Finetune:
    """Base class of the choices.

    Args:
        run: the folder of the base run.
        sha256: the hash of the base's checkpoint; None: not known yet, a new run stores it.
    """

    stores_trained_weights_only = False
    """Whether checkpoints leave out the weights that did not change."""

    def __init__(self, run: PathText, sha256: str | None = None) -> None:
        self.run, self.sha256 = run, sha256

    def start(self, model: nn.Module, base: Base) -> dict[str, Any]:
        """Copies the weights of the base into a new model. Returns facts for `run.json`."""
        raise NotImplementedError

    def prepare_to_load(self, model: nn.Module, load_base: Callable[[], Base]) -> dict[str, Any]:
        """Prepares a new model for loading a checkpoint of this fine-tuning. Returns facts for `run.json`."""
        return {}


class Full(Finetune):
    """Trains all weights, starting from those of the base run."""

    def start(self, model: nn.Module, base: Base) -> dict[str, Any]:
        fresh = copy_base_weights(model, base)
        log_start(model, base, fresh)
        return {**base.identity, "fresh": fresh}


class LoRA(Finetune):
    """Trains low-rank updates of affine layers; all other layers keep the weights of the base run.

    Args:
        run, sha256: as in `Finetune`.
        rank: of the updates.
        alpha: the updates are scaled by alpha / rank; None: by 1.
        dropout: on the input of an update.
        target: pattern, or several, of layer names such as `blocks.*.query`; None: every affine layer.
        train_fresh: layers that do not fit the new data start with new random weights; true: all weights of these
            layers are trained; false: they get low-rank updates like the others.
    """

    stores_trained_weights_only = True

    def __init__(
        self,
        run: PathText,
        rank: PositiveInt = 8,
        alpha: Positive | None = None,
        dropout: ShareBelowOne = 0.0,
        target: str | list[str] | None = None,
        train_fresh: bool = True,
        sha256: str | None = None,
    ) -> None:
        super().__init__(run, sha256)
        self.rank, self.alpha, self.dropout, self.target = rank, alpha, dropout, target
        self.train_fresh = train_fresh

    def start(self, model: nn.Module, base: Base) -> dict[str, Any]:
        fresh = copy_base_weights(model, base)
        log_start(model, base, fresh)
        return self._adapt(model, base, fresh)

    def prepare_to_load(self, model: nn.Module, load_base: Callable[[], Base]) -> dict[str, Any]:
        base = load_base()
        return self._adapt(model, base, copy_base_weights(model, base))

    def _adapt(self, model: nn.Module, base: Base, fresh: list[str]) -> dict[str, Any]:
        trainable = fresh if self.train_fresh else []
        # Parameters of the model itself, such as trained positions: they belong to no layer.
        outside_layers = [name for name, _ in model.named_parameters(recurse=False)]
        adapted = add_lora(
            model,
            rank=self.rank,
            alpha=self.alpha,
            dropout=self.dropout,
            target=self.target,
            trainable=[name for name in trainable if name not in outside_layers],
        )
        for name in set(trainable) & set(outside_layers):
            model.get_parameter(name).requires_grad_(True)
        return {**base.identity, "fresh": fresh, "adapted": adapted}


def check_fits_base(state: dict[str, Tensor], base: Base) -> None:
    """Raises UserError where a model, built for the base's own data, has other layers than the base.

    Args:
        state: the `state_dict` of that model.
        base: the base run.
    """
    theirs = base.model.state_dict()
    for name in sorted(theirs.keys() | state.keys()):
        shapes = [tuple(weights[name].shape) if name in weights else "absent" for weights in (theirs, state)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"model does not fit finetune.run={base.run.path}: {name} is {shapes[0]} there and {shapes[1]} here"
            )


@torch.no_grad()
def copy_base_weights(model: nn.Module, base: Base) -> list[str]:
    """Copies the weights of the base into a model, layer by layer, except counters (integers), which start anew.

    Returns:
        The layers that keep their new random weights, because the new data have other dimensions.
    """
    theirs, own = base.model.state_dict(), model.state_dict()
    fresh = sorted({layer_of(name) for name in own if name not in theirs or own[name].shape != theirs[name].shape})
    for name, value in own.items():
        if layer_of(name) not in fresh and (value.is_floating_point() or value.dtype == torch.bool):
            value.copy_(theirs[name])
    return fresh


def log_start(model: nn.Module, base: Base, fresh: list[str]) -> None:
    layers = {layer_of(name) for name, _ in model.named_parameters()}
    rest = f"; new random weights, because the data have other dimensions: {', '.join(fresh)}" if fresh else ""
    log.info(f"starting from {base.run.path}: {len(layers) - len(fresh)} of {len(layers)} layers{rest}")


def layer_of(name: str) -> str:
    """The name of the module that a parameter or buffer belongs to; its own name if it belongs to the model itself."""
    return name.rpartition(".")[0] or name
