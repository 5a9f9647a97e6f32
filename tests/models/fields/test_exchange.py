"""What groups tell one another, each exchange against its equation, one after the other or all at once."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from adlx.models.fields.exchange import Addition, Exchange, Pooling, StateExchange

D, T = 8, 5


def make(kind: str, groups: int = 3, sequential: bool = False) -> Exchange:
    torch.manual_seed(0)
    if kind == "sea":
        return StateExchange(groups, sequential, width=D, low=4, heads=2).double()
    return {"addition": Addition, "pool": Pooling}[kind](groups, sequential, D).double()


def states(groups: int = 3) -> list[Tensor]:
    return list(torch.randn(groups, 2, T, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64))


KINDS = ["sea", "addition", "pool"]


def heard(layer: Exchange, kind: str, group: int, seen: list[Tensor]) -> Tensor:
    """What `group` adds, of the hidden states it sees."""
    rest = [other for other in range(len(seen)) if other != group]
    if kind == "addition":
        out = torch.zeros_like(seen[0])
        for other in rest:
            out = out + layer.project[other](layer_norm(seen[other], (D,)))
        return out
    if kind == "pool":
        normed = [layer_norm(part, (D,)) for part in seen]
        mean, largest = sum(normed) / len(normed), normed[0]
        for part in normed[1:]:
            largest = torch.maximum(largest, part)
        return layer.project[group](torch.cat([mean, largest], dim=-1))
    low = [layer_norm(layer.down[number](part), (4,)) for number, part in enumerate(seen)]
    found = torch.zeros(2, T, 4, dtype=torch.float64)
    for other in rest:
        found = found + layer.pairs[f"{group}_{other}"](low[group], low[other])
    activated = found * 0.5 * (1 + torch.erf(found / math.sqrt(2)))
    return layer.up[group](activated)


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_equations(kind, sequential, groups):
    layer, hidden = make(kind, groups, sequential), states(groups)
    seen, expected = list(hidden), []
    for group in range(groups):
        expected.append(hidden[group] + heard(layer, kind, group, seen))
        if sequential:
            seen[group] = expected[group]
    for found, wanted in zip(layer(hidden), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_every_group_hears_all_others_and_never_the_future(kind):
    layer, hidden = make(kind), [part.requires_grad_() for part in states()]
    for group, after in enumerate(layer(hidden)):
        gradients = torch.autograd.grad(after[:, 2].square().sum(), hidden, retain_graph=True)
        for other, gradient in enumerate(gradients):
            assert (gradient[:, 3:] == 0).all()
            assert (gradient[:, 2] != 0).any()
            past = (gradient[:, :2] != 0).any().item()
            assert past is (kind == "sea" and other != group)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_dead(kind, sequential):
    layer = make(kind, sequential=sequential)
    sum(part.square().sum() for part in layer(states())).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in layer.parameters())


def test_sizes():
    """Two projections and a norm a group, three maps for each ordered pair: nothing from a group to itself."""
    count = sum(weight.numel() for weight in make("sea", groups=3).parameters())
    assert count == 3 * ((D + 1) * 4 + 2 * 4 + (4 + 1) * D) + 6 * 3 * (4 + 1) * 4
    assert count == sum(weight.numel() for weight in make("sea", groups=3, sequential=True).parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_renaming_the_groups_changes_nothing_in_parallel(kind):
    """Groups and their weights in another order give the same in that order; one after the other they do not."""
    order = [2, 0, 1]
    hidden = states()
    for sequential in (False, True):
        layer, renamed = make(kind, sequential=sequential), make(kind, sequential=sequential)
        weights = layer.state_dict()
        for name in renamed.state_dict():
            part, number, *rest = name.split(".")
            old = "_".join(str(order[int(place)]) for place in number.split("_"))
            renamed.state_dict()[name].copy_(weights[".".join([part, old, *rest])])
        before, after = layer(hidden), renamed([hidden[place] for place in order])
        same = all(torch.allclose(after[new], before[old], rtol=1e-9) for new, old in enumerate(order))
        assert same is not sequential
