"""The solver against closed forms of its parts, and against the measured frequency of vortex shedding."""

import numpy as np
import pytest
import torch

from adlx.data.fields.sources.lattice_boltzmann import VELOCITIES, CylinderFlow, collide, lattice

C = torch.tensor(VELOCITIES, dtype=torch.float64)


@pytest.fixture(scope="module")
def matrices():
    return lattice(torch.float64)


def product_equilibrium(rho, u, v):
    """rho g(c_x, u) g(c_y, v) with g(0, u) = 2/3 - u^2 and g(+-1, u) = (1/3 + u^2 +- u) / 2; holds all four orders."""
    sides = [torch.stack([(1 / 3 + w * w - w) / 2, 2 / 3 - w * w, (1 / 3 + w * w + w) / 2]) for w in (u, v)]
    return rho * (sides[0][:, None] * sides[1][None]).flatten(0, 1)


def weights():
    return product_equilibrium(torch.ones(1), *torch.zeros(2, 1, dtype=torch.float64))


def random_populations(count: int = 50):
    return torch.rand(9, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.2


def collided(populations, matrices, keep):
    """Returns populations after a collision; both sides include the lattice weights."""
    hermite = matrices[0] @ (populations - weights())
    collide(hermite, keep)
    return matrices[1] @ hermite + weights()


def test_the_matrices_are_inverse(matrices):
    torch.testing.assert_close(matrices[0] @ matrices[1], torch.eye(9, dtype=torch.float64), atol=1e-14, rtol=0)


@pytest.mark.parametrize("keep", [0.0, 0.4, 0.98])
def test_a_collision_conserves_mass_and_momentum(matrices, keep):
    before = random_populations()
    after = collided(before, matrices, keep)
    torch.testing.assert_close(after.sum(0), before.sum(0))
    torch.testing.assert_close(C.T @ after, C.T @ before)


def test_with_keep_0_a_collision_gives_the_equilibrium_in_product_form(matrices):
    before = random_populations()
    rho = before.sum(0)
    u, v = C.T @ before / rho
    torch.testing.assert_close(collided(before, matrices, 0.0), product_equilibrium(rho, u, v))


def test_a_collision_does_not_change_an_equilibrium(matrices):
    u, v = torch.linspace(-0.1, 0.1, 7, dtype=torch.float64), torch.linspace(0.05, -0.08, 7, dtype=torch.float64)
    before = product_equilibrium(torch.linspace(0.9, 1.1, 7, dtype=torch.float64), u, v)
    torch.testing.assert_close(collided(before, matrices, 0.7), before)


def test_a_collision_keeps_a_share_of_the_stress_and_of_the_higher_orders(matrices):
    before, keep = random_populations(), 0.6
    rho = before.sum(0)
    u, v = C.T @ before / rho
    after = collided(before, matrices, keep)

    still = torch.eye(2, dtype=torch.float64)[..., None] / 3
    velocity = torch.stack([u, v])
    rest = rho * (velocity[None] * velocity[:, None] + still)
    n = torch.einsum("ia,ib,in->abn", C, C, before) - rest
    torch.testing.assert_close(torch.einsum("ia,ib,in->abn", C, C, after), rest + keep * n)
    n = {"xx": n[0, 0], "xy": n[0, 1], "yy": n[1, 1]}
    third = (matrices[0][6:] @ (after - weights())).unbind()
    torch.testing.assert_close(third[0], rho * u * u * v + keep * (2 * u * n["xy"] + v * n["xx"]))
    torch.testing.assert_close(third[1], rho * u * v * v + keep * (2 * v * n["xy"] + u * n["yy"]))
    fourth = v * v * n["xx"] + 4 * u * v * n["xy"] + u * u * n["yy"]
    torch.testing.assert_close(third[2], rho * u * u * v * v + keep * fourth)


@pytest.mark.parametrize("tau", [0.53, 0.8])
def test_taylor_green_vortices_decay_with_the_viscosity(matrices, tau):
    side, steps, speed = 32, 300, 0.02
    k, viscosity = 2 * np.pi / side, (tau - 0.5) / 3
    x = (torch.arange(side, dtype=torch.float64) + 0.5) * k
    u, v = speed * torch.cos(x)[None] * torch.sin(x)[:, None], -speed * torch.sin(x)[None] * torch.cos(x)[:, None]
    rho = 1 - 0.75 * speed**2 * (torch.cos(2 * x)[None] + torch.cos(2 * x)[:, None])
    f = product_equilibrium(rho.flatten(), u.flatten(), v.flatten()) - weights()
    energies = []
    for _ in range(steps):
        hermite = matrices[0] @ f
        energies.append((hermite[1:3] ** 2).sum().item())
        collide(hermite, 1 - 1 / tau)
        f = (matrices[1] @ hermite).view(9, side, side)
        f = torch.stack([torch.roll(f[i], (cy, cx), (0, 1)) for i, (cx, cy) in enumerate(VELOCITIES)]).view(9, -1)
    decay = np.log(energies[100] / energies[-1]) / (steps - 101)
    assert decay == pytest.approx(4 * viscosity * k**2, rel=0.01)


def flow(turn, reynolds=(100.0,), rows=48, centres=None, dtype=torch.float64):
    centres = torch.tensor([[40.0, rows / 2]] * len(reynolds) if centres is None else centres)
    return CylinderFlow((rows, 120), 8, centres, torch.tensor(reynolds), torch.tensor(turn), layer=12, dtype=dtype)


def test_a_symmetric_start_stays_symmetric():
    still = flow([0.0])
    forces = still.advance(400)
    u, v, p = still.fields()[0, ..., 1:-1]
    for field, sign in ((u, 1), (v, -1), (p, 1)):
        torch.testing.assert_close(field, sign * field.flip(0), atol=1e-10, rtol=0)
    assert forces[..., 1].abs().max() < 1e-9
    assert 1 < forces[200:, 0, 0].mean() < 3


def test_the_opposite_rotation_gives_the_mirror_image():
    """The cylinder is not in the middle, so that its circle cuts links at many distances."""
    one, other = flow([0.8], centres=[[40.3, 21.3]]), flow([-0.8], centres=[[40.3, 26.7]])
    forces, mirrored = one.advance(400), other.advance(400)
    torch.testing.assert_close(forces[..., 0], mirrored[..., 0])
    torch.testing.assert_close(forces[..., 1], -mirrored[..., 1])
    sign = torch.tensor([1.0, -1, 1], dtype=torch.float64)[:, None, None]
    fields, mirror = one.fields()[0, ..., 1:-1], other.fields()[0, ..., 1:-1].flip(1)
    torch.testing.assert_close(fields, sign * mirror, atol=1e-9, rtol=0)
    assert one.fields()[0, 1, 24, 60:].abs().max() > 0.05


def test_flows_solved_together_equal_flows_solved_alone():
    centres = [[40.3, 21.3], [38.0, 24.0]]
    both = flow([0.8, -0.5], (100.0, 300.0), centres=centres)
    forces = both.advance(100)
    for i, (turn, reynolds) in enumerate(((0.8, 100.0), (-0.5, 300.0))):
        alone = flow([turn], (reynolds,), centres=centres[i : i + 1])
        torch.testing.assert_close(forces[:, i : i + 1], alone.advance(100))
        torch.testing.assert_close(both.fields()[i], alone.fields()[0])


def test_single_precision_is_close_to_double_precision():
    exact, fast = flow([0.8]), flow([0.8], dtype=torch.float32)
    torch.testing.assert_close(fast.advance(200).double(), exact.advance(200), atol=2e-3, rtol=0)
    torch.testing.assert_close(fast.fields().double(), exact.fields(), atol=2e-4, rtol=0)


def test_fields_are_0_inside_the_cylinder_and_the_flow_rate_is_that_of_the_inflow():
    done = flow([0.8], rows=64)
    done.advance(1500)
    u = done.fields()[0, 0]
    assert (done.fields()[0, :, done.inside[0]] == 0).all()
    assert int(done.inside.sum()) == pytest.approx(np.pi * 16, abs=3)
    assert u.mean(0)[14:106].numpy() == pytest.approx(np.ones(92), abs=0.025)


def strouhal(lift: np.ndarray, spacing: float) -> np.ndarray:
    """Frequencies of the lift, one per period, from the times at which it rises through its mean."""
    lift = lift - lift.mean()
    up = np.flatnonzero((lift[:-1] < 0) & (lift[1:] >= 0))
    return 1 / np.diff((up + lift[up] / (lift[up] - lift[up + 1])) * spacing)


def test_vortices_are_shed_at_the_measured_frequency():
    """Re 100 at a blockage of 4.8 %: St = -3.3265 / Re + 0.1816 + 1.6e-4 Re (Williamson, 1989, JFM 206)."""
    diameter, speed = 8, 0.1
    street = CylinderFlow(
        (21 * diameter, 20 * diameter),
        diameter,
        torch.tensor([[8.0 * diameter, 10.5 * diameter]]),
        torch.tensor([100.0]),
        turn=torch.tensor([1.0]),
        layer=2 * diameter,
        speed=speed,
    )
    unit = int(diameter / speed)
    street.advance(30 * unit)
    forces, mass = [], []
    for _ in range(25):
        forces.append(street.advance(unit)[:, 0].numpy())
        mass.append(street.mass().item())
    drag, lift = np.concatenate(forces).T
    frequencies = strouhal(lift, 1 / unit)
    assert len(frequencies) >= 3
    assert frequencies.mean() == pytest.approx(-3.3265 / 100 + 0.1816 + 1.6e-4 * 100, rel=0.03)
    assert np.ptp(frequencies) < 0.01 * frequencies.mean()
    assert mass == pytest.approx(np.ones(25), abs=2e-3)
    assert 0.25 < lift.max() < 0.4 and lift.min() == pytest.approx(-lift.max(), rel=0.1)
    assert 1.3 < drag.mean() < 1.6
