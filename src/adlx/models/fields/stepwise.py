"""Forecasters that learn each step from the one before it, and what makes them hold out in a rollout.

There a step is fed with what came out of the one before, errors and all. In training they are met on purpose: by noise,
and by pushforward, after Brandstetter, Worrall, Welling (2022), "Message Passing Neural PDE Solvers", section 3.1.

Shapes: B batch, T time, k seed frames. States (B, T, ...) are what a model carries on in time: fields, or latents.
"""

import torch
from torch import Tensor

from adlx.models.fields.interfaces import FieldForecaster


class Stepwise(FieldForecaster):
    """A subclass says what follows (`follow`) and what its states are.

    Attributes:
        noise: deviation of what is added to states in training.
        pushforward: rounds in training, see `pushed`; a step is then made from states that are up to so many steps of
            the model away from the truth.
    """

    noise: float = 0.0
    pushforward: int = 0

    def follow(self, states: Tensor, parameters: Tensor) -> Tensor:
        """What follows frame k - 1, and each after it, from the states (B, T, ...) up to there: (B, T - k + 1, ...).

        Args:
            states: T at least k.
            parameters: (B, P), as the data give them.
        """
        raise NotImplementedError

    def step_loss(self, states: Tensor, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean squared error of each next one of the states (B, T, ...), from the true ones before it or, in training,
        from those with noise and from the model's own.

        Args:
            states: T above k.
            parameters: (B, P), as the data give them.
            generator: of the noise; None: torch's global one.
        """
        if states.shape[1] <= self.seed_frames:
            raise ValueError(f"a window of {states.shape[1]} frames ends with model.seed_frames={self.seed_frames}")
        known = states[:, :-1]
        if self.training and self.noise:
            device = states.device if generator is None else generator.device
            noise = torch.randn(known.shape, generator=generator, device=device)
            known = known + self.noise * noise.to(known)
        if self.training and self.pushforward:
            known = self.pushed(known, parameters)
        return (self.follow(known, parameters) - states[:, self.seed_frames :]).square().mean()

    @torch.no_grad()
    def pushed(self, states: Tensor, parameters: Tensor) -> Tensor:
        """States (B, T, ...) of which, after n rounds of one pass each, frame t is min(n, t - k) steps of the model
        away from the truth; seed frames stay. Gradients pass the last step alone."""
        seeds, found = states[:, : self.seed_frames], states
        for _ in range(self.pushforward):
            found = torch.cat([seeds, self.follow(found, parameters)[:, :-1]], dim=1)
        return found


def check_stepwise(noise: float, pushforward: int) -> None:
    """Raises ValueError where they are out of range."""
    if noise < 0 or pushforward < 0:
        raise ValueError(f"model.noise={noise} and model.pushforward={pushforward} must be at least 0")
