"""Shows the progress of training: a bar on a terminal, lines of text elsewhere."""

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
    """Logs a line at the end of an epoch, at most one every few seconds, and fewer in a long training.

    The line shows the validation loss of the epoch, and the metric by which the best checkpoint is chosen.

    Args:
        seconds: minimum time between two lines; in a long training it is a twentieth of the time so far.
    """

    def __init__(self, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self.started = self.last_line = 0.0
        self.validated: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        metrics = trainer.callback_metrics
        self.validated = {name: metrics[name].item() for name in ("val/loss", monitor) if name in metrics}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        now = time.monotonic()
        seconds = now - self.started
        last = trainer.current_epoch + 1 == trainer.max_epochs or trainer.should_stop
        if trainer.is_global_zero and (last or now - self.last_line >= max(self.seconds, 0.05 * seconds)):
            self.last_line = now
            shown = "".join(f"  {name} {value:.5g}" for name, value in self.validated.items())
            log.info(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{shown}  {seconds:.0f} s")
        self.validated = {}


class Unprofiled(PassThroughProfiler):
    """A profiler that does nothing. It saves time, because Lightning enters its context around 70 hooks per step."""

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
    """A bar on a terminal; lines of text elsewhere, and if the `adlx` logger is quiet."""
    is_shown = sys.stdout.isatty() and log.isEnabledFor(logging.INFO)
    return ProgressBar(refresh_rate=20, leave=False) if is_shown else PlainProgress()


def quiet_lightning() -> None:
    """Hides Lightning's messages about hardware and tips, and warnings that do not apply to the loaders of adlx."""
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
    """Peak memory so far in MiB: of the GPU if one trains, else of this process."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows has no such module
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
