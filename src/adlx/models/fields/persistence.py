"""The forecast that nothing moves: what every rollout must beat."""

from torch import Tensor

from adlx.models.fields.interfaces import FieldForecaster


class Persistence(FieldForecaster):
    """The last seed frame, frozen."""

    def rollout(self, seed: Tensor, steps: int, parameters: Tensor) -> Tensor:
        return self.known(seed)[:, -1:].expand(-1, steps, -1, -1)
