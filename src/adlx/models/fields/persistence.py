"""The forecast that nothing moves, the baseline of every rollout."""

from torch import Tensor

from adlx.models.fields.interfaces import FieldForecaster


class Persistence(FieldForecaster):
    """Repeats the last seed frame."""

    def rollout(self, seed: Tensor, steps: int, parameters: Tensor) -> Tensor:
        return self.last_seed_frames(seed)[:, -1:].expand(-1, steps, -1, -1)
