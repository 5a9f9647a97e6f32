"""The samplers: their steps equal the equations and those of diffusers; eta and random numbers."""

import pytest
import torch

from adlx.models.diffusion.process import add_noise, image_of, noise_of, rates
from adlx.models.diffusion.samplers import DDIM, Ancestral, fresh_noise_deviation, make_sampler, step


def images(seed: int) -> torch.Tensor:
    return torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def denoise(current: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Stands for a network: nonlinear, and depends on the noise level."""
    return (current * (1 + variance)).tanh()


def samples(sampler: DDIM, seed: int | None = 0, steps: int = 6) -> torch.Tensor:
    """x_t and x_0 after each step from a fixed start, (steps, 2, 3, 1, 4, 4)."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.stack([torch.stack(pair) for pair in sampler.sample(denoise, images(1), steps, generator)])


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_step_with_the_true_noise_gives_the_noisy_image_of_the_earlier_time(eta):
    """Without fresh noise it is exact; with fresh noise it has the noise level of that time."""
    image, noise, fresh = images(0), images(1), images(2)
    before, after = (rates(torch.tensor(time, dtype=torch.float64)) for time in (0.8, 0.5))
    result, clean = step(add_noise(image, noise, *before), noise, before, after, eta, fresh)
    torch.testing.assert_close(clean, image)
    width = fresh_noise_deviation(before, after, eta)
    kept = (after[1].square() - width.square()).sqrt()
    torch.testing.assert_close(result, after[0] * image + kept * noise + width * fresh)
    assert (kept.square() + width.square()).item() == pytest.approx(after[1].square().item())
    assert (width.item() == 0) is (eta == 0)


def test_noise_at_eta_1_is_the_posterior_of_ancestral_sampling():
    """Ho, Jain, Abbeel (2020), equation 7: the deviation, from the alphas of two neighbouring times."""
    before, after = (rates(torch.tensor(time, dtype=torch.float64)) for time in (0.8, 0.5))
    alpha, next_alpha = before[0].square(), after[0].square()
    beta = 1 - alpha / next_alpha
    assert fresh_noise_deviation(before, after, 1.0).square().item() == pytest.approx(
        ((1 - next_alpha) / (1 - alpha) * beta).item()
    )


def test_sampling_with_the_true_noise_gives_the_image():
    """A denoiser that returns the true noise gives the image at every step."""
    image = images(0)

    def true_noise(current: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        return noise_of(current, image, (1 - variance).sqrt(), variance.sqrt())

    for eta in (0.0, 1.0):
        steps = list(DDIM(eta).sample(true_noise, images(1), steps=7, generator=torch.Generator().manual_seed(0)))
        assert len(steps) == 7
        for _, clean in steps:
            torch.testing.assert_close(clean, image)


def test_the_network_gets_the_noise_variance_of_each_time():
    variances = []

    def record(current: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        assert variance.shape == (3, 1, 1, 1)
        variances.append(variance[0].item())
        return torch.zeros_like(current)

    list(DDIM().sample(record, images(1), steps=4))
    _, noise = rates(torch.tensor([1.0, 0.75, 0.5, 0.25], dtype=torch.float64))
    assert variances == pytest.approx(noise.square().tolist())


def test_steps_equal_those_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    times = torch.linspace(0, 1, 51, dtype=torch.float64)
    signal, noise = rates(times)
    scheduler = diffusers.DDIMScheduler(num_train_timesteps=51, clip_sample=False, set_alpha_to_one=False)
    scheduler.alphas_cumprod = signal.square()
    scheduler.final_alpha_cumprod = scheduler.alphas_cumprod[0]
    scheduler.num_inference_steps = 51
    current, predicted, fresh = images(0), images(1), images(2)
    for eta in (0.0, 0.7, 1.0):
        for index in (50, 20, 3):
            theirs = scheduler.step(predicted, index, current, eta=eta, variance_noise=fresh)
            before, after = ((signal[i], noise[i]) for i in (index, index - 1))
            ours, clean = step(current, predicted, before, after, eta, fresh)
            torch.testing.assert_close(ours, theirs.prev_sample, rtol=1e-5, atol=1e-7)
            torch.testing.assert_close(clean, theirs.pred_original_sample, rtol=1e-5, atol=1e-7)


def test_samples_without_eta_depend_only_on_the_start():
    """No random numbers are used: no generator is needed, and the state of torch's global generator stays."""
    before = torch.random.get_rng_state()
    generator = torch.Generator().manual_seed(7)
    list(DDIM(0.0).sample(denoise, images(1), 6, generator))
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(7).get_state())
    assert torch.equal(samples(DDIM(0.0), seed=0), samples(DDIM(0.0), seed=1))
    assert torch.equal(samples(DDIM(0.0), seed=0), samples(DDIM(), seed=None))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_eta_1_equals_the_ancestral_sampler_bit_for_bit():
    assert torch.equal(samples(DDIM(1.0)), samples(Ancestral()))
    assert not torch.equal(samples(Ancestral(), seed=0), samples(Ancestral(), seed=1))
    assert not torch.equal(samples(DDIM(0.5)), samples(Ancestral()))
    assert not torch.equal(samples(DDIM(0.0)), samples(Ancestral()))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_all_steps_equal_the_equation(eta):
    """Equation 12 at each step; the last step, to time 0, adds no fresh noise."""
    times, generator, current = (
        torch.linspace(1, 0, 5, dtype=torch.float64),
        torch.Generator().manual_seed(0),
        images(1),
    )
    for index, (after, image) in enumerate(samples(DDIM(eta), steps=4)):
        (s, n), (s_next, n_next) = rates(times[index]), rates(times[index + 1])
        noise = denoise(current, n.square())
        z = eta * n_next / n * (1 - s**2 / s_next**2).sqrt() if index < 3 else torch.zeros(())
        fresh = torch.randn(current.shape, generator=generator).to(current) if eta and index < 3 else 0.0
        torch.testing.assert_close(image, image_of(current, noise, s, n), rtol=1e-12, atol=1e-12)
        expected = s_next * image + (n_next**2 - z**2).sqrt() * noise + z * fresh
        torch.testing.assert_close(after, expected, rtol=1e-12, atol=1e-12)
        current = after


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_eta_out_of_range_is_refused(eta):
    with pytest.raises(ValueError, match=f"^eta={eta}: must be from 0, deterministic, to 1, ancestral$"):
        DDIM(eta)


def test_make_sampler_makes_the_sampler_with_the_name():
    samplers = {
        (name, eta): make_sampler(name, eta) for name, eta in (("ddim", None), ("ddim", 0.3), ("ancestral", None))
    }
    assert {key: (type(sampler), sampler.eta) for key, sampler in samplers.items()} == {
        ("ddim", None): (DDIM, 0.0),
        ("ddim", 0.3): (DDIM, 0.3),
        ("ancestral", None): (Ancestral, 1.0),
    }
    with pytest.raises(
        ValueError, match=r"^eta=0\.5: the ancestral sampler has no eta; remove it, or use sampler=ddim$"
    ):
        make_sampler("ancestral", 0.5)
