"""What a generative model draws while it is trained."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from adlx.figures.denoising import grid
from adlx.figures.style import save
from adlx.runs.folder import is_main_process
from adlx.runs.loggers import TensorBoard
from adlx.tasks.denoise import Denoise


class DrawnSamples(pl.Callback):
    """Draws the same starts every few epochs: `figures/samples_epoch_0010.png`, and `samples/while_training` of
    TensorBoard, with a slider over steps.

    Args:
        dirpath: the folder of checkpoints, given by the run; figures lie beside it.
        every_n_epochs: between two grids.
        count: images in a grid.
        steps: of the sampler.
    """

    def __init__(self, dirpath: str, every_n_epochs: int = 10, count: int = 36, steps: int = 20) -> None:
        if min(every_n_epochs, count, steps) < 1:
            raise ValueError(f"every_n_epochs={every_n_epochs}, count={count}, steps={steps}: must be at least 1")
        self.folder = Path(dirpath).with_name("figures")
        self.every_n_epochs, self.count, self.steps = every_n_epochs, count, steps

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Here, since the model holds the averaged weights until its own hook of this name.
        epoch = trainer.current_epoch + 1
        if trainer.state.fn != "fit" or epoch % self.every_n_epochs or not is_main_process():
            return
        if not isinstance(pl_module, Denoise):
            raise TypeError(f"callbacks.samples is for models that draw, and {type(pl_module).__name__} does not")
        drawn = pl_module.draw(self.count, steps=self.steps, seed=0)
        figure: Any = grid(drawn, f"epoch {epoch}")
        save(figure, self.folder / f"samples_epoch_{epoch:04d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoard):
                logger.experiment.add_figure("samples/while_training", figure, global_step=pl_module.steps_done - 1)
