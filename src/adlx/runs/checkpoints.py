"""Checkpoints: complete at any instant, with only tensors and plain values, and no paths, so a run can be moved."""

import logging
import zipfile
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning import callbacks
from pytorch_lightning.plugins.io import TorchCheckpointIO

from adlx.atomic import replacing
from adlx.config.stored import check_stored_config
from adlx.errors import RunFailed, UserError
from adlx.paths import PathText
from adlx.ranges import NonNegativeInt
from adlx.tasks.lightning_internals import batches_done, is_last_batch

log = logging.getLogger("adlx")

STATE = ("best_score", "is_untrained_best", "num_validations")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file in the same folder, flushes it to disk and renames it. Reads with `weights_only`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with replacing(path) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return load_checkpoint(path)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU, as data, never as code.

    Raises:
        UserError: it is missing, truncated, or contains objects other than tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"no checkpoint {path}") from None
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError and others for a damaged file
        if not zipfile.is_zipfile(path):
            raise UserError(
                f"checkpoint {path} is truncated or not a checkpoint ({Path(path).stat().st_size} bytes)"
            ) from None
        raise UserError(f"checkpoint {path} cannot be read: {str(error).splitlines()[0][:160]}") from None


def card_of(checkpoint: dict[str, Any], path: str | Path) -> dict[str, Any]:
    """The card of a checkpoint: what `Task.on_save_checkpoint` stores of the run, next to the weights.

    It contains the `config` of the run, the `spec` of its data (see `Spec.plain`), the `versions` of the libraries, and
    the `steps` and `seconds` of training so far.

    Args:
        checkpoint: as `load_checkpoint` returns it.
        path: the file, for the message.

    Raises:
        UserError: a part of the card is missing or has the wrong type, or there are no weights.
    """
    card = checkpoint.get("adlx") if isinstance(checkpoint, dict) else None
    if not isinstance(card, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise UserError(f"checkpoint {path} was not written by adlx: it has no weights or does not describe its run")
    for name, kind in _CARD.items():
        if not isinstance(card.get(name), kind):
            value = repr(card[name])[:60] if name in card else "missing"
            raise UserError(f"checkpoint {path} is damaged: `{name}` in its description of the run is {value}")
    for name, weight in checkpoint["state_dict"].items():
        if not isinstance(weight, torch.Tensor):
            raise UserError(f"checkpoint {path} is damaged: the weight {name} is {repr(weight)[:60]}")
    check_stored_config(card["config"], f"checkpoint {path}: its config")
    return card


def load_card(path: str | Path) -> dict[str, Any]:
    """The card of the checkpoint at `path`, see `card_of`."""
    return card_of(load_checkpoint(path), path)


_CARD: dict[str, Any] = {"config": dict, "spec": dict, "versions": dict, "steps": int, "seconds": float | int}


class Checkpoint(callbacks.Checkpoint):
    """`best.ckpt` by a validation metric, and `last.ckpt`, the newest, to resume from.

    Differences to Lightning's ModelCheckpoint: its state contains no path, so a run folder can move; it writes
    `last.ckpt` at the end of each epoch even if the metric did not improve; an interruption saves the current step.

    Args:
        dirpath: the folder of the checkpoints; the run sets it.
        monitor: metric logged in validation.
        mode: `min` or `max`.
        every_n_train_steps: also write `last.ckpt` after this many steps; 0: only at the end of an epoch.
        untrained: also validate the model before training; it is the best checkpoint until an epoch is better.
    """

    def __init__(
        self,
        dirpath: PathText,
        monitor: str = "val/loss",
        mode: Literal["min", "max"] = "min",
        every_n_train_steps: NonNegativeInt = 0,
        untrained: bool = False,
    ) -> None:
        self.folder = Path(dirpath)
        self.monitor, self.sign = monitor, 1.0 if mode == "min" else -1.0
        self.every_n_train_steps = every_n_train_steps
        self.untrained = untrained
        self.best_score: float | None = None
        self.is_untrained_best = False
        self.num_validations = 0  # during training

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in STATE:
            setattr(self, name, state_dict[name])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        every = self.every_n_train_steps
        if every and batches_done(trainer) % every == 0 and not is_last_batch(trainer):
            trainer.save_checkpoint(self.folder / "last.ckpt")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn not in ("fit", "validate") or trainer.sanity_checking:
            return
        value = trainer.callback_metrics.get(self.monitor)
        if value is None:
            logged = ", ".join(trainer.callback_metrics)
            raise UserError(f"callbacks.checkpoint.monitor={self.monitor} was not logged; there is {logged}")
        score = self.sign * value.item()
        is_training = trainer.state.fn == "fit"
        self.num_validations += is_training
        if self.best_score is None or score < self.best_score:
            self.best_score, self.is_untrained_best = score, not is_training
            trainer.save_checkpoint(self.folder / "best.ckpt")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.is_untrained_best or not trainer.is_global_zero:
            return
        if self.num_validations:
            log.info(f"no epoch improved {self.monitor}: the model before training is the best, and is tested")
        else:  # without a validation after training, the last checkpoint is the result of the run
            (self.folder / "best.ckpt").unlink(missing_ok=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning calls checkpoint callbacks after all others, so the count of early stopping is already up to date.
        trainer.save_checkpoint(self.folder / "last.ckpt")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if (
            isinstance(exception, RunFailed | UserError)
            or trainer.state.fn != "fit"
            or trainer.train_dataloader is None
        ):
            return
        if trainer.world_size > 1:  # saving would wait for the other processes; the checkpoint of the last epoch stays
            return
        trainer.save_checkpoint(self.folder / "last.ckpt")
