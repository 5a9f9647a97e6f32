"""Continuous-time diffusion: the noise schedule, and the equations between noisy image, noise and image.

Song, Meng, Ermon (2021), "Denoising Diffusion Implicit Models". A noisy image is

    x_t = s(t) x_0 + n(t) e,     e ~ N(0, 1),     s^2 + n^2 = 1

(equation 4, with s^2 their alpha). The schedule is that of the Keras example of that name (Béres 2022): an angle that
grows linearly in time.

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


def add_noise(image: Tensor, noise: Tensor, signal_rate: Tensor, noise_rate: Tensor) -> Tensor:
    """The noisy image x_t from the image x_0 and the noise e."""
    return signal_rate * image + noise_rate * noise


def image_of(noisy_image: Tensor, noise: Tensor, signal_rate: Tensor, noise_rate: Tensor) -> Tensor:
    """The image x_0 from the noisy image x_t and the noise e."""
    return (noisy_image - noise_rate * noise) / signal_rate


def noise_of(noisy_image: Tensor, image: Tensor, signal_rate: Tensor, noise_rate: Tensor) -> Tensor:
    """The noise e from the noisy image x_t and the image x_0."""
    return (noisy_image - signal_rate * image) / noise_rate
