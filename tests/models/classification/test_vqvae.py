"""The autoencoder: what is nearest, what the decoder sees, what gradients and moving averages do to the codebook."""

import pytest
import torch
from torch import Tensor

from adlx.models.classification.vqvae import VQVAE
from adlx.specs import ImageSpec

GREY, COLOUR = ImageSpec(1, (16, 12)), ImageSpec(3, (8, 8))
CODES, D = 12, 6


def images_of(spec: ImageSpec, count: int = 20, seed: int = 0) -> Tensor:
    return torch.randn(count, spec.channels, *spec.size, generator=torch.Generator().manual_seed(seed))


def make(spec: ImageSpec = GREY, fitted: bool = True, **arguments) -> VQVAE:
    """With a codebook of its own, unless it is to be found in the first batch."""
    torch.manual_seed(0)
    sizes = {"hidden": 8, "blocks": 1, "codes": CODES, "dimension": D, "revive_below": 0.0}
    model = VQVAE(spec, **{**sizes, **arguments})
    if fitted:
        with torch.no_grad():
            cells = vectors(model, images_of(spec, seed=1))
            place(model, cells[torch.randperm(len(cells))[: len(model.codebook)]])
    return model


def place(model: VQVAE, codebook: Tensor) -> None:
    """As k-means would leave it, one vector to each code."""
    inner = model.quantizer._codebook
    inner.embed.copy_(codebook[None])
    inner.embed_avg.copy_(codebook[None])
    inner.cluster_size.fill_(1.0)
    inner.initted.fill_(True)


def vectors(model: VQVAE, images: Tensor) -> Tensor:
    """(B h w, D) what the encoder gives."""
    return model.encoder(images).permute(0, 2, 3, 1).flatten(0, 2)


def nearest(model: VQVAE, images: Tensor) -> Tensor:
    """(B h w) the code of least squared distance, in float64."""
    distance = vectors(model, images).double()[:, None] - model.codebook.double()
    return distance.square().sum(dim=-1).argmin(dim=1)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Sizes


def test_sizes_of_the_study():
    torch.manual_seed(0)
    model = VQVAE(ImageSpec(1, (48, 48)))
    found = model(images_of(ImageSpec(1, (48, 48)), 3))
    assert found.image.shape == (3, 1, 48, 48)
    assert found.codes.shape == (3, 12, 12)
    assert model.codebook.shape == (256, 128)
    residual = (64 * 64 * 9 + 64) + (64 * 64 + 64)
    encoder = (16 * 32 + 32) + (32 * 64 * 16 + 64) + (64 * 64 * 9 + 64) + 2 * residual + (64 * 128 + 128)
    decoder = (128 * 64 * 9 + 64) + 2 * residual + (64 * 32 * 16 + 32) + (32 * 16 + 1)
    assert count(model.encoder) == encoder
    assert count(model.decoder) == decoder
    assert count(model) == encoder + decoder  # the codebook is none of them


@pytest.mark.parametrize(("size", "told"), [((46, 48), "46 x 48"), ((48, 50), "48 x 50"), ((7, 7), "7 x 7")])
def test_sizes_that_cannot_be_halved_twice(size, told):
    with pytest.raises(ValueError, match=f"^model=vqvae halves images twice: {told} pixels are no multiples of 4$"):
        make(ImageSpec(1, size), fitted=False)


# What goes through


@pytest.mark.parametrize("spec", [GREY, COLOUR])
def test_codes_are_the_nearest_vectors(spec):
    model, images = make(spec).eval(), images_of(spec)
    with torch.no_grad():
        codes = model.encode(images)
        assert codes.shape == (20, spec.size[0] // 4, spec.size[1] // 4)
        assert torch.equal(codes.flatten(), nearest(model, images))
        found = model(images)
    assert len(codes.unique()) > CODES // 2
    assert torch.equal(found.codes, codes)
    assert found.penalty == 0  # in training alone


@pytest.mark.parametrize("spec", [GREY, COLOUR])
def test_the_decoder_sees_nothing_but_the_codes(spec):
    model, images = make(spec).eval(), images_of(spec)
    with torch.no_grad():
        found = model(images)
        torch.testing.assert_close(model.decode(model.encode(images)), found.image, rtol=0, atol=1e-6)
        by_hand = model.decoder(
            model.codebook[nearest(model, images)].view(20, *found.codes.shape[1:], D).movedim(3, 1)
        )
    torch.testing.assert_close(found.image, by_hand, rtol=0, atol=1e-6)
    assert found.image.shape == images.shape


def test_eval_changes_nothing():
    model = make(revive_below=5.0).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model(images_of(GREY))
    model.encode(images_of(GREY, seed=3))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


# Training


@pytest.mark.parametrize("commitment", [0.25, 2.0])
def test_the_penalty_holds_the_encoder_to_its_codes(commitment):
    model, images = make(commitment=commitment).train(), images_of(GREY)
    z = vectors(model, images).detach()
    e = model.codebook[nearest(model, images)].clone()
    assert model(images).penalty.item() == pytest.approx(commitment * (z - e).square().mean().item(), rel=1e-5)


def test_gradients_pass_the_codes_as_if_they_were_not_there():
    """That of the encoder's output is that of the decoder's input; the commitment adds its own."""
    model, images = make().train(), images_of(GREY)
    codebook = model.codebook.clone()
    outputs = []
    model.encoder.register_forward_hook(lambda module, args, output: outputs.append(output))
    found = model(images)
    quantized = codebook[found.codes].permute(0, 3, 1, 2).requires_grad_()
    (expected,) = torch.autograd.grad(model.decoder(quantized).square().mean(), quantized)
    (seen,) = torch.autograd.grad(found.image.square().mean(), outputs[0], retain_graph=True)
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-8)
    found.image.square().mean().backward(retain_graph=True)
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())

    model.zero_grad()
    (seen,) = torch.autograd.grad(found.penalty, outputs[0], retain_graph=True)
    found.penalty.backward()
    z = outputs[0].detach()
    expected = 0.25 * 2 * (z - codebook[found.codes].permute(0, 3, 1, 2)) / z.numel()
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-8)
    assert all(parameter.grad is None for parameter in model.decoder.parameters())


def test_the_codebook_follows_by_moving_averages():
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
    gone = (model.codebook - means).norm(dim=1)[used] / (before - means).norm(dim=1)[used]
    torch.testing.assert_close(gone, (0.8 / (0.8 + 0.2 * number))[used], rtol=1e-2, atol=1e-3)


def test_codes_that_nothing_is_near_to_are_put_on_a_vector():
    model, images = make(revive_below=0.9, decay=0.5).train(), images_of(GREY)
    far = model.codebook.clone()
    far[3:] += 100.0
    place(model, far)
    assert nearest(model, images).max() <= 2
    z = vectors(model, images).detach()
    model(images)
    gap = torch.cdist(model.codebook[3:], z).min(dim=1).values
    assert gap.max() < 1e-3  # cdist loses digits between vectors that are far apart
    assert len(model.codebook[3:].unique(dim=0)) == CODES - 3
    assert len(nearest(model, images).unique()) > 6
    kept = make(revive_below=0.0).train()
    place(kept, far)
    kept(images)
    assert kept.codebook[3:].min() > 50


def test_the_codebook_is_found_in_the_first_batch():
    model, images = make(fitted=False).train(), images_of(GREY)
    assert not model.codebook.any()
    z = vectors(model, images).detach()
    found = model(images)
    assert len(found.codes.unique()) > CODES // 2
    within = (z - model.codebook[found.codes.flatten()]).square().mean()
    assert within < 0.7 * (z - z.mean(dim=0)).square().mean()
    assert model.codebook.min() >= z.min()
    assert model.codebook.max() <= z.max()


def test_half_precision_keeps_the_digits_of_the_codebook():
    model, images = make().train(), images_of(GREY)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(images)
    assert found.image.dtype == torch.bfloat16
    assert found.penalty.dtype == model.codebook.dtype == torch.float32
    full = make().train()(images)
    assert (found.codes == full.codes).float().mean() > 0.9
    assert found.penalty.item() == pytest.approx(full.penalty.item(), rel=0.02)
