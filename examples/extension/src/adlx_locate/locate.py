"""The task: a model predicts the position of the bump in a signal.

Shapes: B batch, L samples of a signal.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from adlx.atomic import replacing
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task
from adlx_locate.peak_net import Locator
from adlx_locate.positions import Positions
from adlx_locate.signals import SignalSpec

Batch = tuple[Tensor, Tensor]


class Locate(Task):
    """Arguments as `Task`, and:

    Args:
        noise: deviation of the noise added to signals in training, so that the model does not rely on single samples.
    """

    model_kind = Locator
    spec_kind = SignalSpec
    result_kind = Positions
    mean: Tensor

    def __init__(
        self, model: Locator, loss: nn.Module, optimization: Optimization, data: Any, seed: int = 0, noise: float = 0.1
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        if noise < 0:
            raise ValueError(f"task.noise={noise}: must be at least 0")
        self.noise = noise
        self.register_buffer("mean", torch.tensor(0.5))  # a buffer, so that checkpoints contain the baseline
        self.predicted: list[Tensor] = []

    def fit_statistics(self, data: Any) -> None:
        self.mean.fill_(float(data.training_positions().mean()))

    def batch_loss(self, batch: Batch) -> Tensor:
        signals, positions = batch
        if self.training and self.noise:
            signals = signals + self.noise * torch.randn_like(signals)
        return self.loss(self.model(signals), positions)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.predicted.append(self.model(batch[0]).float())

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        indices = data.indices("test")
        predicted = torch.cat(self.predicted).cpu().numpy()
        self.result = Positions(predicted, data.positions[indices], indices, float(self.mean))
        self.results = self.result.scores()
        self.predicted.clear()

    @torch.inference_mode()
    def predict_into(self, folder: Path, data: Any, title: str) -> pd.DataFrame:
        """Writes the predicted positions of all signals to `positions.csv`."""
        self.eval()
        positions = self.model(torch.from_numpy(data.signals).to(self.device)).cpu().numpy()
        frame = pd.DataFrame({"signal": range(len(positions)), "position": positions})
        with replacing(folder / "positions.csv") as file:
            file.write(frame.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode())
        return frame

    def shown(self, product: pd.DataFrame) -> str:
        return f"{len(product):,} positions, from {product['position'].min():.3f} to {product['position'].max():.3f}"
