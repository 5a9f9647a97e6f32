"""Images that a diffusion model generates during training."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from adlx.paths import PathText
from adlx.tasks.denoise import Denoise


class DrawnSamples(pl.Callback):
    """Generates images from the same initial noise every few epochs.

    Writes `figures/samples_epoch_0010.png`, and `samples/while_training` for TensorBoard, with a slider over steps.

    Args:
        dirpath: the folder of checkpoints, set by the run; the folder `figures` is next to it.
        every_n_epochs: number of epochs between two grids.
        count: number of images in a grid.
        steps: number of steps of the sampler.
    """

    def __init__(self, dirpath: PathText, every_n_epochs: int = 10, count: int = 36, steps: int = 20) -> None:
        if min(every_n_epochs, count, steps) < 1:
            raise ValueError(f"every_n_epochs={every_n_epochs}, count={count}, steps={steps}: must be at least 1")
        self.folder = Path(dirpath).with_name("figures")
        self.every_n_epochs, self.count, self.steps = every_n_epochs, count, steps

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if trainer.state.fn != "fit" or epoch % self.every_n_epochs or not trainer.is_global_zero:
            return
        if not isinstance(pl_module, Denoise):
            raise TypeError(
                f"callbacks.samples is for diffusion models, and {type(pl_module).__name__} does not generate images"
            )
        from adlx.figures.denoising import grid
        from adlx.figures.style import save

        with pl_module.averaged():
            samples = pl_module.draw(self.count, steps=self.steps, seed=0)
        figure: Any = grid(samples, f"epoch {epoch}")
        save(figure, self.folder / f"samples_epoch_{epoch:04d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_figure("samples/while_training", figure, global_step=pl_module.steps_done - 1)
