"""Continuous-time diffusion: the noise schedule, what noisy images, noise and images tell of each other, and samplers.

Song, Meng, Ermon (2021), "Denoising Diffusion Implicit Models". A noisy image is

    x_t = s(t) x_0 + n(t) e,     e ~ N(0, 1),     s^2 + n^2 = 1

(equation 4, with s^2 their alpha). From a noise e that was predicted, equation 12 steps from t to an earlier t',

    x_t' = s' x_0 + sqrt(n'^2 - z^2) e + z w,     z = eta n'/n sqrt(1 - s^2 / s'^2),     w ~ N(0, 1)

with x_0 = (x_t - n e) / s: deterministic at eta 0, the ancestral sampler of Ho, Jain, Abbeel (2020) at eta 1.
The schedule is that of the Keras example of that name (Béres 2022): an angle that grows evenly.

Shapes: B batch, C channels, H x W pixels; rates are (B, 1, 1, 1) or scalars.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

MOST_SIGNAL, LEAST_SIGNAL = 0.95, 0.02
"""Signal rates at t = 0 and t = 1."""

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""From noisy images (B, C, H, W) and their noise variance (B, 1, 1, 1) to the noise in them (B, C, H, W)."""


def rates(time: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise rate at times from 0 to 1: cosine and sine of an angle that is linear in time."""
    start, end = math.acos(MOST_SIGNAL), math.acos(LEAST_SIGNAL)
    angle = start + time * (end - start)
    return angle.cos(), angle.sin()


def noisy(image: Tensor, noise: Tensor, signal_rate: Tensor, noise_rate: Tensor) -> Tensor:
    """x_t of x_0 and e."""
    return signal_rate * image + noise_rate * noise


def image_of(noisy_image: Tensor, noise: Tensor, signal_rate: Tensor, noise_rate: Tensor) -> Tensor:
    """x_0 of x_t and e."""
    return (noisy_image - noise_rate * noise) / signal_rate


def noise_of(noisy_image: Tensor, image: Tensor, signal_rate: Tensor, noise_rate: Tensor) -> Tensor:
    """e of x_t and x_0."""
    return (noisy_image - signal_rate * image) / noise_rate


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


def sample(
    denoise: Denoiser, start: Tensor, steps: int, eta: float = 0.0, generator: torch.Generator | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Runs time from 1 to 0 in even steps, and yields (x_t, x_0 as predicted there) after each.

    Args:
        denoise: the network.
        start: x_1 (B, C, H, W), standard normal.
        steps: how many.
        eta: 0 deterministic, 1 ancestral.
        generator: of the fresh noise, where eta is above 0.
    """
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    signals, noises = (rate.to(start.dtype) for rate in rates(times))
    current = start
    for at in range(steps):
        before, after = (signals[at], noises[at]), (signals[at + 1], noises[at + 1])
        variance = before[1].square().to(start.device).expand(len(start), 1, 1, 1)
        noise = denoise(current, variance)
        fresh = torch.randn(start.shape, generator=generator).to(start) if eta and at + 1 < steps else None
        width = eta if fresh is not None else 0.0
        current, image = step(current, noise, before, after, width, fresh)
        yield current, image
