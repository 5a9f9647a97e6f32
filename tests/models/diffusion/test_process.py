"""The noise schedule, and the equations between image, noise and noisy image."""

import math

import pytest
import torch

from adlx.models.diffusion.process import add_noise, image_of, noise_of, rates


def images(seed: int) -> torch.Tensor:
    return torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rates_change_from_signal_to_noise_with_a_linear_angle():
    time = torch.linspace(0, 1, 101, dtype=torch.float64)
    signal, noise = rates(time)
    torch.testing.assert_close(signal.square() + noise.square(), torch.ones_like(time))
    assert (signal[0].item(), signal[-1].item()) == pytest.approx((0.95, 0.02))
    angle = noise.atan2(signal)
    torch.testing.assert_close(angle.diff(), angle.diff()[:1].expand(100))  # linear in time
    assert angle.diff()[0].item() == pytest.approx((math.acos(0.02) - math.acos(0.95)) / 100)


@pytest.mark.parametrize("time", [0.0, 0.3, 1.0])
def test_image_and_noise_follow_from_the_noisy_image(time):
    image, noise = images(0), images(1)
    signal, rate = rates(torch.tensor(time, dtype=torch.float64))
    noisy = add_noise(image, noise, signal, rate)
    torch.testing.assert_close(noisy, signal * image + rate * noise)
    torch.testing.assert_close(image_of(noisy, noise, signal, rate), image)
    torch.testing.assert_close(noise_of(noisy, image, signal, rate), noise)
