"""Continuous-time diffusion: the noise schedule, and how noisy image, noise and image follow from each other.

Song, Meng, Ermon (2021), "Denoising Diffusion Implicit Models". A noisy image is

    x_t = s(t) x_0 + n(t) e,     e ~ N(0, 1),     s^2 + n^2 = 1

(equation 4, with s^2 their alpha). The schedule is that of the Keras example of that name (Béres 2022): an angle that
grows evenly.

Shapes: B batch, C channels, H x W pixels; rates are (B, 1, 1, 1) or scalars.
"""

import math

from torch import Tensor

MOST_SIGNAL, LEAST_SIGNAL = 0.95, 0.02
"""Signal rates at t = 0 and t = 1."""


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
