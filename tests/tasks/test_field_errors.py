"""Errors of fields compared with closed forms; cells inside bodies do not count."""

import numpy as np
import pytest
import torch

from adlx.specs import FieldSpec
from adlx.tasks.field_errors import divergence, over_fluid, squared_error, variance_and_power, volume_fraction

ROWS, COLUMNS = 12, 20
CELLS = ROWS * COLUMNS


def spec_of(*names: str, grid: tuple[int, int] | None = (ROWS, COLUMNS)) -> FieldSpec:
    return FieldSpec(names, tuple((index,) for index in range(len(names))), CELLS, grid)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def block(top: int = 4, left: int = 6, high: int = 3, wide: int = 5) -> torch.Tensor:
    """A body (1, cells)."""
    body = torch.zeros(ROWS, COLUMNS, dtype=torch.bool)
    body[top : top + high, left : left + wide] = True
    return body.view(1, -1)


def cell_coordinates(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coordinates (cells, 2) of a grid, row by row."""
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


NOWHERE = torch.zeros(1, CELLS, dtype=torch.bool)
UNIT = cell_coordinates(np.arange(COLUMNS), np.arange(ROWS)).astype(float)


def test_means_are_over_cells_outside_of_bodies():
    values = random(2, 3, CELLS, 2)
    bodies = torch.cat([block(), NOWHERE])
    means = over_fluid(values, bodies)
    torch.testing.assert_close(means[0], values[0][:, ~bodies[0]].mean(dim=1))
    torch.testing.assert_close(means[1], values[1].mean(dim=1))


def test_variance_and_power_are_exact_for_a_large_mean():
    truth = random(1, 4, CELLS, 2) + torch.tensor([1000.0, -3.0])
    body = block()
    variance, power = variance_and_power(truth, body)
    fluid = truth[0][:, ~body[0]].double()
    torch.testing.assert_close(variance[0], fluid.var(dim=1, correction=0), rtol=1e-8, atol=0)
    torch.testing.assert_close(power[0], fluid.square().mean(dim=1), rtol=1e-12, atol=0)
    constant = variance_and_power(torch.full((1, 1, CELLS, 1), 0.1), NOWHERE)[0]
    assert 0 <= constant.item() < 1e-15


def test_predictions_inside_a_body_do_not_change_the_error():
    truth, body = random(1, 4, CELLS, 3), block()
    prediction = truth + 0.5
    torch.testing.assert_close(squared_error(prediction, truth, body), torch.full((1, 4, 3), 0.25).double())
    prediction[:, :, body[0]] = 1e6
    torch.testing.assert_close(squared_error(prediction, truth, body), torch.full((1, 4, 3), 0.25).double())


def swirl(noise: float = 0.0) -> torch.Tensor:
    """u and v (1, 2, cells, 2) that central differences of a random stream function give."""
    stream = random(1, 2, ROWS + 2, COLUMNS + 2)
    u = (stream[..., 2:, 1:-1] - stream[..., :-2, 1:-1]) / 2
    v = -(stream[..., 1:-1, 2:] - stream[..., 1:-1, :-2]) / 2
    fields = torch.stack([u, v], dim=-1).flatten(2, 3)
    return fields + noise * random(*fields.shape, seed=1)


def test_a_solenoidal_field_has_no_divergence():
    actual = divergence(swirl(), NOWHERE, spec_of("u", "v"), UNIT)
    assert actual is not None
    assert actual.shape == (1, 2)
    assert actual.max() < 1e-6 < swirl().abs().max()


def test_the_divergence_of_a_known_field_is_exact():
    y, x = torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing="ij")
    u, v, p = 0.3 * x + 7 * y, 0.2 * y - 5 * x, 100.0 * x * y
    fields = torch.stack([p, u, v], dim=-1).float().view(1, 1, CELLS, 3)
    actual = divergence(fields, NOWHERE, spec_of("p", "u", "v"), UNIT)
    torch.testing.assert_close(actual, torch.tensor([[0.5]]), rtol=1e-4, atol=0)
    parabola = torch.stack([0.5 * x**2, 0 * y], -1).float().view(1, 1, CELLS, 2)
    bent = divergence(parabola, NOWHERE, spec_of("u", "v"), UNIT)
    expected = x[0, 1:-1].double().square().mean().sqrt()  # du/dx = x
    torch.testing.assert_close(bent, expected.float().view(1, 1))


@pytest.mark.parametrize("kind", ["even", "wide", "uneven", "downwards"])
def test_the_divergence_uses_the_spacing_of_the_grid(kind):
    """u = x^2, v = -2 x y has no divergence with any spacing; u = x^2, v = 3 y has the divergence 2 x + 3."""
    x, y = (
        0.1 * np.arange(COLUMNS),
        {"even": 0.1, "wide": 0.7, "uneven": 0.1, "downwards": -0.3}[kind] * np.arange(ROWS),
    )
    if kind == "uneven":
        x, y = 2 * x + 0.5 * x**2, 5 + y + y**2
    at = cell_coordinates(x, y)
    right, up = torch.from_numpy(at).T
    still = torch.stack([right**2, -2 * right * up], dim=-1).view(1, 1, CELLS, 2)
    assert still.abs().max() > 1
    torch.testing.assert_close(
        divergence(still, NOWHERE, spec_of("u", "v"), at), torch.zeros(1, 1).double(), rtol=0, atol=1e-10
    )
    spread = torch.stack([right**2, 3 * up], dim=-1).view(1, 1, CELLS, 2)
    expected = (2 * x[1:-1] + 3) ** 2
    actual = divergence(spread, NOWHERE, spec_of("u", "v"), at)
    assert actual is not None
    assert actual.item() == pytest.approx(np.sqrt(expected.mean()), rel=1e-10)


def test_cells_next_to_a_body_are_not_in_the_divergence():
    fields, body = swirl(), block()
    inside = body.view(ROWS, COLUMNS).clone()
    broken = fields.clone()
    broken[:, :, body[0]] = 50.0
    spec = spec_of("u", "v")
    torch.testing.assert_close(divergence(broken, body, spec, UNIT), torch.zeros(1, 2), rtol=0, atol=1e-6)
    noisy = swirl(noise=0.1)
    u, v = noisy.view(2, ROWS, COLUMNS, 2).unbind(-1)
    by_hand = []
    for row in range(1, ROWS - 1):
        for column in range(1, COLUMNS - 1):
            if not inside[row - 1 : row + 2, column - 1 : column + 2].any():
                along = u[:, row, column + 1] - u[:, row, column - 1]
                across = v[:, row + 1, column] - v[:, row - 1, column]
                by_hand.append((along + across) / 2)
    assert len(by_hand) == (ROWS - 2) * (COLUMNS - 2) - 5 * 7
    torch.testing.assert_close(divergence(noisy, body, spec, UNIT)[0], torch.stack(by_hand).square().mean(dim=0).sqrt())


def test_each_trajectory_has_its_own_body():
    fields, bodies = swirl(noise=0.1).repeat(2, 1, 1, 1), torch.cat([block(), NOWHERE])
    spec = spec_of("u", "v")
    both = divergence(fields, bodies, spec, UNIT)
    for index in range(2):
        torch.testing.assert_close(both[index], divergence(fields[:1], bodies[index : index + 1], spec, UNIT)[0])


@pytest.mark.parametrize("spec", [spec_of("u", "w"), spec_of("u", "v", grid=None), spec_of("u")])
def test_without_a_grid_or_two_velocities_there_is_no_divergence(spec):
    assert divergence(random(1, 2, CELLS, len(spec.fields)), NOWHERE, spec, UNIT) is None


@pytest.mark.parametrize("grid", [(2, CELLS // 2), (1, CELLS)])
def test_a_grid_too_narrow_for_central_differences_has_no_divergence(grid):
    assert divergence(random(1, 2, CELLS, 2), NOWHERE, spec_of("u", "v", grid=grid), UNIT) is None


def test_the_divergence_of_an_expanded_frame_is_that_of_the_frame():
    frame = swirl()[:, :1]
    torch.testing.assert_close(
        divergence(frame.expand(-1, 5, -1, -1), NOWHERE, spec_of("u", "v"), UNIT), torch.zeros(1, 5), rtol=0, atol=1e-6
    )


def test_the_volume_fraction_is_the_mean_of_alpha_over_fluid():
    fields, body = random(1, 3, CELLS, 2), block()
    actual = volume_fraction(fields, body, spec_of("p", "alpha"))
    torch.testing.assert_close(actual, fields[..., 1][:, :, ~body[0]].double().mean(dim=2))
    assert volume_fraction(fields, body, spec_of("p", "u")) is None
