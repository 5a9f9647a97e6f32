"""Images that a diffusion model generates during training."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from adlx.paths import PathText
from adlx.ranges import PositiveInt
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

    def __init__(
        self, dirpath: PathText, every_n_epochs: PositiveInt = 10, count: PositiveInt = 36, steps: PositiveInt = 20
    ) -> None:
        self.folder = Path(dirpath).with_name("figures")
        self.every_n_epochs, self.count, self.steps = every_n_epochs, count, steps

    @classmethod
    def check_task(cls, task: type[pl.LightningModule]) -> None:
        """Raises TypeError for a task that does not generate images."""
        if not issubclass(task, Denoise):
            raise TypeError(f"only diffusion models generate images, and the task is {task.__name__}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if trainer.state.fn != "fit" or epoch % self.every_n_epochs or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, Denoise)
        from adlx.figures.denoising import image_grid
        from adlx.figures.style import save

        with pl_module.averaged():
            samples = pl_module.draw(self.count, steps=self.steps, seed=0)
        figure: Any = image_grid(samples, f"epoch {epoch}")
        save(figure, self.folder / f"samples_epoch_{epoch:04d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_figure("samples/while_training", figure, global_step=pl_module.steps_done - 1)
