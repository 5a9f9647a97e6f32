"""Forecasters that predict one step from the steps before it, and two ways to make their rollouts stable.

In a rollout each prediction is the input of the next step, so errors add up. Training with similar errors in the input
makes the model robust against them: noise, and pushforward, after Brandstetter, Worrall, Welling (2022), "Message
Passing Neural PDE Solvers", section 3.1.

Shapes: B batch, T time, k seed frames. States (B, T, ...) are fields or latents, which a model predicts step
by step.
"""

import torch
from torch import Tensor

from adlx.models.fields.interfaces import FieldForecaster


class Stepwise(FieldForecaster):
    """A subclass defines its states and predicts the next ones (`next_states`).

    Attributes:
        noise: standard deviation of the noise that training adds to states.
        pushforward: number of rounds of `push_forward` in training, so that the input of a step is the result of up to
            so many earlier predictions.
    """

    noise: float = 0.0
    pushforward: int = 0

    def next_states(self, states: Tensor, parameters: Tensor) -> Tensor:
        """Predicts the next state after frame k - 1 and after each later one, (B, T - k + 1, ...).

        Each prediction uses only the states (B, T, ...) before it.

        Args:
            states: T at least k.
            parameters: (B, P), in the units of the data.
        """
        raise NotImplementedError

    def step_loss(self, states: Tensor, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean squared error of the predicted next states, given the true states (B, T, ...) before them.

        In training the given states have noise, and pushforward replaces them by predictions.

        Args:
            states: T above k.
            parameters: (B, P), in the units of the data.
            generator: random numbers of the noise; None: torch's global generator.
        """
        if states.shape[1] <= self.seed_frames:
            raise ValueError(
                f"a window of {states.shape[1]} frames is too short for model.seed_frames={self.seed_frames}"
            )
        known = states[:, :-1]
        if self.training and self.noise:
            device = states.device if generator is None else generator.device
            noise = torch.randn(known.shape, generator=generator, device=device)
            known = known + self.noise * noise.to(known)
        if self.training and self.pushforward:
            known = self.push_forward(known, parameters)
        return (self.next_states(known, parameters) - states[:, self.seed_frames :]).square().mean()

    @torch.no_grad()
    def push_forward(self, states: Tensor, parameters: Tensor) -> Tensor:
        """Replaces the states (B, T, ...) after the seed frames by predictions, `pushforward` times, without gradients.

        In round n the input is the result of round n - 1, so frame t, counted from 0, is the result of
        min(n, t - k + 1) predictions in a row.
        """
        seeds, pushed = states[:, : self.seed_frames], states
        for _ in range(self.pushforward):
            pushed = torch.cat([seeds, self.next_states(pushed, parameters)[:, :-1]], dim=1)
        return pushed


def check_stepwise(noise: float, pushforward: int) -> None:
    """Raises ValueError if one of them is out of range."""
    if noise < 0 or pushforward < 0:
        raise ValueError(f"model.noise={noise} and model.pushforward={pushforward} must be at least 0")
