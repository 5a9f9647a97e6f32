"""The forecaster of latents: equations, causality, trained weights, and rollouts with a cache."""

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
VARIANTS = [{"exchange": kind, "order": order} for kind in KINDS for order in ("parallel", "sequential")]
VARIANTS += [{"conditioning": "added"}, {"seed_frames": 3}]


def make(spec: FieldSpec = SPEC, random_start: bool = True, **arguments) -> SEA:
    """`random_start` replaces the weights that start at zero by random ones."""
    torch.manual_seed(0)
    autoencoder = SEAAutoencoder(spec, patches=(2, 2), dimension=2, width=8, blocks=1, heads=2)
    model = SEA(spec, autoencoder, **{**SMALL, **arguments})
    if random_start:
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


def trainable_weights(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("conditioning", ["adaln", "added"])
def test_forward_equals_the_equations(conditioning):
    model = make(conditioning=conditioning, blocks=1)
    latents = latents_of()
    block = model.blocks[0]
    scaled = (REYNOLDS - torch.tensor([300.0, 0.0])) / torch.tensor([(2 / 3) ** 0.5 * 200, 1.0])
    condition = model.condition(scaled)
    hidden = []
    for group in range(2):
        h = model.embedding[group](latents[:, :, group])
        normed = layer_norm(h, (16,))
        attend = block.attention[group]
        hidden.append(h + attend.out(attend.attention(normed, normed)))
    hidden = block.exchange(hidden)
    for group, h in enumerate(hidden):
        feed = block.feed[group]
        c = feed.condition(condition)
        if conditioning == "added":
            h = h + c[:, None]
            inside = layer_norm(h, (16,))
        else:
            inside = layer_norm(h, (16,)) * (1 + c[:, None, :16]) + c[:, None, 16:]
        h = h + feed.mlp[2](gelu(feed.mlp[0](inside)))
        expected = latents[:, :, group] + model.change[group](layer_norm(h, (16,)))
        torch.testing.assert_close(model(latents, REYNOLDS)[:, :, group], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("arguments", VARIANTS)
def test_an_untrained_model_is_persistence_and_every_weight_gets_a_gradient(arguments):
    model = make(random_start=False, **arguments)
    latents = latents_of()
    assert torch.equal(model(latents, REYNOLDS), latents)
    first = [feed.norm.elementwise_affine for block in model.blocks for feed in block.feed]
    assert first == [arguments.get("conditioning") == "added"] * 4
    for _ in range(4):  # layers that start at zero change one after the other
        model.zero_grad()
        model.step_loss(latents, REYNOLDS).backward()
        with torch.no_grad():
            for weight in trainable_weights(model):
                weight -= 0.01 * weight.grad.sign()
    without_gradient = [
        name for name, weight in model.named_parameters() if weight.requires_grad and not weight.grad.any()
    ]
    assert without_gradient == []


@pytest.mark.parametrize("arguments", VARIANTS)
def test_later_frames_do_not_change_earlier_predictions(arguments):
    model = make(**arguments).eval()
    latents = latents_of()
    before = model(latents, REYNOLDS)
    changed = latents.clone()
    changed[:, 4:] = 100 * latents_of(seed=9)[:, 4:]
    after = model(changed, REYNOLDS)
    torch.testing.assert_close(after[:, :4], before[:, :4], rtol=1e-5, atol=1e-6)
    assert (after[:, 4:] - before[:, 4:]).abs().min() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_groups_depend_on_one_another_only_through_the_exchange(kind):
    model = make(exchange=kind)
    latents = latents_of().requires_grad_()
    for group in range(2):
        (gradient,) = torch.autograd.grad(model(latents, REYNOLDS)[:, :, group].square().sum(), latents)
        assert bool(gradient[:, :, 1 - group].any()) is (kind != "none")


@pytest.mark.parametrize("arguments", VARIANTS)
def test_rollouts_with_and_without_the_cache_are_equal(arguments):
    """Much longer than a training window, in float64, because differences grow."""
    model = make(**arguments).eval().double()
    seed = latents_of(model.seed_frames).double()
    cached = model.unroll(seed, 60, REYNOLDS.double())
    assert cached.shape == (2, 60, 2, L)
    uncached = model.unroll(seed, 60, REYNOLDS.double(), cached=False)
    torch.testing.assert_close(cached, uncached, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("conditioning", ["adaln", "added"])
def test_predictions_depend_on_the_parameters_if_there_are_any(conditioning):
    model = make(conditioning=conditioning)
    latents = latents_of()
    difference = model(latents, REYNOLDS) - model(latents, REYNOLDS.flip(0))
    assert difference.abs().amin(dim=(1, 2, 3)).min() > 0
    no_parameters = FieldSpec(SPEC.fields, SPEC.groups, 24, grid=(4, 6))
    without = make(no_parameters, conditioning=conditioning)
    assert without(latents, torch.zeros(2, 0)).shape == latents.shape
    assert not [name for name, _ in without.named_parameters() if "condition" in name]


def test_training_does_not_change_the_autoencoder():
    model = make().train()
    assert not model.autoencoder.training
    assert all(not parameter.requires_grad for parameter in model.autoencoder.parameters())
    before = {name: value.clone() for name, value in model.autoencoder.state_dict().items()}
    optimizer = torch.optim.Adam(trainable_weights(model), lr=1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = model.loss(window_of(), REYNOLDS)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in model.autoencoder.state_dict().items())


def test_the_loss_covers_the_frames_after_the_seed():
    latents = latents_of()
    for frames in (1, 3):
        model = make(seed_frames=frames)
        predictions, expected = model(latents, REYNOLDS), []
        for step in range(frames, 6):
            expected.append((predictions[:, step - 1] - latents[:, step]).square().mean())
        torch.testing.assert_close(model.step_loss(latents, REYNOLDS), torch.stack(expected).mean())
    with pytest.raises(ValueError, match=r"a window of 3 frames is too short for model\.seed_frames=3"):
        model.step_loss(latents[:, :3], REYNOLDS)


def test_noise_is_added_in_training_only_and_follows_the_generator():
    latents, plain, noisy = latents_of(), make(), make(noise=0.1)

    def noisy_loss(seed: int) -> Tensor:
        return noisy.step_loss(latents, REYNOLDS, torch.Generator().manual_seed(seed))

    assert torch.equal(noisy_loss(0), noisy_loss(0))
    assert not torch.equal(noisy_loss(0), noisy_loss(1))
    noise = 0.1 * torch.randn(2, 5, 2, L, generator=torch.Generator().manual_seed(0))
    expected = (noisy(latents[:, :-1] + noise, REYNOLDS) - latents[:, 1:]).square().mean()
    torch.testing.assert_close(noisy_loss(0), expected)
    noisy.eval()
    assert torch.equal(noisy_loss(0), plain.step_loss(latents, REYNOLDS))


@pytest.mark.parametrize("frames", [1, 2])
def test_pushforward_replaces_frames_by_predictions_in_a_row(frames):
    """After n rounds the first n frames are the rollout from the seed; later frames are n predictions in a row."""
    latents = latents_of()
    model = make(seed_frames=frames, pushforward=2)
    pushed = model.push_forward(latents, REYNOLDS)
    assert not pushed.requires_grad
    assert torch.equal(pushed[:, :frames], latents[:, :frames])
    rolled = model.unroll(latents[:, :frames], 2, REYNOLDS)
    torch.testing.assert_close(pushed[:, frames : frames + 2], rolled, rtol=1e-5, atol=1e-5)
    first_round = torch.cat([latents[:, :frames], model(latents, REYNOLDS)[:, frames - 1 : -1]], dim=1)
    for step in range(frames, 6):
        expected = model(first_round[:, :step], REYNOLDS)[:, -1]
        torch.testing.assert_close(pushed[:, step], expected, rtol=1e-5, atol=1e-5)
    whole = make(seed_frames=frames, pushforward=6 - frames)
    rolled = whole.unroll(latents[:, :frames], 6 - frames, REYNOLDS)
    torch.testing.assert_close(whole.push_forward(latents, REYNOLDS)[:, frames:], rolled, rtol=1e-4, atol=1e-4)

    loss = model.step_loss(latents, REYNOLDS)
    predictions = model(model.push_forward(latents[:, :-1], REYNOLDS), REYNOLDS)[:, frames - 1 :]
    torch.testing.assert_close(loss, (predictions - latents[:, frames:]).square().mean())


class Training:
    values = (window_of(70)[0].numpy(), window_of(9)[1].numpy())

    def snapshots(self):
        return iter(self.values)

    def training_parameters(self):
        return REYNOLDS.numpy()


def test_scales_are_those_of_the_training_part():
    model = make()
    model.fit_closed_form(Training())
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


def test_a_rollout_depends_only_on_the_last_seed_frames():
    model = make(seed_frames=2).eval()
    model.fit_closed_form(Training())
    window = window_of(4)
    rollout = model.rollout(window, 3, REYNOLDS)
    assert rollout.shape == (2, 3, 24, 3)
    assert torch.equal(rollout, model.rollout(window[:, 2:], 3, REYNOLDS))
    expected = model.decode(model(model.encode(window[:, 2:]), REYNOLDS)[:, -1:])
    torch.testing.assert_close(rollout[:, :1], expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"model\.seed_frames=2 frames are needed, but there are 1"):
        model.rollout(window[:, :1], 3, REYNOLDS)


def test_feedforward_makes_numbers_of_parameters_of_exchanges_equal():
    counts = {kind: sum(weight.numel() for weight in trainable_weights(make(exchange=kind))) for kind in KINDS}
    spread = counts["pool"] - counts["none"]
    assert spread == 2 * 2 * (2 * 16 + (2 * 16 + 1) * 16)  # a norm and a projection, two groups, two blocks
    wider = make(exchange="none", feedforward=64 + 8)
    assert sum(weight.numel() for weight in trainable_weights(wider)) == counts["none"] + 2 * 2 * 8 * (2 * 16 + 1)


ONE_GROUP = FieldSpec(("u",), ((0,),), 24, grid=(4, 6), parameters=("reynolds", "angle"))


def test_an_exchange_needs_two_groups_and_an_autoencoder_of_the_same_fields():
    assert make(ONE_GROUP, exchange="none")(latents_of()[:, :, :1], REYNOLDS).shape == (2, 6, 1, L)
    with pytest.raises(ValueError, match=r"model\.exchange=sea needs two groups of fields, the data have 1: set model"):
        make(ONE_GROUP)
    other: FieldAutoencoder = make(ONE_GROUP, exchange="none").autoencoder
    with pytest.raises(
        ValueError, match=r"model\.autoencoder was trained on u in groups .* at 24 cells; the data have u, v, p"
    ):
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
def test_values_out_of_range_are_refused(arguments, line):
    with pytest.raises(ValueError, match=line):
        make(**arguments)
