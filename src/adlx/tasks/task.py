"""What all training shares: the optimizer, seeding, the loss that is logged and the stop when it diverges."""

import inspect
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities.enums import GradClipAlgorithmType
from torch import Tensor, nn

from adlx.errors import RunFailed
from adlx.metrics.result import Result
from adlx.metrics.training import size_scores
from adlx.specs import Spec
from adlx.tasks.lightning_internals import CURRENT_HOOK, batches_done
from adlx.tasks.optimization import Optimization
from adlx.tasks.seeding import SEED_STRIDE, seed_generators


class Diverged(RunFailed):
    """The loss became infinite or not a number."""


class Task(pl.LightningModule):
    """An objective for a model. A subclass says what the loss of a batch is and how the test set is scored.

    Its settings are keyword arguments behind those below, with their only defaults; `configs/task/` shows them.

    Args:
        model: the network.
        loss: of two tensors.
        optimization: how the optimizer is made.
        data: the loaded data module, for its dimensions; statistics come from `fit_statistics` or a checkpoint.
        seed: of what is random in a training pass.

    Attributes:
        model_kind: the kind of model it trains.
        spec_kind: the spec that data give such a model, or several of them.
        result_kind: what its test predicts; knows its metrics.
        follows_gradient: whether weights change little by little, so that training can start from those of a run.
        result: of the last test.
    """

    model_kind: ClassVar[type[nn.Module]] = nn.Module
    spec_kind: ClassVar[type[Spec] | UnionType]
    result_kind: ClassVar[type[Result]]
    follows_gradient: ClassVar[bool] = True
    result: Any = None

    def __init__(self, model: nn.Module, loss: nn.Module, optimization: Optimization, data: Any, seed: int = 0) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.optimization = optimization
        self.seed = seed
        self.validation_sums: list[tuple[dict[str, Tensor], int]] = []
        self.results: dict[str, float] = {}  # scores of the last test
        self.card: dict[str, Any] = {}  # plain facts that checkpoints carry: the config, the spec, library versions
        self.finetune: dict[str, Any] = {}  # which run it starts from, and how
        self.steps_done = 0
        self.seconds_before = 0.0  # of training, in the processes that came before this one
        self.started = time.monotonic()

    def __setattr__(self, name: str, value: Any) -> None:
        # Set 45 times a step; nn.Module would search its parameters each time.
        if name == CURRENT_HOOK:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @classmethod
    def model_spec(cls, spec: Any, loss: nn.Module) -> Any:
        """The dimensions a model is built from: those of the data, and what the loss asks of its output."""
        return spec

    def fit_statistics(self, data: Any) -> None:
        """Computes what the task and its model need to know of the training part before they train.

        Called once for a new run, and never where a checkpoint brings the statistics.

        Args:
            data: the loaded data module.

        Raises:
            UserError or ValueError: the training part does not allow it.
        """

    @classmethod
    def check_trainer(cls, trainer: Mapping[str, Any]) -> None:
        """Refuses, by ValueError, settings of the trainer that cannot be followed."""

    def batch_loss(self, batch: Any) -> Tensor:
        """The loss of a batch, in training as in validation; `self.training` tells which."""
        raise NotImplementedError

    def batch_scores(self, batch: Any) -> dict[str, Tensor]:
        """What is averaged over the validation part, `val/loss` among it."""
        return {"val/loss": self.batch_loss(batch)}

    def batch_length(self, batch: Any) -> int:
        return len(batch[0])

    def figures(self, title: str) -> dict[str, Any]:
        """The plots of the last test, by file name."""
        return {}

    def animations(self, title: str) -> dict[str, Any]:
        """Films of the last test, lists of frames (H, W, 3) uint8, by file name."""
        return {}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Further tables of the last test, by file name."""
        return {}

    def facts(self) -> dict[str, float]:
        """What `metrics.json` says of the trained model: its size."""
        weights = [parameter.detach() for parameter in self.model.parameters()]
        state = self.model.state_dict().values()
        return size_scores(
            parameters=sum(weight.numel() for weight in weights),
            trainable=sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            nonzeros=sum(int(weight.count_nonzero()) for weight in weights),
            size_bytes=sum(value.numel() * value.element_size() for value in state),
        )

    def notes(self) -> dict[str, Any]:
        """What `run.json` says of how the scores came about."""
        return {}

    def save_predictions(self, path: Path) -> None:
        """Writes the predictions of the last test beside their targets, as npz."""
        self.result.save(path)

    def predict_into(self, folder: Path, data: Any, title: str) -> Any:
        """Makes the task's product from `data`, writes it into `folder` and returns it."""
        raise NotImplementedError

    def shown(self, product: Any) -> str:
        """The product in a few lines for a terminal."""
        return str(product)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        trainer: pl.Trainer = self.trainer  # type: ignore[assignment]
        step = int(self.current_epoch * trainer.num_training_batches) + batch_idx
        # Dropout, noise and scheduled sampling depend on (seed, step, process) alone: a resumed run draws what the
        # killed one would, and no two processes draw the same.
        seed_generators(self.seed * 1_000_003 + step + self.global_rank * SEED_STRIDE, self.device)
        loss = self.batch_loss(batch)
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        due = (step + 1) % min(every, trainer.num_training_batches) == 0  # at least once an epoch
        if due or loss.device.type == "cpu":  # elsewhere, reading the loss makes the device wait
            value = loss.item()
            if not math.isfinite(value):
                raise Diverged(
                    f"the loss became {value} at step {step} (epoch {self.current_epoch}): "
                    "try a lower optimizer.lr or trainer.gradient_clip_val=1"
                )
            if due:
                # Past self.log, which costs 0.4 ms a call, and as the value of this step, which a resume can repeat.
                rate = trainer.optimizers[0].param_groups[0]["lr"]
                self.log_at(step, {"train/loss": value, "lr": rate})
        self.steps_done = step + 1
        return loss

    # Lightning asks for it at every step, and Python would read it off the code each time.
    training_step.__signature__ = inspect.signature(training_step)  # type: ignore[attr-defined]

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        # As Optimizer.zero_grad, without the profiler's context that it enters each time.
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        # Lightning refuses to clip for a fused optimizer in any mixed precision; where no scaler is at work, as in
        # bfloat16, nothing speaks against it.
        precision: Any = self.trainer.precision_plugin  # type: ignore[union-attr]
        if isinstance(precision, MixedPrecision) and precision.scaler is None and gradient_clip_val:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(precision, optimizer, gradient_clip_val, algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def log_at(self, step: int, values: dict[str, float]) -> None:
        """Hands values to the loggers, under the number of the step that made them."""
        for logger in self.loggers:
            logger.log_metrics({**values, "epoch": self.current_epoch}, step=step)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.validation_sums.append((self.batch_scores(batch), self.batch_length(batch)))

    def on_validation_epoch_end(self) -> None:
        sums, total = self.validation_sums, sum(count for _, count in self.validation_sums)
        means = {
            name: torch.stack([scores[name] * count for scores, count in sums]).sum() / total for name in sums[0][0]
        }
        sums.clear()
        self.log_validation(means, total)

    def log_validation(self, means: dict[str, Tensor], count: int) -> None:
        """Hands the means over `count` samples, `val/loss` among them, to callbacks and loggers."""
        if not torch.isfinite(means["val/loss"]):
            raise Diverged(f"the validation loss became {means['val/loss'].item()} after epoch {self.current_epoch}")
        # For the callbacks that watch them; the loggers get them with the step they belong to.
        for name, mean in means.items():
            self.log(name, mean, prog_bar=name == "val/loss", logger=False, sync_dist=True, batch_size=count)
        if self.trainer.state.fn == "fit":  # type: ignore[attr-defined]
            strategy: Any = self.trainer.strategy  # type: ignore[union-attr]
            reduced = {name: strategy.reduce(mean, reduce_op="mean").item() for name, mean in means.items()}
            self.log_at(self.steps_done - 1, reduced)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        trainer: pl.Trainer = self.trainer  # type: ignore[assignment]
        steps = 0
        if trainer.state.fn == "fit":
            steps = int(self.current_epoch * trainer.num_training_batches) + batches_done(trainer)
        seconds = self.seconds_before + time.monotonic() - self.started
        checkpoint["adlx"] = {**self.card, "steps": steps, "seconds": seconds}
        for name in self.left_out():
            del checkpoint["state_dict"][name]

    def left_out(self) -> set[str]:
        """Weights that are those of the base run, and so not in checkpoints, where adapters alone are kept."""
        if self.strict_loading:
            return set()
        frozen = {f"model.{name}" for name, weight in self.model.named_parameters() if not weight.requires_grad}
        fresh = {f"model.{name}" for name in self.finetune.get("fresh", ())}  # frozen or not, the base lacks them
        return {name for name in frozen if name not in fresh and name.rpartition(".")[0] not in fresh}

    def load_weights(self, checkpoint: dict[str, Any]) -> None:
        """Takes the weights of a checkpoint, all that should be in it and nothing else.

        Raises:
            RuntimeError: it was written by a model of other layers.
        """
        self.widen(checkpoint)
        held, wanted = checkpoint["state_dict"].keys(), self.state_dict().keys() - self.left_out()
        if held != wanted:
            raise RuntimeError(f"layers differ:\n{', '.join(sorted(held ^ wanted)[:5])}")
        self.load_state_dict(checkpoint["state_dict"], strict=self.strict_loading)

    def widen(self, checkpoint: dict[str, Any]) -> None:
        """Becomes float64 where the weights of a checkpoint are, as a narrower copy would score and learn otherwise."""
        weights = [value for name, value in checkpoint["state_dict"].items() if name.startswith("model.")]
        if any(value.dtype == torch.float64 for value in weights):
            self.double()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.widen(checkpoint)  # Lightning gives the model its precision after it has read the weights
        self.steps_done = checkpoint["adlx"]["steps"]
        self.seconds_before = checkpoint["adlx"]["seconds"]

    def on_fit_start(self) -> None:
        self.started = time.monotonic()

    def on_train_start(self) -> None:
        # Not by Lightning's own state of the loader: it is lost where the length of training was asked for beforehand,
        # as a schedule does, and counts a batch that was fetched for a step that failed.
        trainer: pl.Trainer = self.trainer  # type: ignore[assignment]
        epoch, step = divmod(self.steps_done, int(trainer.num_training_batches))
        if step:
            loader: Any = trainer.train_dataloader
            loader.start_at(epoch, step)

    def configure_optimizers(self) -> Any:
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if not trainable:
            return None
        optimizer = self.optimization.make_optimizer(trainable)
        if self.optimization.make_schedule is None:
            return optimizer
        total_steps = int(self.trainer.estimated_stepping_batches)
        scheduler = self.optimization.make_schedule(optimizer, total_steps=total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
