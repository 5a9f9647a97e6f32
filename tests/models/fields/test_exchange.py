"""Each exchange equals its equation, in parallel and sequentially, and sees no later step."""

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


def expected_update(layer: Exchange, kind: str, group: int, hidden: list[Tensor]) -> Tensor:
    """The update of `group` by the equations, given the hidden states of all groups."""
    others = [other for other in range(len(hidden)) if other != group]
    if kind == "addition":
        out = torch.zeros_like(hidden[0])
        for other in others:
            out = out + layer.project[other](layer_norm(hidden[other], (D,)))
        return out
    if kind == "pool":
        normed = [layer_norm(part, (D,)) for part in hidden]
        mean, largest = sum(normed) / len(normed), normed[0]
        for part in normed[1:]:
            largest = torch.maximum(largest, part)
        return layer.project[group](torch.cat([mean, largest], dim=-1))
    low = [layer_norm(layer.down[number](part), (4,)) for number, part in enumerate(hidden)]
    total = torch.zeros(2, T, 4, dtype=torch.float64)
    for other in others:
        total = total + layer.pairs[f"{group}_{other}"](low[group], low[other])
    activated = total * 0.5 * (1 + torch.erf(total / math.sqrt(2)))
    return layer.up[group](activated)


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_an_exchange_equals_its_equation(kind, sequential, groups):
    layer, hidden = make(kind, groups, sequential), states(groups)
    states_of_groups, expected = list(hidden), []
    for group in range(groups):
        expected.append(hidden[group] + expected_update(layer, kind, group, states_of_groups))
        if sequential:
            states_of_groups[group] = expected[group]
    for actual, by_equation in zip(layer(hidden), expected, strict=True):
        torch.testing.assert_close(actual, by_equation, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_every_group_depends_on_all_others_and_not_on_later_steps(kind):
    layer, hidden = make(kind), [part.requires_grad_() for part in states()]
    for group, after in enumerate(layer(hidden)):
        gradients = torch.autograd.grad(after[:, 2].square().sum(), hidden, retain_graph=True)
        for other, gradient in enumerate(gradients):
            assert (gradient[:, 3:] == 0).all()
            assert (gradient[:, 2] != 0).any()
            depends_on_past = (gradient[:, :2] != 0).any().item()
            assert depends_on_past is (kind == "sea" and other != group)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_gets_a_gradient(kind, sequential):
    layer = make(kind, sequential=sequential)
    sum(part.square().sum() for part in layer(states())).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in layer.parameters())


def test_number_of_parameters_of_state_exchange():
    """Two projections and a norm for each group, three maps for each ordered pair of different groups."""
    count = sum(weight.numel() for weight in make("sea", groups=3).parameters())
    assert count == 3 * ((D + 1) * 4 + 2 * 4 + (4 + 1) * D) + 6 * 3 * (4 + 1) * 4
    assert count == sum(weight.numel() for weight in make("sea", groups=3, sequential=True).parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_groups_does_not_matter_in_parallel(kind):
    """Groups and weights in another order give the same results in that order; sequential exchanges do not."""
    order = [2, 0, 1]
    hidden = states()
    for sequential in (False, True):
        layer, renamed = make(kind, sequential=sequential), make(kind, sequential=sequential)
        weights = layer.state_dict()
        for name in renamed.state_dict():
            part, number, *rest = name.split(".")
            old = "_".join(str(order[int(index)]) for index in number.split("_"))
            renamed.state_dict()[name].copy_(weights[".".join([part, old, *rest])])
        before, after = layer(hidden), renamed([hidden[index] for index in order])
        is_equal = all(torch.allclose(after[new], before[old], rtol=1e-9) for new, old in enumerate(order))
        assert is_equal is not sequential
