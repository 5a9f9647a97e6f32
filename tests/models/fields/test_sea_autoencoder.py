"""The autoencoder of fields: equations, dependence between patches and groups, loss, scales and training."""

import pytest
import torch
from torch import Tensor

from adlx.models.fields.sea_autoencoder import SEAAutoencoder
from adlx.specs import FieldSpec

SPEC = FieldSpec(("u", "p", "v"), ((0, 2), (1,)), 30, grid=(5, 6))  # fields of a group need not be adjacent
SMALL = {"patches": (2, 3), "dimension": 4, "width": 16, "blocks": 1, "heads": 2}


def fields_of(count: int = 2, seed: int = 0) -> Tensor:
    fields = torch.randn(count, 30, 3, generator=torch.Generator().manual_seed(seed))
    return fields * torch.tensor([2.0, 30.0, 0.1]) + torch.tensor([1.0, -100.0, 0.0])


def make(spec: FieldSpec = SPEC, **arguments) -> SEAAutoencoder:
    torch.manual_seed(0)
    model = SEAAutoencoder(spec, **{**SMALL, **arguments})
    model.fit_scale(torch.tensor([1.0, -100.0, 0.0]), torch.tensor([2.0, 30.0, 0.1]))
    return model


def dependence(model: SEAAutoencoder, which: str, group: int) -> Tensor:
    """How much the latents or the reconstruction of `group` depend on each field of each patch, (patches, F)."""
    fields = fields_of(1).requires_grad_()
    latents = model.encode(fields)
    out = latents[:, group] if which == "latents" else model.decode(latents)[..., list(SPEC.groups[group])]
    (gradient,) = torch.autograd.grad(out.square().sum(), fields)
    return model.partition.gather(gradient)[0].abs().sum(dim=1)


@pytest.mark.parametrize("decoder_blocks", [0, 1])
@pytest.mark.parametrize("which", ["latents", "reconstruction"])
def test_groups_are_independent_without_mix_fields(decoder_blocks, which):
    separate, mixed = (make(mix_fields=mix, decoder_blocks=decoder_blocks) for mix in (False, True))
    velocity, pressure = [0, 2], [1]
    assert dependence(separate, which, 0)[:, pressure].sum() == 0
    assert dependence(separate, which, 1)[:, velocity].sum() == 0
    assert dependence(separate, which, 1)[:, pressure].min() > 0
    assert dependence(mixed, which, 0).min() > 0
    assert dependence(mixed, which, 1).min() > 0
    assert sum(p.numel() for p in separate.parameters()) == sum(p.numel() for p in mixed.parameters())


def test_patches_are_independent_without_blocks():
    """Without blocks the latents of a patch depend only on that patch; with blocks on all patches."""
    model = make(blocks=0)
    fields = fields_of(1)
    changed = fields.clone()
    changed[:, model.partition.cell[4][model.partition.is_cell[4]]] += 1
    before, after = (model.encode(part).view(2, 6, 4) for part in (fields, changed))
    has_changed = (before - after).abs().sum(dim=(0, 2)) > 0
    assert has_changed.tolist() == [False, False, False, False, True, False]
    change = (make().encode(fields) - make().encode(changed)).view(2, 6, 4).abs().sum(dim=2)
    assert (change > 0).all()


def test_forward_equals_the_equations():
    """Computed group by group and cell by cell, in the order of the paper."""
    model = make(blocks=2, decoder_blocks=1)
    fields = fields_of()
    expected_latents, expected = torch.empty(2, 2, 24), torch.empty(2, 30, 3)
    for number, group in enumerate(SPEC.groups):
        tokens = torch.empty(2, 6, 16)
        for patch in range(6):
            inputs = torch.zeros(2, model.partition.slots, len(group))
            for slot, cell in enumerate(model.partition.cell[patch].tolist()):
                if model.partition.is_cell[patch, slot]:
                    inputs[:, slot] = model.standardize(fields)[:, cell, list(group)]
            tokens[:, patch] = model.to_tokens[number](inputs.flatten(1)) + model.positions[patch]
        latents = model.to_latents[number](model.encoder(tokens))
        expected_latents[:, number] = latents.flatten(1)
        tokens = model.decoder(model.from_latents[number](latents) + model.positions)
        cells = model.to_cells[number](tokens).view(2, 6, model.partition.slots, len(group))
        for patch in range(6):
            for slot, cell in enumerate(model.partition.cell[patch].tolist()):
                if model.partition.is_cell[patch, slot]:
                    expected[:, cell, list(group)] = cells[:, patch, slot]
    latents = model.encode(fields)
    assert model.latents == 24
    torch.testing.assert_close(latents, expected_latents, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.decode(latents), model.to_physical(expected), rtol=1e-5, atol=1e-5)
    assert torch.equal(model(fields), model.decode(latents))


def test_the_loss_averages_standardized_errors_over_fluid_cells():
    model = make()
    fields = fields_of()
    mask = torch.zeros(2, 30, dtype=torch.bool)
    mask[0, :7], mask[1, 20:] = True, True
    error = (model.standardize(model(fields)) - model.standardize(fields)).square()
    torch.testing.assert_close(model.loss(fields), error.mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.loss(fields, torch.zeros_like(mask)), model.loss(fields))
    torch.testing.assert_close(model.loss(fields, mask), error[~mask].mean(), rtol=1e-4, atol=1e-6)

    model.to_cells.requires_grad_(False)
    for part in model.parameters():
        part.requires_grad_(False)
    target = model.standardize(fields)
    reconstruction = model.restore(model.compress(target)).detach().requires_grad_()
    model.restore = lambda latents: reconstruction
    model.loss(fields, mask).backward()
    assert (reconstruction.grad[mask] == 0).all()
    assert (reconstruction.grad[~mask] != 0).all()


def test_a_constant_field_has_scale_one_and_to_physical_inverts_standardize():
    model = make()
    model.fit_scale(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 0.0, 4.0]))
    assert torch.equal(model.std, torch.tensor([2.0, 1.0, 4.0]))  # a constant field
    assert torch.equal(model.standardize(torch.tensor([5.0, 2.0, 3.0])), torch.tensor([2.0, 0.0, 0.0]))
    fields = fields_of()
    torch.testing.assert_close(model.to_physical(model.standardize(fields)), fields, rtol=1e-6, atol=1e-5)


def test_every_weight_gets_a_gradient_and_training_reduces_the_loss():
    torch.manual_seed(0)
    model = make(dimension=8, decoder_blocks=1)
    fields = fields_of(4)
    model.loss(fields).backward()
    for name, parameter in model.named_parameters():
        if not name.endswith("key.bias"):  # a softmax does not depend on it
            assert parameter.grad.abs().sum() > 0, name
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    before = model.loss(fields).item()
    for _ in range(200):
        optimizer.zero_grad()
        model.loss(fields).backward()
        optimizer.step()
    assert model.loss(fields).item() < 0.05 * before


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"width": 18}, "model.width=18 must be a multiple of model.heads=2 and of 4"),
        ({"dimension": 0}, "model.dimension=0"),
        ({"patches": (6, 6)}, "exceeds a grid"),
        ({"spec": FieldSpec(("u", "v"), ((0,),), 30, grid=(5, 6))}, "must hold each of the 2 fields once"),
    ],
)
def test_contradictory_arguments_are_refused(arguments, line):
    with pytest.raises(ValueError, match=line):
        make(**arguments)
