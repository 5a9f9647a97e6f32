"""The autoencoder: nearest codes, input of the decoder, gradients, and moving averages of the codebook."""

import pytest
import torch
from torch import Tensor

from adlx.models.classification.vqvae import VQVAE
from adlx.specs import ImageSpec

GREY, COLOUR = ImageSpec(1, (16, 12)), ImageSpec(3, (8, 8))
CODES, D = 12, 6


def images_of(spec: ImageSpec, count: int = 20, seed: int = 0) -> Tensor:
    return torch.randn(count, spec.channels, *spec.size, generator=torch.Generator().manual_seed(seed))


def make(spec: ImageSpec = GREY, random_codebook: bool = True, **arguments) -> VQVAE:
    """`random_codebook` initialises the codebook; otherwise the first batch does."""
    torch.manual_seed(0)
    sizes = {"hidden": 8, "blocks": 1, "codes": CODES, "dimension": D, "revive_below": 0.0}
    model = VQVAE(spec, **{**sizes, **arguments})
    if random_codebook:
        with torch.no_grad():
            cells = vectors(model, images_of(spec, seed=1))
            set_codebook(model, cells[torch.randperm(len(cells))[: len(model.codebook)]])
    return model


def set_codebook(model: VQVAE, codebook: Tensor) -> None:
    """Sets the state to the result of k-means with one vector for each code."""
    inner = model.quantizer._codebook
    inner.embed.copy_(codebook[None])
    inner.embed_avg.copy_(codebook[None])
    inner.cluster_size.fill_(1.0)
    inner.initted.fill_(True)


def vectors(model: VQVAE, images: Tensor) -> Tensor:
    """Vectors (B h w, D) of the encoder."""
    return model.encoder(images).permute(0, 2, 3, 1).flatten(0, 2)


def nearest(model: VQVAE, images: Tensor) -> Tensor:
    """The code with the smallest squared distance for each vector, (B h w), in float64."""
    distance = vectors(model, images).double()[:, None] - model.codebook.double()
    return distance.square().sum(dim=-1).argmin(dim=1)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Sizes


def test_shapes_and_number_of_parameters_of_the_study():
    torch.manual_seed(0)
    model = VQVAE(ImageSpec(1, (48, 48)))
    output = model(images_of(ImageSpec(1, (48, 48)), 3))
    assert output.image.shape == (3, 1, 48, 48)
    assert output.codes.shape == (3, 12, 12)
    assert model.codebook.shape == (256, 128)
    residual = (64 * 64 * 9 + 64) + (64 * 64 + 64)
    encoder = (16 * 32 + 32) + (32 * 64 * 16 + 64) + (64 * 64 * 9 + 64) + 2 * residual + (64 * 128 + 128)
    decoder = (128 * 64 * 9 + 64) + 2 * residual + (64 * 32 * 16 + 32) + (32 * 16 + 1)
    assert count(model.encoder) == encoder
    assert count(model.decoder) == decoder
    assert count(model) == encoder + decoder  # the codebook is not a parameter


@pytest.mark.parametrize(("size", "words"), [((46, 48), "46 x 48"), ((48, 50), "48 x 50"), ((7, 7), "7 x 7")])
def test_sizes_that_cannot_be_halved_twice_are_refused(size, words):
    with pytest.raises(ValueError, match=f"^model=vqvae halves images twice: {words} pixels are not multiples of 4$"):
        make(ImageSpec(1, size), random_codebook=False)


# Codes and reconstructions


@pytest.mark.parametrize("spec", [GREY, COLOUR])
def test_codes_are_the_nearest_vectors(spec):
    model, images = make(spec).eval(), images_of(spec)
    with torch.no_grad():
        codes = model.encode(images)
        assert codes.shape == (20, spec.size[0] // 4, spec.size[1] // 4)
        assert torch.equal(codes.flatten(), nearest(model, images))
        output = model(images)
    assert len(codes.unique()) > CODES // 2
    assert torch.equal(output.codes, codes)
    assert output.penalty == 0  # only in training


@pytest.mark.parametrize("spec", [GREY, COLOUR])
def test_the_reconstruction_depends_only_on_the_codes(spec):
    model, images = make(spec).eval(), images_of(spec)
    with torch.no_grad():
        output = model(images)
        torch.testing.assert_close(model.decode(model.encode(images)), output.image, rtol=0, atol=1e-6)
        expected = model.decoder(
            model.codebook[nearest(model, images)].view(20, *output.codes.shape[1:], D).movedim(3, 1)
        )
    torch.testing.assert_close(output.image, expected, rtol=0, atol=1e-6)
    assert output.image.shape == images.shape


def test_evaluation_does_not_change_the_state():
    model = make(revive_below=5.0).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model(images_of(GREY))
    model.encode(images_of(GREY, seed=3))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


# Training


@pytest.mark.parametrize("commitment", [0.25, 2.0])
def test_the_penalty_is_the_commitment_loss(commitment):
    model, images = make(commitment=commitment).train(), images_of(GREY)
    z = vectors(model, images).detach()
    e = model.codebook[nearest(model, images)].clone()
    assert model(images).penalty.item() == pytest.approx(commitment * (z - e).square().mean().item(), rel=1e-5)


def test_gradients_are_straight_through_estimates():
    """The gradient of the encoder's output is that of the decoder's input; the commitment loss has its own."""
    model, images = make().train(), images_of(GREY)
    codebook = model.codebook.clone()
    outputs = []
    model.encoder.register_forward_hook(lambda module, args, output: outputs.append(output))
    output = model(images)
    quantized = codebook[output.codes].permute(0, 3, 1, 2).requires_grad_()
    (expected,) = torch.autograd.grad(model.decoder(quantized).square().mean(), quantized)
    (gradient,) = torch.autograd.grad(output.image.square().mean(), outputs[0], retain_graph=True)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-8)
    output.image.square().mean().backward(retain_graph=True)
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())

    model.zero_grad()
    (gradient,) = torch.autograd.grad(output.penalty, outputs[0], retain_graph=True)
    output.penalty.backward()
    z = outputs[0].detach()
    expected = 0.25 * 2 * (z - codebook[output.codes].permute(0, 3, 1, 2)) / z.numel()
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-8)
    assert all(parameter.grad is None for parameter in model.decoder.parameters())


def test_the_codebook_is_a_moving_average_of_its_vectors():
    """Appendix A.1: N and m of each code decay, and e = m / N."""
    model, images = make(decay=0.8).train(), images_of(GREY)
    before, z, codes = model.codebook.clone(), vectors(model, images).detach(), nearest(model, images)
    model(images)
    number = torch.bincount(codes, minlength=CODES).float()
    total = torch.zeros(CODES, D).index_add_(0, codes, z)
    expected = (0.8 * before + 0.2 * total) / (0.8 + 0.2 * number)[:, None]
    torch.testing.assert_close(model.codebook, expected, rtol=1e-3, atol=1e-5)
    means = total / number.clamp(min=1)[:, None]
    used = number > 0
    remaining = (model.codebook - means).norm(dim=1)[used] / (before - means).norm(dim=1)[used]
    torch.testing.assert_close(remaining, (0.8 / (0.8 + 0.2 * number))[used], rtol=1e-2, atol=1e-3)


def test_unused_codes_are_replaced_by_vectors():
    model, images = make(revive_below=0.9, decay=0.5).train(), images_of(GREY)
    far = model.codebook.clone()
    far[3:] += 100.0
    set_codebook(model, far)
    assert nearest(model, images).max() <= 2
    z = vectors(model, images).detach()
    model(images)
    gap = torch.cdist(model.codebook[3:], z).min(dim=1).values
    assert gap.max() < 1e-3  # cdist is inexact between distant vectors
    assert len(model.codebook[3:].unique(dim=0)) == CODES - 3
    assert len(nearest(model, images).unique()) > 6
    kept = make(revive_below=0.0).train()
    set_codebook(kept, far)
    kept(images)
    assert kept.codebook[3:].min() > 50


def test_the_first_batch_initialises_the_codebook():
    model, images = make(random_codebook=False).train(), images_of(GREY)
    assert not model.codebook.any()
    z = vectors(model, images).detach()
    output = model(images)
    assert len(output.codes.unique()) > CODES // 2
    within = (z - model.codebook[output.codes.flatten()]).square().mean()
    assert within < 0.7 * (z - z.mean(dim=0)).square().mean()
    assert model.codebook.min() >= z.min()
    assert model.codebook.max() <= z.max()


def test_the_codebook_stays_in_float32_under_autocast():
    model, images = make().train(), images_of(GREY)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(images)
    assert output.image.dtype == torch.bfloat16
    assert output.penalty.dtype == model.codebook.dtype == torch.float32
    full = make().train()(images)
    assert (output.codes == full.codes).float().mean() > 0.9
    assert output.penalty.item() == pytest.approx(full.penalty.item(), rel=0.02)
