"""The noise schedule, the identities of noisy images, and the samplers."""

import math

import pytest
import torch

from adlx.models.diffusion.process import image_of, jitter, noise_of, noisy, rates, sample, step


def images(seed: int) -> torch.Tensor:
    return torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rates_run_from_signal_to_noise():
    time = torch.linspace(0, 1, 101, dtype=torch.float64)
    signal, noise = rates(time)
    torch.testing.assert_close(signal.square() + noise.square(), torch.ones_like(time))
    assert (signal[0].item(), signal[-1].item()) == pytest.approx((0.95, 0.02))
    angle = noise.atan2(signal)
    torch.testing.assert_close(angle.diff(), angle.diff()[:1].expand(100))  # evenly
    assert angle.diff()[0].item() == pytest.approx((math.acos(0.02) - math.acos(0.95)) / 100)


@pytest.mark.parametrize("time", [0.0, 0.3, 1.0])
def test_noisy_noise_and_image_tell_of_each_other(time):
    image, noise = images(0), images(1)
    signal, rate = rates(torch.tensor(time, dtype=torch.float64))
    found = noisy(image, noise, signal, rate)
    torch.testing.assert_close(found, signal * image + rate * noise)
    torch.testing.assert_close(image_of(found, noise, signal, rate), image)
    torch.testing.assert_close(noise_of(found, image, signal, rate), noise)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_step_with_the_true_noise_leads_to_the_earlier_time(eta):
    """To its noisy image where nothing is drawn anew, and to one with as much noise where something is."""
    image, noise, fresh = images(0), images(1), images(2)
    before, after = (rates(torch.tensor(time, dtype=torch.float64)) for time in (0.8, 0.5))
    found, beneath = step(noisy(image, noise, *before), noise, before, after, eta, fresh)
    torch.testing.assert_close(beneath, image)
    width = jitter(before, after, eta)
    kept = (after[1].square() - width.square()).sqrt()
    torch.testing.assert_close(found, after[0] * image + kept * noise + width * fresh)
    assert (kept.square() + width.square()).item() == pytest.approx(after[1].square().item())
    assert (width.item() == 0) is (eta == 0)


def test_eta_1_is_the_posterior_of_ancestral_sampling():
    """Ho, Jain, Abbeel (2020), equation 7: its deviation, written with the alphas of two neighbouring times."""
    before, after = (rates(torch.tensor(time, dtype=torch.float64)) for time in (0.8, 0.5))
    alpha, next_alpha = before[0].square(), after[0].square()
    beta = 1 - alpha / next_alpha
    assert jitter(before, after, 1.0).square().item() == pytest.approx(((1 - next_alpha) / (1 - alpha) * beta).item())


def test_the_true_noise_leads_back_to_the_image():
    """A denoiser that knows the image finds it at every step, and draws it in the end."""
    image = images(0)

    def denoise(current: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        return noise_of(current, image, (1 - variance).sqrt(), variance.sqrt())

    for eta in (0.0, 1.0):
        seen = list(sample(denoise, images(1), steps=7, eta=eta, generator=torch.Generator().manual_seed(0)))
        assert len(seen) == 7
        for _, beneath in seen:
            torch.testing.assert_close(beneath, image)


def test_sampling_asks_for_the_noise_of_each_time():
    asked = []

    def denoise(current: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        assert variance.shape == (3, 1, 1, 1)
        asked.append(variance[0].item())
        return torch.zeros_like(current)

    list(sample(denoise, images(1), steps=4))
    _, noise = rates(torch.tensor([1.0, 0.75, 0.5, 0.25], dtype=torch.float64))
    assert asked == pytest.approx(noise.square().tolist())


def test_steps_are_those_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    times = torch.linspace(0, 1, 51, dtype=torch.float64)
    signal, noise = rates(times)
    scheduler = diffusers.DDIMScheduler(num_train_timesteps=51, clip_sample=False, set_alpha_to_one=False)
    scheduler.alphas_cumprod = signal.square()
    scheduler.final_alpha_cumprod = scheduler.alphas_cumprod[0]
    scheduler.num_inference_steps = 51
    current, found, fresh = images(0), images(1), images(2)
    for eta in (0.0, 0.7, 1.0):
        for place in (50, 20, 3):
            theirs = scheduler.step(found, place, current, eta=eta, variance_noise=fresh)
            before, after = ((signal[at], noise[at]) for at in (place, place - 1))
            ours, beneath = step(current, found, before, after, eta, fresh)
            torch.testing.assert_close(ours, theirs.prev_sample, rtol=1e-5, atol=1e-7)
            torch.testing.assert_close(beneath, theirs.pred_original_sample, rtol=1e-5, atol=1e-7)
