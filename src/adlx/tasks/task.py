"""The base class of all tasks: optimizer, seeding, logging of the loss, and the stop if the loss diverges."""

import inspect
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities.enums import GradClipAlgorithmType
from torch import Tensor, nn

from adlx.errors import RunFailed
from adlx.metrics.result import Result
from adlx.metrics.tables import DataTable
from adlx.metrics.training import size_scores
from adlx.specs import Spec
from adlx.tasks.lightning_internals import CURRENT_HOOK, batches_done
from adlx.tasks.losses import require_difference
from adlx.tasks.optimization import Optimization
from adlx.tasks.seeding import SEED_STRIDE, seed_generators


class Diverged(RunFailed):
    """The loss became infinite or NaN."""


class Task(pl.LightningModule):
    """An objective for a model. A subclass defines the loss of a batch and the scores of the test set.

    A subclass adds its own settings as keyword arguments after those below. Their defaults stand only there;
    `configs/task/` lists them.

    Args:
        model: the network.
        loss: a function of two tensors.
        optimization: makes the optimizer.
        data: the loaded data module, for its dimensions; statistics come from `fit_statistics` or a checkpoint.
        seed: the seed of dropout, noise and other random numbers in a training step.

    Attributes:
        model_kind: the class of models that the task trains.
        spec_kind: the class, or classes, of the spec that the data module must have.
        result_kind: the class of the test result, which defines the metrics.
        uses_gradient_descent: whether the task trains step by step, so that it can start from the weights of a run.
        result: the result of the last test.
    """

    model_kind: ClassVar[type[nn.Module]] = nn.Module
    spec_kind: ClassVar[type[Spec] | UnionType]
    result_kind: ClassVar[type[Result]]
    uses_gradient_descent: ClassVar[bool] = True
    result: Any = None

    def __init__(self, model: nn.Module, loss: nn.Module, optimization: Optimization, data: Any, seed: int = 0) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.optimization = optimization
        self.seed = seed
        self.validation_sums: list[tuple[dict[str, Tensor], int]] = []
        self.results: dict[str, float] = {}  # the scores of the last test
        self.card: dict[str, Any] = {}  # stored in checkpoints: the config, the spec, library versions
        self.finetune: dict[str, Any] = {}  # the run that training starts from, and how
        self.steps_done = 0
        self.seconds_before = 0.0  # training time in earlier processes, for a resumed run
        self.started = time.monotonic()

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning sets it 45 times per step, and nn.Module would search its parameters each time.
        if name == CURRENT_HOOK:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @classmethod
    def model_spec(cls, spec: Any, loss: nn.Module) -> Any:
        """The dimensions that the model is built from: those of the data, changed where the loss needs more outputs."""
        return spec

    def fit_statistics(self, data: Any) -> None:
        """Computes the statistics of the training part that the task and its model need before training.

        Called once for a new run, and never if a checkpoint provides the statistics.

        Args:
            data: the loaded data module.

        Raises:
            UserError or ValueError: the training part is not suitable.
        """

    @classmethod
    def check_loss(cls, loss: nn.Module) -> None:
        """Raises ValueError for a loss that cannot train the task. Here: one that does not measure differences."""
        require_difference(loss)

    @classmethod
    def check_trainer(cls, trainer: Mapping[str, Any]) -> None:
        """Raises ValueError for settings of the trainer that the task does not support."""

    def batch_loss(self, batch: Any) -> Tensor:
        """The loss of a batch, in training and in validation; `self.training` is True in training."""
        raise NotImplementedError

    def batch_scores(self, batch: Any) -> dict[str, Tensor]:
        """The scores that are averaged over the validation part, with `val/loss` among them."""
        return {"val/loss": self.batch_loss(batch)}

    def batch_length(self, batch: Any) -> int:
        return len(batch[0])

    def figures(self, title: str) -> dict[str, Any]:
        """The figures of the last test, by file name."""
        return {}

    def animations(self, title: str) -> dict[str, Any]:
        """The films of the last test by file name; each is a list of frames (H, W, 3) uint8."""
        return {}

    def tables(self) -> dict[str, DataTable]:
        """The tables of the last test, by file name."""
        return {}

    def facts(self) -> dict[str, float]:
        """The size of the trained model, for `metrics.json`."""
        weights = [parameter.detach() for parameter in self.model.parameters()]
        state = self.model.state_dict().values()
        return size_scores(
            parameters=sum(weight.numel() for weight in weights),
            trainable=sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            nonzeros=sum(int(weight.count_nonzero()) for weight in weights),
            size_bytes=sum(value.numel() * value.element_size() for value in state),
        )

    def notes(self) -> dict[str, Any]:
        """How the scores are computed, for `run.json`."""
        return {}

    def save_predictions(self, path: Path) -> None:
        """Writes the predictions and the targets of the last test as npz."""
        self.result.save(path)

    def predict_into(self, folder: Path, data: Any, title: str) -> Any:
        """Makes the product of `adlx predict` from `data`, writes it into `folder` and returns it."""
        raise NotImplementedError

    def describe_product(self, product: Any) -> str:
        """Describes the product in a few lines for the terminal."""
        return str(product)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        trainer: pl.Trainer = self.trainer  # type: ignore[assignment]
        step = int(self.current_epoch * trainer.num_training_batches) + batch_idx
        # Random numbers depend on (seed, step, process) only, so a resumed run draws the same numbers as an
        # uninterrupted one, and two processes draw different numbers.
        seed_generators(self.seed * 1_000_003 + step + self.global_rank * SEED_STRIDE, self.device)
        loss = self.batch_loss(batch)
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        is_due = (step + 1) % min(every, trainer.num_training_batches) == 0  # at least once per epoch
        if is_due or loss.device.type == "cpu":  # on a GPU, reading the loss makes the device wait
            value = loss.item()
            if not math.isfinite(value):
                raise Diverged(
                    f"the loss became {value} at step {step} (epoch {self.current_epoch + 1}): "
                    "try a lower optimizer.lr or trainer.gradient_clip_val=1"
                )
            if is_due:
                # Not with self.log, which costs 0.4 ms per call. It is the loss of this step only: a
                # resumed run logs the same value.
                rate = trainer.optimizers[0].param_groups[0]["lr"]
                self.log_at(step, {"train/loss": value, "lr": rate})
        self.steps_done = step + 1
        return loss

    # Lightning reads the signature at every step. It is stored here, so that Python computes it only once.
    training_step.__signature__ = inspect.signature(training_step)  # type: ignore[attr-defined]

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        # Like Optimizer.zero_grad, but without the profiler context, which takes time at each step.
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        # Lightning refuses to clip gradients of a fused optimizer in mixed precision. That is needed only with a
        # gradient scaler, which bfloat16 does not use.
        precision: Any = self.trainer.precision_plugin  # type: ignore[union-attr]
        if isinstance(precision, MixedPrecision) and precision.scaler is None and gradient_clip_val:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(precision, optimizer, gradient_clip_val, algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def log_at(self, step: int, values: dict[str, float]) -> None:
        """Sends values to the loggers, with the number of the step that they belong to."""
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
        """Sends the means over `count` samples, with `val/loss` among them, to callbacks and loggers."""
        if not torch.isfinite(means["val/loss"]):
            raise Diverged(
                f"the validation loss became {means['val/loss'].item()} after epoch {self.current_epoch + 1}"
            )
        # self.log is for callbacks such as early stopping; the loggers get the values below, with their step.
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
        for name in self.omitted_weights():
            del checkpoint["state_dict"][name]

    def omitted_weights(self) -> set[str]:
        """Names of the weights that checkpoints omit: with adapters, the frozen weights, which the base run has."""
        if self.strict_loading:
            return set()
        frozen = {f"model.{name}" for name, weight in self.model.named_parameters() if not weight.requires_grad}
        fresh = {f"model.{name}" for name in self.finetune.get("fresh", ())}  # the base run does not have them
        return {name for name in frozen if name not in fresh and name.rpartition(".")[0] not in fresh}

    def load_weights(self, checkpoint: dict[str, Any]) -> None:
        """Loads the weights of a checkpoint.

        Raises:
            RuntimeError: the checkpoint has missing or additional weights, as from a model with other layers.
        """
        self.match_precision(checkpoint)
        stored, expected = checkpoint["state_dict"].keys(), self.state_dict().keys() - self.omitted_weights()
        if stored != expected:
            raise RuntimeError(f"layers differ:\n{', '.join(sorted(stored ^ expected)[:5])}")
        self.load_state_dict(checkpoint["state_dict"], strict=self.strict_loading)

    def match_precision(self, checkpoint: dict[str, Any]) -> None:
        """Converts the task to float64 if the weights of the checkpoint are float64; float32 changes the scores."""
        weights = [value for name, value in checkpoint["state_dict"].items() if name.startswith("model.")]
        if any(value.dtype == torch.float64 for value in weights):
            self.double()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.match_precision(checkpoint)  # Lightning sets the precision of the model only after it loads the weights
        self.steps_done = checkpoint["adlx"]["steps"]
        self.seconds_before = checkpoint["adlx"]["seconds"]

    def on_fit_start(self) -> None:
        self.started = time.monotonic()

    def on_train_start(self) -> None:
        # Lightning's own state of the loader is not used: it is lost if the length of the training was computed before,
        # as a schedule does, and it counts a batch whose step failed.
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
