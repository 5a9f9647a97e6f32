"""Compression of physical fields to a few latent numbers, and their reconstruction.

Shapes: B batch, T time steps, F fields, G groups of fields, L latent numbers per group.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adlx.metrics.fields import FieldResult
from adlx.models.fields.interfaces import FieldAutoencoder
from adlx.specs import FieldSpec
from adlx.tasks.field_errors import FRAMES, Batch, padded, squared_error, variance_and_power, vrmse
from adlx.tasks.losses import require_squared_error
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task

_WINDOW = 8  # frames that are read at once; the model processes each frame independently


class ReconstructFields(Task):
    """Arguments as `Task`. The scale of each field is fitted on the training part and stored in the model."""

    model_kind = FieldAutoencoder
    spec_kind = FieldSpec
    result_kind = FieldResult
    model: FieldAutoencoder
    mean_frame: Tensor

    def __init__(
        self, model: FieldAutoencoder, loss: nn.Module, optimization: Optimization, data: Any, seed: int = 0
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        data.use_windows(_WINDOW, overlapping=False)
        spec = model.spec
        self.register_buffer("mean_frame", torch.zeros(spec.cells, len(spec.fields)))
        self.errors: list[tuple[Tensor, ...]] = []
        self.result: FieldResult | None = None

    @classmethod
    def check_loss(cls, loss: nn.Module) -> None:
        require_squared_error(loss, "the autoencoders of physical fields minimize")

    def fit_statistics(self, data: Any) -> None:
        """Fits the scale of each field, and the mean frame, the baseline."""
        self.model.fit_scale(*(torch.from_numpy(statistic).float() for statistic in data.moments()))
        count, total = 0, 0.0
        for _, frames in data.time_chunks("train"):
            count, total = count + len(frames), total + frames.sum(axis=0, dtype=np.float64)
        self.mean_frame.copy_(torch.as_tensor(total / count))

    def batch_loss(self, batch: Batch) -> Tensor:
        fields, _, bodies, _ = batch
        steps = fields.shape[1]
        return self.model.loss(fields.flatten(0, 1), bodies.repeat_interleave(steps, dim=0))

    @torch.no_grad()
    def reconstruct(self, fields: Tensor) -> Tensor:
        """Encodes and decodes fields (B, T, cells, F)."""
        frames = fields.flatten(0, 1)
        parts = [self.model.decode(self.model.encode(part)) for part in frames.split(FRAMES)]
        return torch.cat(parts).to(fields.dtype).view(fields.shape)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        fields, _, bodies, _ = batch
        prediction = self.reconstruct(fields)
        error = squared_error(self.model.standardize(prediction), self.model.standardize(fields), bodies).mean()
        values = {"val/loss": error.float(), "val/vrmse": vrmse(prediction, fields, bodies).mean().float()}
        self.validation_sums.append((values, len(fields)))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        fields, _, bodies, _ = batch
        prediction = self.reconstruct(fields)
        baseline = self.mean_frame.expand_as(fields)
        errors = [squared_error(frames, fields, bodies) for frames in (prediction, baseline)]
        self.errors.append((*errors, *variance_and_power(fields, bodies)))
        if batch_idx == 0:
            middle = fields.shape[1] // 2
            frames = fields[0, [middle]], prediction[0, [middle]]
            self.example = tuple(part.float().cpu().numpy() for part in (*frames, bodies[0]))

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        error, baseline, variance, power = padded(self.errors)
        self.result = FieldResult(
            names=tuple(self.model.spec.fields),
            error=error,
            baseline_error=baseline,
            variance=variance,
            power=power,
            index=data.indices["test"],
        )
        self.results = self.result.scores()
        self.errors.clear()

    def figures(self, title: str) -> dict[str, Any]:
        from adlx.figures.fields import snapshots

        target, prediction, bodies = self.example
        return {"reconstruction": snapshots(target, prediction, bodies > 0, self.model.spec, [""], title)}

    def predict_into(self, folder: Any, data: Any, title: str) -> Any:
        """Encodes all trajectories: `latents.npz` with an array (T, G, L) for each."""
        from adlx.atomic import replacing

        self.eval()
        latents = {}
        for index, length in enumerate(data.loaded.lengths.tolist()):
            frames = torch.from_numpy(np.ascontiguousarray(data.loaded.frames.read(index, 0, length)))
            with torch.no_grad():
                parts = [self.model.encode(part.to(self.device)) for part in frames.split(FRAMES)]
            latents[f"trajectory_{index}"] = torch.cat(parts).cpu().numpy()
        with replacing(folder / "latents.npz") as file:
            np.savez_compressed(file, allow_pickle=False, **latents)
        return latents

    def describe_product(self, product: dict[str, np.ndarray]) -> str:
        first = next(iter(product.values()))
        return f"{len(product)} trajectories, {first.shape[1]} groups of {first.shape[2]} latent numbers per time step"
