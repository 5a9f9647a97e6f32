"""The samplers: their steps against equations, against diffusers, and against each other."""

import pytest
import torch

from adlx.models.diffusion.process import image_of, noise_of, noisy, rates
from adlx.models.diffusion.samplers import DDIM, Ancestral, jitter, make_sampler, step


def images(seed: int) -> torch.Tensor:
    return torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def denoise(current: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Some network: nonlinear, and told how much noise there is."""
    return (current * (1 + variance)).tanh()


def drawn(sampler: DDIM, seed: int | None = 0, steps: int = 6) -> torch.Tensor:
    """(steps, 2, 3, 1, 4, 4): x_t and x_0 after each step, from the same start."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.stack([torch.stack(pair) for pair in sampler.sample(denoise, images(1), steps, generator)])


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

    def knowing(current: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        return noise_of(current, image, (1 - variance).sqrt(), variance.sqrt())

    for eta in (0.0, 1.0):
        seen = list(DDIM(eta).sample(knowing, images(1), steps=7, generator=torch.Generator().manual_seed(0)))
        assert len(seen) == 7
        for _, beneath in seen:
            torch.testing.assert_close(beneath, image)


def test_sampling_asks_for_the_noise_of_each_time():
    asked = []

    def asking(current: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        assert variance.shape == (3, 1, 1, 1)
        asked.append(variance[0].item())
        return torch.zeros_like(current)

    list(DDIM().sample(asking, images(1), steps=4))
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


def test_without_eta_the_start_alone_decides():
    """Nothing is drawn: another generator changes no bit, none is needed, and torch's own stays where it was."""
    before = torch.random.get_rng_state()
    generator = torch.Generator().manual_seed(7)
    list(DDIM(0.0).sample(denoise, images(1), 6, generator))
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(7).get_state())
    assert torch.equal(drawn(DDIM(0.0), seed=0), drawn(DDIM(0.0), seed=1))
    assert torch.equal(drawn(DDIM(0.0), seed=0), drawn(DDIM(), seed=None))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_eta_1_is_the_ancestral_sampler_to_the_bit():
    assert torch.equal(drawn(DDIM(1.0)), drawn(Ancestral()))
    assert not torch.equal(drawn(Ancestral(), seed=0), drawn(Ancestral(), seed=1))
    assert not torch.equal(drawn(DDIM(0.5)), drawn(Ancestral()))
    assert not torch.equal(drawn(DDIM(0.0)), drawn(Ancestral()))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_the_walk_by_hand(eta):
    """Equation 12 from time to time; the last step, to time 0, draws nothing."""
    times, generator, current = (
        torch.linspace(1, 0, 5, dtype=torch.float64),
        torch.Generator().manual_seed(0),
        images(1),
    )
    for at, (after, image) in enumerate(drawn(DDIM(eta), steps=4)):
        (s, n), (s_next, n_next) = rates(times[at]), rates(times[at + 1])
        noise = denoise(current, n.square())
        z = eta * n_next / n * (1 - s**2 / s_next**2).sqrt() if at < 3 else torch.zeros(())
        fresh = torch.randn(current.shape, generator=generator).to(current) if eta and at < 3 else 0.0
        torch.testing.assert_close(image, image_of(current, noise, s, n), rtol=1e-12, atol=1e-12)
        expected = s_next * image + (n_next**2 - z**2).sqrt() * noise + z * fresh
        torch.testing.assert_close(after, expected, rtol=1e-12, atol=1e-12)
        current = after


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_eta_out_of_range_is_refused(eta):
    with pytest.raises(ValueError, match=f"^eta={eta}: from 0, deterministic, to 1, ancestral$"):
        DDIM(eta)


def test_samplers_by_name():
    found = {(name, eta): make_sampler(name, eta) for name, eta in (("ddim", None), ("ddim", 0.3), ("ancestral", None))}
    assert {key: (type(sampler), sampler.eta) for key, sampler in found.items()} == {
        ("ddim", None): (DDIM, 0.0),
        ("ddim", 0.3): (DDIM, 0.3),
        ("ancestral", None): (Ancestral, 1.0),
    }
    with pytest.raises(ValueError, match=r"^eta=0\.5: the ancestral sampler has none; it is of sampler=ddim$"):
        make_sampler("ancestral", 0.5)
