"""Rollout: predicts physical fields step by step from a few seed frames, with the predictions as further input.

Shapes: B batch, T time steps, k seed frames, F fields, P parameters.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adlx.errors import UserError
from adlx.figures.failures import reported
from adlx.metrics.fields import FieldResult
from adlx.models.fields.interfaces import FieldForecaster
from adlx.specs import FieldSpec
from adlx.tasks.field_errors import (
    FRAMES,
    Batch,
    divergence,
    padded,
    squared_error,
    variance_and_power,
    volume_fraction,
    vrmse,
)
from adlx.tasks.losses import require_squared_error
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task


class Rollout(Task):
    """Arguments as `Task`. The statistics of the training part are stored in the model."""

    model_kind = FieldForecaster
    spec_kind = FieldSpec
    result_kind = FieldResult
    model: FieldForecaster

    def __init__(
        self, model: FieldForecaster, loss: nn.Module, optimization: Optimization, data: Any, seed: int = 0
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        self.uses_prepare = type(model).prepare is not FieldForecaster.prepare
        data.use_windows(model.window, overlapping=True, load_fields=not self.uses_prepare)
        self.trajectories = data.loaded
        self.prepared_frames: dict[int, Tensor] = {}  # by trajectory
        self.errors: list[tuple[Tensor, ...]] = []
        self.result: FieldResult | None = None

    @classmethod
    def check_loss(cls, loss: nn.Module) -> None:
        require_squared_error(loss, "the models of physical fields minimize")

    def fit_statistics(self, data: Any) -> None:
        """Fits scales, or the whole model if it has a closed-form solution, on the training part."""
        check_lengths(self.model, data)
        self.model.fit_closed_form(data)

    def batch_loss(self, batch: Batch) -> Tensor:
        fields, parameters, _, starts = batch
        if not self.uses_prepare:
            return self.model.loss(fields, parameters)
        steps = fields.shape[1]
        windows = [self.prepare(index, fields)[start : start + steps] for index, start in starts.tolist()]
        return self.model.prepared_loss(torch.stack(windows), parameters)

    def prepare(self, index: int, like: Tensor) -> Tensor:
        """The prepared frames of a whole trajectory, computed only once, because they never change and windows overlap.

        Args:
            index: index of the trajectory.
            like: a tensor with the device and the dtype of the result; autocast does not change the dtype.
        """
        if index not in self.prepared_frames:
            data = self.trajectories
            frames = torch.tensor(data.frames.read(index, 0, int(data.lengths[index])))
            with torch.autocast(like.device.type, enabled=False):
                parts = [self.model.prepare(part.to(like)[None])[0] for part in frames.split(FRAMES)]
            self.prepared_frames[index] = torch.cat(parts)
        return self.prepared_frames[index]

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.prepared_frames.clear()  # frames from before the training, when the model did not have its final precision

    @torch.no_grad()
    def rollout(self, seed: Tensor, steps: int, parameters: Tensor) -> Tensor:
        """Predicts fields (B, steps, cells, F) from seed frames (B, k, cells, F) only."""
        return self.model.rollout(seed, steps, parameters).to(seed.dtype)

    def rollout_and_target(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A rollout (B, T - k, cells, F) from the seed frames of trajectories, and its target."""
        fields, parameters, _, _ = batch
        known, steps = self.model.seed_frames, fields.shape[1]
        if steps <= known:
            raise UserError(f"{steps} steps of a trajectory are tested: must be more than model.seed_frames={known}")
        return self.rollout(fields[:, :known], steps - known, parameters), fields[:, known:]

    def batch_scores(self, batch: Batch) -> dict[str, Tensor]:
        prediction, target = self.rollout_and_target(batch)
        error = vrmse(prediction, target, batch[2]).mean()
        loss = self.batch_loss(batch) if self.model.is_trainable else error
        return {"val/loss": loss.float(), "val/rollout_vrmse": error.float()}

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        fields, parameters, bodies, _ = batch
        known = self.model.seed_frames
        prediction, target = self.rollout_and_target(batch)
        frozen = fields[:, known - 1 : known].expand_as(target)
        one_step = self.one_step_predictions(fields, parameters)
        errors = [squared_error(frames, target, bodies) for frames in (prediction, frozen, one_step)]
        physics = []
        for quantity in (partial(divergence, coordinates=self.trajectories.coordinates), volume_fraction):
            pair = [quantity(frames, bodies, self.model.spec) for frames in (prediction, target)]
            if pair[0] is None or pair[1] is None:
                physics.append(fields.new_full((1, target.shape[1], 2), torch.nan))
            else:
                physics.append(torch.stack([pair[0], pair[1]], dim=-1))
        self.errors.append((*errors, *variance_and_power(target, bodies), *physics))
        if batch_idx == 0:
            self.example = tuple(part.float().cpu().numpy() for part in (target[0], prediction[0], bodies[0]))

    def one_step_predictions(self, fields: Tensor, parameters: Tensor) -> Tensor:
        """Predictions (1, T - k, cells, F), each one from the k true frames before it."""
        known = self.model.seed_frames
        windows = fields[0].unfold(0, known, 1).movedim(-1, 1)[:-1]  # (T - k, k, cells, F)
        parts = [self.rollout(part, 1, parameters.expand(len(part), -1)) for part in windows.split(16)]
        return torch.cat(parts)[:, 0][None]

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        error, baseline, onestep, variance, power, divergences, volumes = padded(self.errors)
        self.result = FieldResult(
            names=tuple(self.model.spec.fields),
            error=error,
            baseline_error=baseline,
            onestep_error=onestep,
            variance=variance,
            power=power,
            divergence=None if np.isnan(divergences).all() else divergences,
            total=None if np.isnan(volumes).all() else volumes,
            index=data.indices["test"],
            start=self.model.seed_frames,
        )
        self.results = self.result.scores()
        self.errors.clear()

    def figures(self, title: str) -> dict[str, Any]:
        from adlx.figures import fields as draw

        assert self.result is not None
        target, prediction, bodies = self.example
        steps = np.unique(np.linspace(0, len(target) - 1, 4).astype(int))
        labels = [f"step {self.model.seed_frames + step + 1}" for step in steps]
        spec = self.model.spec
        return {
            "rollout": draw.snapshots(target[steps], prediction[steps], bodies > 0, spec, labels, title),
            "error_by_time": draw.error_by_time(self.result, title),
        }

    def animations(self, title: str) -> dict[str, Any]:
        from adlx.figures.fields import film

        target, prediction, bodies = self.example
        return {"rollout": film(target, prediction, bodies > 0, self.model.spec, title)}

    def predict_into(
        self, folder: Path, data: Any, title: str, *, steps: int | None = None, part: str = "test"
    ) -> np.ndarray:
        """Predicts the trajectories (N, steps, cells, F) of a part: HDF5 like The Well, and a film of the first.

        `steps` defaults to the length of the shortest trajectory, and may be longer than the data.
        """
        from adlx.figures.fields import film
        from adlx.figures.style import save_film

        if part not in data.indices:
            raise UserError(f"predict.part={part}: must be one of {', '.join(data.indices)}")
        self.eval()
        indices, known = data.indices[part], self.model.seed_frames
        length = int(data.loaded.lengths[indices].min()) - known if steps is None else steps
        if length < 1:
            raise UserError(f"a rollout of {length} steps: set predict.steps to at least 1")
        batches = []
        for fields, parameters, _, _ in data.whole_trajectories(part):
            rollout = self.rollout(fields[:, :known].to(self.device), length, parameters.to(self.device))
            batches.append(rollout.cpu())
        values = torch.cat(batches).float().numpy()
        data.write(folder / "rollout.hdf5", values, indices, title, start=known)
        bodies = data.loaded.bodies(indices[:1])[0]
        with reported("the film rollout"):
            save_film(film(None, values[0], bodies, self.model.spec, title), folder / "rollout.gif")
        return values

    def describe_product(self, product: np.ndarray) -> str:
        count, steps, cells, _ = product.shape
        return f"{count} trajectories of {steps:,} steps, {', '.join(self.model.spec.fields)} at {cells:,} cells"


def check_lengths(model: FieldForecaster, data: Any) -> None:
    """Raises ValueError if windows or trajectories are not longer than the seed frames."""
    known = model.seed_frames
    if model.is_trainable and data.window <= known:
        raise ValueError(f"data.window={data.window} must be above model.seed_frames={known}")
    shortest = min(int(data.windows(part)[:, 2].min()) for part in ("val", "test"))
    if shortest <= known:
        raise ValueError(f"{shortest} steps of a trajectory are tested: must be more than model.seed_frames={known}")
