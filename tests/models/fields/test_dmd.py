"""Dynamic mode decomposition continues waves exactly; persistence repeats the last frame."""

import math

import pytest
import torch
from torch import Tensor

from adlx.models.fields.dmd import DMD, leading_modes, stabilize
from adlx.models.fields.persistence import Persistence
from adlx.specs import FieldSpec

X, Y = torch.linspace(0, 2 * math.pi, 13)[:-1], torch.linspace(0, 2 * math.pi, 9)[:-1]
SPEC = FieldSpec(("u", "p"), ((0,), (1,)), len(X) * len(Y), grid=(len(Y), len(X)))
NO_PARAMETERS = torch.zeros(1, 0)


class Training:
    def __init__(self, *trajectories: Tensor) -> None:
        self.trajectories = trajectories

    def snapshots(self):
        return iter([part.numpy() for part in self.trajectories])

    def training_parameters(self):
        return torch.zeros(len(self.trajectories), 0).numpy()


def travelling(steps: int, phase: float = 0.0, growth: float = 0.0) -> Tensor:
    """Two waves that move on a mean flow, in fields of very different size."""
    time = torch.arange(steps)[:, None, None]
    first = (X - 0.31 * time + phase).sin() * torch.ones_like(Y)[:, None]
    second = (2 * X + Y[:, None] - 0.17 * time).cos()
    waves = (growth * time).exp() * (first + 0.3 * second)
    return torch.stack([2 + waves, 1000 + 50 * waves.roll(2, dims=2)], dim=-1).flatten(1, 2).float()


def standing(steps: int, start: int = 0) -> Tensor:
    time = torch.arange(start, start + steps)[:, None, None]
    wave = X.sin() * Y.cos()[:, None] * (0.4 * time).cos()
    return torch.stack([wave, 3 * wave], dim=-1).flatten(1, 2).float()


def fitted(*trajectories: Tensor, **arguments) -> DMD:
    model = DMD(SPEC, **arguments)
    model.fit_closed_form(Training(*trajectories))
    return model


def largest_error(rollout: Tensor, truth: Tensor) -> float:
    """In units of the standard deviation of the truth."""
    return ((rollout - truth).abs().amax(dim=(0, 1)) / truth.std(dim=(0, 1))).max().item()


def test_travelling_waves_are_continued():
    model = fitted(travelling(40), travelling(33, phase=1.0), rank=8)
    truth = travelling(140, phase=0.4)  # not a training trajectory
    rollout = model.rollout(truth[None, :1], 100, NO_PARAMETERS)
    assert rollout.shape == (1, 100, SPEC.cells, 2)
    assert largest_error(rollout[0], truth[1:101]) < 1e-4
    assert (model.modes.norm(dim=1) > 0).sum() == 4  # of 8: a sine and a cosine of each wave


def test_standing_waves_need_two_frames():
    """One frame does not show in which direction the wave changes."""
    truth = standing(120, start=7)
    for frames, is_exact in ((1, False), (2, True)):
        model = fitted(standing(50), rank=3, seed_frames=frames)
        rollout = model.rollout(truth[None, 8:10], 100, NO_PARAMETERS)[0]
        assert (largest_error(rollout, truth[10:110]) < 1e-4) is is_exact


def test_growth_continues_unless_the_map_is_stable():
    trajectory = travelling(60, growth=0.02)
    truth = travelling(80, growth=0.02)
    seed = truth[None, :1]
    free = fitted(trajectory, rank=8, stable=False).rollout(seed, 60, NO_PARAMETERS)[0]
    assert largest_error(free, truth[1:61]) < 1e-3
    stable = fitted(trajectory, rank=8).rollout(seed, 2000, NO_PARAMETERS)[0]
    first, last = (part.std(dim=1).max().item() for part in (stable[:50], stable[-50:]))
    assert last == pytest.approx(first, rel=0.05)


def test_the_map_is_the_least_squares_solution():
    """It equals the solution of the normal equations for random data."""
    torch.manual_seed(0)
    trajectories = [torch.randn(30, SPEC.cells, 2), torch.randn(25, SPEC.cells, 2)]
    model = fitted(*trajectories, rank=14, stable=False)  # 4 r modes are kept between parts: all there are
    whole = torch.cat(trajectories).double()
    mean = whole.mean(dim=0)
    std = (whole - mean).square().mean(dim=(0, 1)).sqrt()
    torch.testing.assert_close(model.mean, mean.float())
    torch.testing.assert_close(model.std, std.float())
    _, _, modes = torch.linalg.svd(((whole - mean) / std).flatten(1), full_matrices=False)
    projector = modes[:14].T @ modes[:14]
    torch.testing.assert_close((model.modes.T @ model.modes).double(), projector, rtol=0, atol=1e-3)
    left, right = 0, 0
    for part in trajectories:
        reduced = ((part.double() - mean) / std).flatten(1) @ model.modes.T.double()
        states = torch.cat([torch.ones(len(part), 1), reduced], dim=1)
        left, right = left + states[1:].T @ states[:-1], right + states[:-1].T @ states[:-1]
    torch.testing.assert_close(model.operator[1:].double(), (left @ torch.linalg.inv(right))[1:], rtol=1e-3, atol=1e-4)


def test_modes_from_parts_equal_modes_of_all_snapshots():
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(40, 12)).Q.T
    rows = torch.randn(700, 12) * 2.0 ** -torch.arange(12) @ directions
    one, std = torch.zeros(40, 1), torch.ones(1)
    modes = leading_modes([part[..., None] for part in rows.split(90)], one, std, rank=4)
    expected = torch.linalg.svd(rows.double(), full_matrices=False).Vh[:4]
    torch.testing.assert_close((modes @ expected.T).abs(), torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-6)


def test_stabilize_moves_eigenvalues_onto_the_unit_circle():
    torch.manual_seed(0)
    vectors = torch.randn(4, 4, dtype=torch.float64)
    rotation = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    inner = torch.block_diag(1.3 * rotation, torch.tensor(0.5), torch.tensor(-2.0)).double()
    expected = torch.block_diag(rotation, torch.tensor(0.5), torch.tensor(-1.0)).double()
    inverse = torch.linalg.inv(vectors)
    torch.testing.assert_close(stabilize(vectors @ inner @ inverse), vectors @ expected @ inverse)
    inside = vectors @ expected @ inverse * 0.999
    assert torch.equal(stabilize(inside), inside)
    jordan = torch.tensor([[1.2, 1.0], [0.0, 1.2]], dtype=torch.float64)  # one eigenvector
    torch.testing.assert_close(stabilize(jordan), jordan / 1.2)


def test_the_state_loads_again_and_short_trajectories_are_refused():
    model = fitted(travelling(40), rank=8, seed_frames=2)
    fresh = DMD(SPEC, rank=8, seed_frames=2)
    fresh.load_state_dict(model.state_dict())
    seed = travelling(3)[None]
    assert torch.equal(fresh.rollout(seed, 5, NO_PARAMETERS), model.rollout(seed, 5, NO_PARAMETERS))
    assert not list(model.parameters())
    with pytest.raises(ValueError, match=r"more than model\.seed_frames=2 steps"):
        model.fit_closed_form(Training(travelling(2)))
    with pytest.raises(ValueError, match=r"model\.seed_frames=2 frames are needed, but there are 1"):
        model.rollout(seed[:, :1], 5, NO_PARAMETERS)
    with pytest.raises(ValueError, match=r"model\.rank=0"):
        DMD(SPEC, rank=0)


def test_persistence_repeats_the_last_frame():
    seed = travelling(6).view(2, 3, SPEC.cells, 2)
    rollout = Persistence(SPEC).rollout(seed, 4, torch.zeros(2, 0))
    assert rollout.shape == (2, 4, SPEC.cells, 2)
    assert all(torch.equal(rollout[:, step], seed[:, -1]) for step in range(4))
    with pytest.raises(NotImplementedError, match="Persistence is not trained by gradients"):
        Persistence(SPEC).loss(seed, torch.zeros(2, 0))
