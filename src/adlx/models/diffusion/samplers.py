"""Samplers: how images are drawn with a network that finds noise.

Song, Meng, Ermon (2021), "Denoising Diffusion Implicit Models". With signal and noise rates s, n at time t, and a noise
e that was predicted there, equation 12 steps to an earlier t',

    x_t' = s' x_0 + sqrt(n'^2 - z^2) e + z w,     z = eta n'/n sqrt(1 - s^2 / s'^2),     w ~ N(0, 1)

with x_0 = (x_t - n e) / s: deterministic at eta 0, the ancestral sampler of Ho, Jain, Abbeel (2020), "Denoising
Diffusion Probabilistic Models", at eta 1.

Shapes: B batch, C channels, H x W pixels; rates are (B, 1, 1, 1) or scalars.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from adlx.models.diffusion.process import image_of, rates

FindNoise = Callable[[Tensor, Tensor], Tensor]
"""From noisy images (B, C, H, W) and their noise variance (B, 1, 1, 1) to the noise in them (B, C, H, W)."""


class DDIM:
    """Even steps in time, with as much fresh noise in each as `eta` says.

    Args:
        eta: from 0, deterministic, to 1, ancestral.
    """

    def __init__(self, eta: float = 0.0) -> None:
        if not 0 <= eta <= 1:
            raise ValueError(f"eta={eta}: from 0, deterministic, to 1, ancestral")
        self.eta = eta

    def sample(
        self, find_noise: FindNoise, start: Tensor, steps: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Runs time from 1 to 0, and yields (x_t, x_0 as predicted there) after each step.

        Args:
            find_noise: the network.
            start: x_1 (B, C, H, W), standard normal.
            steps: how many.
            generator: of the fresh noise, where eta is above 0.
        """
        times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        signals, noises = (rate.to(start.dtype) for rate in rates(times))
        current = start
        for at in range(steps):
            before, after = (signals[at], noises[at]), (signals[at + 1], noises[at + 1])
            variance = before[1].square().to(start.device).expand(len(start), 1, 1, 1)
            noise = find_noise(current, variance)
            fresh = torch.randn(start.shape, generator=generator).to(start) if self.eta and at + 1 < steps else None
            eta = self.eta if fresh is not None else 0.0
            current, image = step(current, noise, before, after, eta, fresh)
            yield current, image


class Ancestral(DDIM):
    """The sampler of Ho, Jain, Abbeel (2020), on the same steps."""

    def __init__(self) -> None:
        super().__init__(eta=1.0)


SamplerName = Literal["ddim", "ancestral"]


def make_sampler(name: SamplerName, eta: float | None = None) -> DDIM:
    """The sampler of a name.

    Args:
        name: `ddim` or `ancestral`.
        eta: of `ddim`; None: its default.

    Raises:
        ValueError: eta is out of range, or `ancestral` is to have one.
    """
    if name == "ddim":
        return DDIM() if eta is None else DDIM(eta)
    if eta is not None:
        raise ValueError(f"eta={eta}: the ancestral sampler has none; it is of sampler=ddim")
    return Ancestral()


def jitter(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], eta: float) -> Tensor:
    """z, the deviation of the fresh noise of a step between two (signal, noise) rates, equation 16."""
    (signal, noise), (next_signal, next_noise) = before, after
    return eta * next_noise / noise * (1 - (signal / next_signal).square()).clamp(min=0).sqrt()


def step(
    noisy_image: Tensor,
    noise: Tensor,
    before: tuple[Tensor, Tensor],
    after: tuple[Tensor, Tensor],
    eta: float = 0.0,
    fresh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """x_t' and x_0 of x_t and its predicted noise, equation 12.

    Args:
        before, after: signal and noise rates of t and t'.
        eta: 0 deterministic, 1 ancestral.
        fresh: w, where eta is above 0.
    """
    image = image_of(noisy_image, noise, *before)
    signal, rest = after
    if eta == 0:
        return signal * image + rest * noise, image
    assert fresh is not None
    width = jitter(before, after, eta)
    return signal * image + (rest.square() - width.square()).clamp(min=0).sqrt() * noise + width * fresh, image
