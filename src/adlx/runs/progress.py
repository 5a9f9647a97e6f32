"""What a run says while it trains: a bar on a terminal, plain lines elsewhere."""

import logging
import sys
import time
import warnings
from contextlib import nullcontext
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.profilers import PassThroughProfiler

log = logging.getLogger("adlx")


class PlainProgress(pl.Callback):
    """A line at the end of an epoch: one every few seconds, and then fewer.

    With it goes what was validated in that epoch: the loss, and what the best checkpoint is chosen by.

    Args:
        seconds: the least between two lines; after some time it is a twentieth of it.
    """

    def __init__(self, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self.started = self.told = 0.0
        self.validated: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        chosen_by = getattr(trainer.checkpoint_callback, "monitor", None)
        found = trainer.callback_metrics
        self.validated = {name: found[name].item() for name in ("val/loss", chosen_by) if name in found}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        now = time.monotonic()
        taken = now - self.started
        last = trainer.current_epoch + 1 == trainer.max_epochs or trainer.should_stop
        if trainer.is_global_zero and (last or now - self.told >= max(self.seconds, 0.05 * taken)):
            self.told = now
            shown = "".join(f"  {name} {value:.5g}" for name, value in self.validated.items())
            log.info(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{shown}  {taken:.0f} s")
        self.validated = {}


class Unprofiled(PassThroughProfiler):
    """No profiler, for less: Lightning enters a context around each of 70 hooks a step, here one that is empty."""

    nothing = nullcontext()

    def profile(self, action_name: str) -> Any:
        return self.nothing


class ProgressBar(RichProgressBar):
    """Lightning's bar, with epochs from 1 as in all other lines; Lightning counts them from 0."""

    def _get_train_description(self, current_epoch: int) -> str:
        description = f"Epoch {current_epoch + 1}"
        if self.trainer.max_epochs not in (None, -1):
            description += f"/{self.trainer.max_epochs}"
        return f"{description:{len(self.validation_description)}}"


def progress() -> pl.Callback:
    """A bar on a terminal, unless the lines of the `adlx` logger are not shown either."""
    is_shown = sys.stdout.isatty() and log.isEnabledFor(logging.INFO)
    return ProgressBar(refresh_rate=20, leave=False) if is_shown else PlainProgress()


def quiet_lightning() -> None:
    """Silences Lightning's notes on hardware and tips, and warnings that say nothing of our loaders."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        r".*does not have many workers.*",
        r".*smaller than the logging interval.*",
        r".*GPU available but not used.*",
        r".*`configure_optimizers` returned `None`.*",
        r".*isinstance\(treespec, LeafSpec\).*",
        r".*No device id is provided via.*",
        r".*module\(s\) in eval mode.*",
        r".*your dataloader is not resumable.*",
    ):
        warnings.filterwarnings("ignore", message)


def peak_memory_mb(device: Any) -> float:
    """Peak memory so far: of the GPU where one trains, else of this process."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows has no such module
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
