"""The forecaster in latents: equations, causality, what is trained, and rollouts from a cache."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

from adlx.models.fields.interfaces import FieldAutoencoder
from adlx.models.fields.sea import SEA
from adlx.models.fields.sea_autoencoder import SEAAutoencoder
from adlx.specs import FieldSpec

SPEC = FieldSpec(("u", "v", "p"), ((0, 1), (2,)), 24, grid=(4, 6), parameters=("reynolds", "angle"))
SMALL = {"width": 16, "heads": 2, "blocks": 2, "ratio": 4, "noise": 0.0}
L = 8
KINDS = ["sea", "addition", "pool", "none"]
EVERY = [{"exchange": kind, "order": order} for kind in KINDS for order in ("parallel", "sequential")]
EVERY += [{"conditioning": "added"}, {"seed_frames": 3}]


def make(spec: FieldSpec = SPEC, opened: bool = True, **arguments) -> SEA:
    """With the layers that start at zero drawn at random, unless they are to stay."""
    torch.manual_seed(0)
    autoencoder = SEAAutoencoder(spec, patches=(2, 2), dimension=2, width=8, blocks=1, heads=2)
    model = SEA(spec, autoencoder, **{**SMALL, **arguments})
    if opened:
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and not parameter.any() and "norm" not in name:
                nn.init.normal_(parameter, std=0.1)
    if spec.parameters:
        model.fit_parameters(torch.tensor([[100.0, 0.0], [300.0, 0.0], [500.0, 0.0]]))
    return model


def latents_of(steps: int = 6, batch: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(batch, steps, 2, L, generator=torch.Generator().manual_seed(seed))


def window_of(steps: int = 6, spec: FieldSpec = SPEC) -> Tensor:
    return torch.randn(2, steps, 24, len(spec.fields), generator=torch.Generator().manual_seed(3))


REYNOLDS = torch.tensor([[150.0, 0.0], [420.0, 0.0]])


def trained(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("conditioning", ["adaln", "added"])
def test_the_equations(conditioning):
    model = make(conditioning=conditioning, blocks=1)
    latents = latents_of()
    block = model.blocks[0]
    scaled = (REYNOLDS - torch.tensor([300.0, 0.0])) / torch.tensor([(2 / 3) ** 0.5 * 200, 1.0])
    told = model.condition(scaled)
    hidden = []
    for group in range(2):
        h = model.embedding[group](latents[:, :, group])
        normed = layer_norm(h, (16,))
        attend = block.attention[group]
        hidden.append(h + attend.out(attend.attention(normed, normed)))
    hidden = block.exchange(hidden)
    for group, h in enumerate(hidden):
        feed = block.feed[group]
        c = feed.condition(told)
        if conditioning == "added":
            h = h + c[:, None]
            inside = layer_norm(h, (16,))
        else:
            inside = layer_norm(h, (16,)) * (1 + c[:, None, :16]) + c[:, None, 16:]
        h = h + feed.mlp[2](gelu(feed.mlp[0](inside)))
        expected = latents[:, :, group] + model.change[group](layer_norm(h, (16,)))
        torch.testing.assert_close(model(latents, REYNOLDS)[:, :, group], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("arguments", EVERY)
def test_it_begins_as_persistence_and_learns_from_everything(arguments):
    model = make(opened=False, **arguments)
    latents = latents_of()
    assert torch.equal(model(latents, REYNOLDS), latents)
    first = [feed.norm.elementwise_affine for block in model.blocks for feed in block.feed]
    assert first == [arguments.get("conditioning") == "added"] * 4
    for _ in range(4):  # zero layers open one after the other
        model.zero_grad()
        model.step_loss(latents, REYNOLDS).backward()
        with torch.no_grad():
            for weight in trained(model):
                weight -= 0.01 * weight.grad.sign()
    dead = [name for name, weight in model.named_parameters() if weight.requires_grad and not weight.grad.any()]
    assert dead == []


@pytest.mark.parametrize("arguments", EVERY)
def test_the_future_changes_nothing(arguments):
    model = make(**arguments).eval()
    latents = latents_of()
    before = model(latents, REYNOLDS)
    changed = latents.clone()
    changed[:, 4:] = 100 * latents_of(seed=9)[:, 4:]
    after = model(changed, REYNOLDS)
    torch.testing.assert_close(after[:, :4], before[:, :4], rtol=1e-5, atol=1e-6)
    assert (after[:, 4:] - before[:, 4:]).abs().min() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_groups_hear_of_one_another_by_the_exchange_alone(kind):
    model = make(exchange=kind)
    latents = latents_of().requires_grad_()
    for group in range(2):
        (gradient,) = torch.autograd.grad(model(latents, REYNOLDS)[:, :, group].square().sum(), latents)
        assert bool(gradient[:, :, 1 - group].any()) is (kind != "none")


@pytest.mark.parametrize("arguments", EVERY)
def test_a_rollout_from_the_cache_equals_one_without(arguments):
    """Far beyond the length of any window, in float64, as differences grow."""
    model = make(**arguments).eval().double()
    seed = latents_of(model.seed_frames).double()
    cached = model.unroll(seed, 60, REYNOLDS.double())
    assert cached.shape == (2, 60, 2, L)
    again = model.unroll(seed, 60, REYNOLDS.double(), cached=False)
    torch.testing.assert_close(cached, again, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("conditioning", ["adaln", "added"])
def test_the_parameters_matter_where_there_are_any(conditioning):
    model = make(conditioning=conditioning)
    latents = latents_of()
    apart = model(latents, REYNOLDS) - model(latents, REYNOLDS.flip(0))
    assert apart.abs().amin(dim=(1, 2, 3)).min() > 0
    unnamed = FieldSpec(SPEC.fields, SPEC.groups, 24, grid=(4, 6))
    without = make(unnamed, conditioning=conditioning)
    assert without(latents, torch.zeros(2, 0)).shape == latents.shape
    assert not [name for name, _ in without.named_parameters() if "condition" in name]


def test_the_autoencoder_is_frozen():
    model = make().train()
    assert not model.autoencoder.training
    assert all(not parameter.requires_grad for parameter in model.autoencoder.parameters())
    before = {name: value.clone() for name, value in model.autoencoder.state_dict().items()}
    optimizer = torch.optim.Adam(trained(model), lr=1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = model.loss(window_of(), REYNOLDS)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in model.autoencoder.state_dict().items())


def test_the_loss_is_of_the_frames_after_the_seed():
    latents = latents_of()
    for frames in (1, 3):
        model = make(seed_frames=frames)
        found, expected = model(latents, REYNOLDS), []
        for step in range(frames, 6):
            expected.append((found[:, step - 1] - latents[:, step]).square().mean())
        torch.testing.assert_close(model.step_loss(latents, REYNOLDS), torch.stack(expected).mean())
    with pytest.raises(ValueError, match=r"a window of 3 frames ends with model\.seed_frames=3"):
        model.step_loss(latents[:, :3], REYNOLDS)


def test_noise_is_of_training_alone_and_of_its_generator():
    latents, plain, noisy = latents_of(), make(), make(noise=0.1)

    def drawn(seed: int) -> Tensor:
        return noisy.step_loss(latents, REYNOLDS, torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    noise = 0.1 * torch.randn(2, 5, 2, L, generator=torch.Generator().manual_seed(0))
    expected = (noisy(latents[:, :-1] + noise, REYNOLDS) - latents[:, 1:]).square().mean()
    torch.testing.assert_close(drawn(0), expected)
    noisy.eval()
    assert torch.equal(drawn(0), plain.step_loss(latents, REYNOLDS))


@pytest.mark.parametrize("frames", [1, 2])
def test_pushforward_is_steps_of_its_own_from_the_truth(frames):
    """Round n: the first n frames are the rollout from the seed, each later one has n rounds behind it."""
    latents = latents_of()
    model = make(seed_frames=frames, pushforward=2)
    pushed = model.pushed(latents, REYNOLDS)
    assert not pushed.requires_grad
    assert torch.equal(pushed[:, :frames], latents[:, :frames])
    rolled = model.unroll(latents[:, :frames], 2, REYNOLDS)
    torch.testing.assert_close(pushed[:, frames : frames + 2], rolled, rtol=1e-5, atol=1e-5)
    once = torch.cat([latents[:, :frames], model(latents, REYNOLDS)[:, frames - 1 : -1]], dim=1)
    for step in range(frames, 6):
        expected = model(once[:, :step], REYNOLDS)[:, -1]
        torch.testing.assert_close(pushed[:, step], expected, rtol=1e-5, atol=1e-5)
    whole = make(seed_frames=frames, pushforward=6 - frames)
    rolled = whole.unroll(latents[:, :frames], 6 - frames, REYNOLDS)
    torch.testing.assert_close(whole.pushed(latents, REYNOLDS)[:, frames:], rolled, rtol=1e-4, atol=1e-4)

    loss = model.step_loss(latents, REYNOLDS)
    found = model(model.pushed(latents[:, :-1], REYNOLDS), REYNOLDS)[:, frames - 1 :]
    torch.testing.assert_close(loss, (found - latents[:, frames:]).square().mean())


class Training:
    values = (window_of(70)[0].numpy(), window_of(9)[1].numpy())

    def snapshots(self):
        return iter(self.values)

    def training_parameters(self):
        return REYNOLDS.numpy()


def test_scales_come_from_the_training_part():
    model = make()
    model.solve(Training())
    latents = torch.cat([model.autoencoder.encode(torch.from_numpy(part)) for part in Training.values])
    torch.testing.assert_close(model.latent_mean, latents.mean(dim=0))
    torch.testing.assert_close(model.latent_std[:, 0], latents.var(dim=0, correction=0).mean(dim=1).sqrt())
    assert torch.equal(model.parameter_mean, torch.tensor([285.0, 0.0]))
    assert torch.equal(model.parameter_std, torch.tensor([135.0, 1.0]))
    encoded = torch.cat([model.encode(torch.from_numpy(part)[None])[0] for part in Training.values])
    torch.testing.assert_close(encoded.mean(dim=0), torch.zeros(2, L), rtol=0, atol=1e-5)
    torch.testing.assert_close(encoded.square().mean(dim=(0, 2)), torch.ones(2))
    window = window_of()
    frames = model.autoencoder(window.flatten(0, 1)).view(window.shape)
    torch.testing.assert_close(model.decode(model.encode(window)), frames, rtol=1e-4, atol=1e-5)


def test_a_rollout_sees_the_seed_alone():
    model = make(seed_frames=2).eval()
    model.solve(Training())
    window = window_of(4)
    found = model.rollout(window, 3, REYNOLDS)
    assert found.shape == (2, 3, 24, 3)
    assert torch.equal(found, model.rollout(window[:, 2:], 3, REYNOLDS))
    expected = model.decode(model(model.encode(window[:, 2:]), REYNOLDS)[:, -1:])
    torch.testing.assert_close(found[:, :1], expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"model\.seed_frames=2 are needed, 1 are given"):
        model.rollout(window[:, :1], 3, REYNOLDS)


def test_exchanges_can_be_given_equal_numbers_of_parameters():
    counts = {kind: sum(weight.numel() for weight in trained(make(exchange=kind))) for kind in KINDS}
    spread = counts["pool"] - counts["none"]
    assert spread == 2 * 2 * (2 * 16 + (2 * 16 + 1) * 16)  # a norm and a projection, two groups, two blocks
    wider = make(exchange="none", feedforward=64 + 8)
    assert sum(weight.numel() for weight in trained(wider)) == counts["none"] + 2 * 2 * 8 * (2 * 16 + 1)


ALONE = FieldSpec(("u",), ((0,),), 24, grid=(4, 6), parameters=("reynolds", "angle"))


def test_one_group_has_nobody_to_hear():
    assert make(ALONE, exchange="none")(latents_of()[:, :, :1], REYNOLDS).shape == (2, 6, 1, L)
    with pytest.raises(ValueError, match=r"model\.exchange=sea needs two groups of fields, the data have 1: use none"):
        make(ALONE)
    other: FieldAutoencoder = make(ALONE, exchange="none").autoencoder
    with pytest.raises(ValueError, match=r"model\.autoencoder is of u in groups .* at 24 cells; the data have u, v, p"):
        SEA(SPEC, other)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"width": 18}, "model.width=18 must be a multiple of twice model.heads=2"),
        ({"ratio": 0}, "model.ratio=0: must be at least 1"),
        ({"feedforward": 0}, "model.feedforward=0"),
        ({"noise": -1.0}, "model.noise=-1.0 and model.pushforward=0 must be at least 0"),
    ],
)
def test_what_does_not_go_together(arguments, line):
    with pytest.raises(ValueError, match=line):
        make(**arguments)
