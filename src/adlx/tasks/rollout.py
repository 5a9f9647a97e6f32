"""Rolling physical fields out in time, from a few seed frames and a model's own output.

Shapes: B batch, T time steps, k seed frames, F fields, P parameters.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adlx.errors import UserError
from adlx.metrics.fields import FieldResult
from adlx.models.fields.interfaces import FieldForecaster
from adlx.specs import FieldSpec
from adlx.tasks.field_errors import (
    FRAMES,
    Batch,
    divergence,
    moments,
    padded,
    squared_error,
    volume_fraction,
    vrmse,
)
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task


class Rollout(Task):
    """Arguments as `Task`. What a model takes from the training part before it learns lies in the model."""

    model_kind = FieldForecaster
    spec_kind = FieldSpec
    result_kind = FieldResult
    model: FieldForecaster

    def __init__(
        self, model: FieldForecaster, loss: nn.Module, optimization: Optimization, data: Any, seed: int = 0
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        self.prepares = type(model).prepare is not FieldForecaster.prepare
        data.use_windows(model.window, overlapping=True, load_fields=not self.prepares)
        self.trajectories = data.loaded
        self.memory: dict[int, Tensor] = {}
        self.errors: list[tuple[Tensor, ...]] = []
        self.result: FieldResult | None = None

    def fit_statistics(self, data: Any) -> None:
        """Fits what the model takes from the training part: scales, or all of a model that does not train."""
        check_lengths(self.model, data)
        self.model.solve(data)

    def batch_loss(self, batch: Batch) -> Tensor:
        fields, parameters, _, where = batch
        if not self.prepares:
            return self.model.loss(fields, parameters)
        steps = fields.shape[1]
        windows = [self.prepared(place, fields)[start : start + steps] for place, start in where.tolist()]
        return self.model.prepared_loss(torch.stack(windows), parameters)

    def prepared(self, place: int, like: Tensor) -> Tensor:
        """What the loss is of, of a whole trajectory: windows overlap, and it is the same at every visit.

        Args:
            place: of the trajectory.
            like: of the device and the type in which it is wanted; it is not rounded further, whatever the precision.
        """
        if place not in self.memory:
            data = self.trajectories
            frames = torch.tensor(data.frames.read(place, 0, int(data.lengths[place])))
            with torch.autocast(like.device.type, enabled=False):
                parts = [self.model.prepare(part.to(like)[None])[0] for part in frames.split(FRAMES)]
            self.memory[place] = torch.cat(parts)
        return self.memory[place]

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.memory.clear()  # of the pass that counted operations, before the model had its precision

    @torch.no_grad()
    def rollout(self, seed: Tensor, steps: int, parameters: Tensor) -> Tensor:
        """(B, steps, cells, F) after the seed frames (B, k, cells, F): of the truth it sees these alone."""
        return self.model.rollout(seed, steps, parameters).to(seed.dtype)

    def compared(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A rollout (B, T - k, cells, F) from the seed frames of trajectories, and the truth."""
        fields, parameters, _, _ = batch
        known, steps = self.model.seed_frames, fields.shape[1]
        if steps <= known:
            raise UserError(f"{steps} steps of a trajectory are tested: too few after model.seed_frames={known}")
        return self.rollout(fields[:, :known], steps - known, parameters), fields[:, known:]

    def batch_scores(self, batch: Batch) -> dict[str, Tensor]:
        found, truth = self.compared(batch)
        error = vrmse(found, truth, batch[2]).mean()
        loss = self.batch_loss(batch) if self.model.learns else error
        return {"val/loss": loss.float(), "val/rollout_vrmse": error.float()}

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        fields, parameters, bodies, _ = batch
        known = self.model.seed_frames
        found, truth = self.compared(batch)
        frozen = fields[:, known - 1 : known].expand_as(truth)
        errors = [squared_error(guess, truth, bodies) for guess in (found, frozen, self.one_steps(fields, parameters))]
        physics = []
        for of in (partial(divergence, coordinates=self.trajectories.coordinates), volume_fraction):
            pair = [of(part, bodies, self.model.spec) for part in (found, truth)]
            if pair[0] is None or pair[1] is None:
                physics.append(fields.new_full((1, truth.shape[1], 2), torch.nan))
            else:
                physics.append(torch.stack([pair[0], pair[1]], dim=-1))
        self.errors.append((*errors, *moments(truth, bodies), *physics))
        if batch_idx == 0:
            self.example = tuple(part.float().cpu().numpy() for part in (truth[0], found[0], bodies[0]))

    def one_steps(self, fields: Tensor, parameters: Tensor) -> Tensor:
        """(1, T - k, cells, F): each step from the k true frames before it."""
        known = self.model.seed_frames
        windows = fields[0].unfold(0, known, 1).movedim(-1, 1)[:-1]  # (T - k, k, cells, F)
        parts = [self.rollout(part, 1, parameters.expand(len(part), -1)) for part in windows.split(16)]
        return torch.cat(parts)[:, 0][None]

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        error, baseline, onestep, variance, power, spread, total = padded(self.errors)
        self.result = FieldResult(
            names=tuple(self.model.spec.fields),
            error=error,
            baseline_error=baseline,
            onestep_error=onestep,
            variance=variance,
            power=power,
            divergence=None if np.isnan(spread).all() else spread,
            total=None if np.isnan(total).all() else total,
            index=data.places["test"],
            start=self.model.seed_frames,
        )
        self.results = self.result.scores()
        self.errors.clear()

    def figures(self, title: str) -> dict[str, Any]:
        from adlx.figures import fields as draw

        assert self.result is not None
        truth, found, bodies = self.example
        steps = np.unique(np.linspace(0, len(truth) - 1, 4).astype(int))
        labels = [f"step {self.model.seed_frames + step + 1}" for step in steps]
        spec = self.model.spec
        return {
            "rollout": draw.snapshots(truth[steps], found[steps], bodies > 0, spec, labels, title),
            "error_by_time": draw.error_by_time(self.result, title),
        }

    def animations(self, title: str) -> dict[str, Any]:
        from adlx.figures.fields import film

        truth, found, bodies = self.example
        return {"rollout": film(truth, found, bodies > 0, self.model.spec, title)}

    def predict_into(
        self, folder: Path, data: Any, title: str, *, steps: int | None = None, part: str = "test"
    ) -> np.ndarray:
        """Rolls the trajectories of a part out (N, steps, cells, F), as HDF5 in the layout of The Well, and a film.

        Without `steps` it goes as far as the shortest trajectory; with them it may go beyond what is known.
        """
        from adlx.figures.fields import film
        from adlx.figures.style import save_film

        if part not in data.places:
            raise UserError(f"predict.part={part}: one of {', '.join(data.places)}")
        self.eval()
        places, known = data.places[part], self.model.seed_frames
        length = int(data.loaded.lengths[places].min()) - known if steps is None else steps
        if length < 1:
            raise UserError(f"a rollout of {length} steps: give predict.steps, at least 1")
        found = []
        for fields, parameters, _, _ in data.whole(part):
            found.append(self.rollout(fields[:, :known].to(self.device), length, parameters.to(self.device)).cpu())
        values = torch.cat(found).float().numpy()
        data.write(folder / "rollout.hdf5", values, places, title, start=known)
        bodies = data.loaded.bodies(places[:1])[0]
        save_film(film(None, values[0], bodies, self.model.spec, title), folder / "rollout.gif")
        return values

    def shown(self, product: np.ndarray) -> str:
        count, steps, cells, _ = product.shape
        return f"{count} trajectories of {steps:,} steps, {', '.join(self.model.spec.fields)} at {cells:,} cells"


def check_lengths(model: FieldForecaster, data: Any) -> None:
    """Raises ValueError where training windows, or what is validated and tested, end with the seed frames."""
    known = model.seed_frames
    if model.learns and data.window <= known:
        raise ValueError(f"data.window={data.window} must be above model.seed_frames={known}")
    shortest = min(int(data.windows(part)[:, 2].min()) for part in ("val", "test"))
    if shortest <= known:
        raise ValueError(f"{shortest} steps of a trajectory are tested: too few after model.seed_frames={known}")
