"""The autoencoder of fields: which cells, patches and groups depend on which, and what its loss counts."""

import pytest
import torch
from torch import Tensor

from adlx.models.fields.sea_autoencoder import SEAAutoencoder
from adlx.specs import FieldSpec

SPEC = FieldSpec(("u", "p", "v"), ((0, 2), (1,)), 30, grid=(5, 6))  # a group need not be a run of fields
SMALL = {"patches": (2, 3), "dimension": 4, "width": 16, "blocks": 1, "heads": 2}


def fields_of(count: int = 2, seed: int = 0) -> Tensor:
    fields = torch.randn(count, 30, 3, generator=torch.Generator().manual_seed(seed))
    return fields * torch.tensor([2.0, 30.0, 0.1]) + torch.tensor([1.0, -100.0, 0.0])


def make(spec: FieldSpec = SPEC, **arguments) -> SEAAutoencoder:
    torch.manual_seed(0)
    model = SEAAutoencoder(spec, **{**SMALL, **arguments})
    model.fit_scale(torch.tensor([1.0, -100.0, 0.0]), torch.tensor([2.0, 30.0, 0.1]))
    return model


def reached(model: SEAAutoencoder, which: str, group: int) -> Tensor:
    """(patches, F) how much the latents, or the reconstruction, of `group` change with the fields of each patch."""
    fields = fields_of(1).requires_grad_()
    latents = model.encode(fields)
    out = latents[:, group] if which == "latents" else model.decode(latents)[..., list(SPEC.groups[group])]
    (gradient,) = torch.autograd.grad(out.square().sum(), fields)
    return model.partition.gather(gradient)[0].abs().sum(dim=1)


@pytest.mark.parametrize("decoder_blocks", [0, 1])
@pytest.mark.parametrize("which", ["latents", "reconstruction"])
def test_groups_are_kept_apart_unless_they_are_to_mix(decoder_blocks, which):
    apart, mixed = (make(mix_fields=mix, decoder_blocks=decoder_blocks) for mix in (False, True))
    velocity, pressure = [0, 2], [1]
    assert reached(apart, which, 0)[:, pressure].sum() == 0
    assert reached(apart, which, 1)[:, velocity].sum() == 0
    assert reached(apart, which, 1)[:, pressure].min() > 0
    assert reached(mixed, which, 0).min() > 0
    assert reached(mixed, which, 1).min() > 0
    assert sum(p.numel() for p in apart.parameters()) == sum(p.numel() for p in mixed.parameters())


def test_blocks_are_what_patches_learn_of_one_another_by():
    """Without them the numbers of a patch depend on that patch alone, and so do its cells."""
    model = make(blocks=0)
    fields = fields_of(1)
    changed = fields.clone()
    changed[:, model.partition.cell[4][model.partition.real[4]]] += 1
    before, after = (model.encode(part).view(2, 6, 4) for part in (fields, changed))
    moved = (before - after).abs().sum(dim=(0, 2)) > 0
    assert moved.tolist() == [False, False, False, False, True, False]
    told = (make().encode(fields) - make().encode(changed)).view(2, 6, 4).abs().sum(dim=2)
    assert (told > 0).all()


def test_the_equations():
    """One group after another, in the order of the paper, with cells taken by their place on the grid."""
    model = make(blocks=2, decoder_blocks=1)
    fields = fields_of()
    expected_latents, expected = torch.empty(2, 2, 24), torch.empty(2, 30, 3)
    for number, group in enumerate(SPEC.groups):
        tokens = torch.empty(2, 6, 16)
        for patch in range(6):
            inputs = torch.zeros(2, model.partition.places, len(group))
            for place, cell in enumerate(model.partition.cell[patch].tolist()):
                if model.partition.real[patch, place]:
                    inputs[:, place] = model.standardized(fields)[:, cell, list(group)]
            tokens[:, patch] = model.to_tokens[number](inputs.flatten(1)) + model.positions[patch]
        latents = model.to_latents[number](model.encoder(tokens))
        expected_latents[:, number] = latents.flatten(1)
        tokens = model.decoder(model.from_latents[number](latents) + model.positions)
        cells = model.to_cells[number](tokens).view(2, 6, model.partition.places, len(group))
        for patch in range(6):
            for place, cell in enumerate(model.partition.cell[patch].tolist()):
                if model.partition.real[patch, place]:
                    expected[:, cell, list(group)] = cells[:, patch, place]
    found = model.encode(fields)
    assert model.latents == 24
    torch.testing.assert_close(found, expected_latents, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.decode(found), model.physical(expected), rtol=1e-5, atol=1e-5)
    assert torch.equal(model(fields), model.decode(found))


def test_the_loss_counts_each_fluid_cell_once_in_standardised_units():
    model = make()
    fields = fields_of()
    mask = torch.zeros(2, 30, dtype=torch.bool)
    mask[0, :7], mask[1, 20:] = True, True
    error = (model.standardized(model(fields)) - model.standardized(fields)).square()
    torch.testing.assert_close(model.loss(fields), error.mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.loss(fields, torch.zeros_like(mask)), model.loss(fields))
    torch.testing.assert_close(model.loss(fields, mask), error[~mask].mean(), rtol=1e-4, atol=1e-6)

    model.to_cells.requires_grad_(False)
    for part in model.parameters():
        part.requires_grad_(False)
    wanted = model.standardized(fields)
    inside = model.restore(model.compress(wanted)).detach().requires_grad_()
    model.restore = lambda latents: inside
    model.loss(fields, mask).backward()
    assert (inside.grad[mask] == 0).all()
    assert (inside.grad[~mask] != 0).all()


def test_scales():
    model = make()
    model.fit_scale(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 0.0, 4.0]))
    assert torch.equal(model.std, torch.tensor([2.0, 1.0, 4.0]))  # a constant field
    assert torch.equal(model.standardized(torch.tensor([5.0, 2.0, 3.0])), torch.tensor([2.0, 0.0, 0.0]))
    fields = fields_of()
    torch.testing.assert_close(model.physical(model.standardized(fields)), fields, rtol=1e-6, atol=1e-5)


def test_it_learns_from_everything_and_to_restore():
    torch.manual_seed(0)
    model = make(dimension=8, decoder_blocks=1)
    fields = fields_of(4)
    model.loss(fields).backward()
    for name, parameter in model.named_parameters():
        if not name.endswith("key.bias"):  # a softmax does not see it
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
def test_what_does_not_go_together(arguments, line):
    with pytest.raises(ValueError, match=line):
        make(**arguments)
