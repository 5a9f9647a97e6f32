"""Samplers: generate images with a network that predicts noise.

Song, Meng, Ermon (2021), "Denoising Diffusion Implicit Models". With signal and noise rates s, n and predicted
noise e at time t, equation 12 gives the noisy image at an earlier time t',

    x_t' = s' x_0 + sqrt(n'^2 - z^2) e + z w,     z = eta n'/n sqrt(1 - s^2 / s'^2),     w ~ N(0, 1)

with x_0 = (x_t - n e) / s. With eta = 0 it is deterministic; with eta = 1 it is the ancestral sampler of Ho, Jain,
Abbeel (2020), "Denoising Diffusion Probabilistic Models".

Shapes: B batch, C channels, H x W pixels; rates are (B, 1, 1, 1) or scalars.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from adlx.models.diffusion.process import image_of, rates

NoisePredictor = Callable[[Tensor, Tensor], Tensor]
"""Predicts the noise (B, C, H, W) from noisy images (B, C, H, W) and the variance of their noise (B, 1, 1, 1)."""


class DDIM:
    """Equal steps in time; each adds fresh noise in proportion to `eta`.

    Args:
        eta: from 0, deterministic, to 1, ancestral.
    """

    def __init__(self, eta: float = 0.0) -> None:
        if not 0 <= eta <= 1:
            raise ValueError(f"eta={eta}: must be from 0, deterministic, to 1, ancestral")
        self.eta = eta

    def sample(
        self, predict_noise: NoisePredictor, start: Tensor, steps: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Steps from time 1 to time 0; yields x_t and the prediction of x_0 after each step.

        Args:
            predict_noise: the network.
            start: x_1 (B, C, H, W), standard normal.
            steps: number of steps.
            generator: random numbers of the fresh noise, if eta is above 0.
        """
        times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        signals, noises = (rate.to(start.dtype) for rate in rates(times))
        current = start
        for index in range(steps):
            before, after = (signals[index], noises[index]), (signals[index + 1], noises[index + 1])
            variance = before[1].square().to(start.device).expand(len(start), 1, 1, 1)
            noise = predict_noise(current, variance)
            fresh = torch.randn(start.shape, generator=generator).to(start) if self.eta and index + 1 < steps else None
            eta = self.eta if fresh is not None else 0.0
            current, image = step(current, noise, before, after, eta, fresh)
            yield current, image


class Ancestral(DDIM):
    """The sampler of Ho, Jain, Abbeel (2020), with the same steps."""

    def __init__(self) -> None:
        super().__init__(eta=1.0)


SamplerName = Literal["ddim", "ancestral"]


def make_sampler(name: SamplerName, eta: float | None = None) -> DDIM:
    """Makes the sampler with the given name.

    Args:
        name: `ddim` or `ancestral`.
        eta: an argument of `ddim`; None: its default.

    Raises:
        ValueError: eta is out of range, or is given for `ancestral`.
    """
    if name == "ddim":
        return DDIM() if eta is None else DDIM(eta)
    if eta is not None:
        raise ValueError(f"eta={eta}: the ancestral sampler has no eta; remove it, or use sampler=ddim")
    return Ancestral()


def fresh_noise_deviation(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], eta: float) -> Tensor:
    """z, the standard deviation of the fresh noise in a step from rates (signal, noise) to others, equation 16."""
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
    """Computes x_t' and x_0 from x_t and its predicted noise, equation 12.

    Args:
        before, after: signal and noise rates of t and t'.
        eta: 0 deterministic, 1 ancestral.
        fresh: w, if eta is above 0.
    """
    image = image_of(noisy_image, noise, *before)
    signal, noise_rate = after
    if eta == 0:
        return signal * image + noise_rate * noise, image
    assert fresh is not None
    deviation = fresh_noise_deviation(before, after, eta)
    return signal * image + (noise_rate.square() - deviation.square()).clamp(
        min=0
    ).sqrt() * noise + deviation * fresh, image
