import copy
import math

import numpy as np
import pytest
import torch

from adlx.metrics.quantiles import crps
from adlx.models.forecasting.forecaster import ewma_volatility
from adlx.tasks.quantiles import Pinball, Spread

LEVELS = [0.1, 0.25, 0.5, 0.75, 0.9]
LARGEST = torch.finfo(torch.float32).max


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def ones(*shape):
    return np.ones((1, *shape))


def fit_spread(errors, units, levels=LEVELS) -> Spread:
    spread = Spread(levels, *errors.shape[1:])
    spread.fit(errors, units)
    return spread


def test_pinball_is_the_crps(rng):
    quantiles, target = np.sort(rng.normal(size=(8, 3, 2, 5))), rng.normal(size=(8, 3, 2))
    loss = Pinball(LEVELS).double()(torch.tensor(quantiles), torch.tensor(target))
    assert loss.item() == pytest.approx(crps(quantiles, target, np.array(LEVELS)).mean(), rel=1e-6)


def test_gradient_of_pinball(rng):
    quantiles = torch.tensor(rng.normal(size=(3, 2, 5)), requires_grad=True)
    target = torch.tensor(rng.normal(size=(3, 2)))
    assert torch.autograd.gradcheck(lambda values: Pinball(LEVELS).double()(values, target), quantiles)
    Pinball(LEVELS)(
        quantiles, torch.full((3, 2), 1e3)
    ).backward()  # all quantiles are too low: the gradient is the level
    expected = -2 * torch.tensor(LEVELS, dtype=torch.double) / quantiles.numel()
    torch.testing.assert_close(quantiles.grad, expected.expand(3, 2, 5), rtol=1e-6, atol=0)


def test_pinball_has_its_levels_and_no_state():
    assert Pinball(LEVELS).levels == LEVELS
    assert not Pinball(LEVELS).state_dict()


@pytest.mark.parametrize(
    "levels", [[], [0.5], [0.1, 0.9], [0.9, 0.5, 0.1], [0.5, 0.5], [0.0, 0.5], [0.5, 1.0], [-0.1, 0.5], [math.nan, 0.5]]
)
def test_invalid_levels_raise_an_error(levels):
    with pytest.raises(
        ValueError, match=r"loss.levels=.*must be at least two, increasing, between 0 and 1, and include 0.5"
    ):
        Pinball(levels)


def test_quantiles_are_those_of_the_errors_about_their_median():
    errors = np.array([4.0, -2.0, 0.0, 1.0, -1.0])[:, None, None] * [[1.0, 10.0], [2.0, 20.0]] + 7
    spread = fit_spread(errors, 2 * ones(5, 1, 2))
    # the errors are -2 -1 0 1 4; level 0.1 is interpolated at 0.4 of the way from the first to the second
    offsets = torch.tensor([-1.6, -1.0, 0.0, 1.0, 2.8])
    point = torch.tensor([[[100.0, 0.0], [5.0, -1.0]], [[0.0, 0.0], [1.0, 2.0]]])
    unit = torch.tensor([[2.0, 2.0], [6.0, 1.0]])[None, :, None, :]  # (1, B, 1, S)
    size = torch.tensor([[1.0, 10.0], [2.0, 20.0]])
    expected = point[..., None] + ((unit[0] / 2) * size)[..., None] * offsets
    torch.testing.assert_close(spread(point, unit), expected)
    torch.testing.assert_close(spread(point, unit, torch.zeros(2, 2, 2, 4)), expected)


def test_quantiles_cover_the_errors_that_they_were_fitted_on(rng):
    errors = rng.gamma(2, size=(20_000, 2, 3)) * [1, 10, 100]
    spread = fit_spread(errors, ones(20_000, 1, 3)).double()
    median = torch.tensor(np.median(errors, axis=0))[None]
    quantiles = spread(median, torch.ones(1, 1, 1, 3).double())[0].numpy()
    np.testing.assert_allclose(
        (errors[..., None] <= quantiles).mean(axis=0), np.broadcast_to(LEVELS, (2, 3, 5)), atol=1e-3
    )


@pytest.mark.parametrize("levels", [LEVELS, [0.5, 0.9], [0.1, 0.5], [0.01, 0.02, 0.5, 0.6], [*np.arange(1, 20) / 20]])
@pytest.mark.parametrize("size", [1.0, 1e3, 1e30, LARGEST / 100])
def test_quantiles_never_cross_and_the_point_stays(rng, levels, size):
    spread = fit_spread(rng.normal(size=(50, 3, 2)), ones(50, 1, 2), levels)
    point = torch.tensor(rng.normal(size=(200, 3, 2)), dtype=torch.float32)
    unit = torch.tensor(rng.uniform(1e-6, 2, size=(1, 200, 1, 2)), dtype=torch.float32)
    scores = size * torch.tensor(rng.uniform(-1, 1, size=(200, 3, 2, len(levels) - 1)), dtype=torch.float32)
    quantiles = spread(point, unit, scores)
    assert quantiles.isfinite().all()
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert torch.equal(quantiles[..., levels.index(0.5)], point)


def test_the_largest_scores_make_no_nan(rng):
    spread = fit_spread(rng.normal(size=(50, 1, 1)), ones(50, 1, 1))
    for scores in (LARGEST, -LARGEST):
        quantiles = spread(torch.zeros(1, 1, 1), torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 4), scores))
        assert (quantiles[..., 1:] >= quantiles[..., :-1]).all()  # false for nan


def test_scores_widen_and_narrow_one_gap_each():
    spread = Spread(LEVELS, 1, 1)
    scores = torch.zeros(1, 1, 1, 4, requires_grad=True)
    quantiles = spread(torch.zeros(1, 1, 1), torch.full((1, 1, 1, 1), 3.0), scores)
    torch.testing.assert_close(quantiles.flatten(), 3 * torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]))
    slope = 3 * (1 - 1 / math.e)  # the slope of softplus where its value is 1, times the unit
    for index, expected in enumerate([[-1, -1, 0, 0], [0, -1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]):
        (gradient,) = torch.autograd.grad(quantiles[..., index].sum(), scores, retain_graph=True)
        torch.testing.assert_close(gradient.flatten(), slope * torch.tensor(expected, dtype=torch.float32))


def test_each_series_gets_the_unit_with_the_lowest_crps(rng):
    level = np.exp(rng.normal(size=(4000, 1, 3)))
    noise = rng.normal(size=(4000, 2, 3))
    errors = np.where([False, True, False], level * noise, noise)
    units = np.stack([np.ones_like(level), level])
    spread = fit_spread(errors, units)
    assert spread.kind.tolist() == [0, 1, 0]
    alone = [fit_spread(errors, units[[kind]]).gaps for kind in (0, 1)]
    torch.testing.assert_close(spread.gaps, torch.stack([alone[0][:, 0], alone[1][:, 1], alone[0][:, 2]], dim=1))
    quantiles = spread(torch.zeros(2, 2, 3), torch.tensor([[1.0, 1.0], [5.0, 7.0]])[..., None, None].expand(2, 2, 1, 3))
    widths = quantiles[..., -1] - quantiles[..., 0]
    torch.testing.assert_close(widths[1] / widths[0], torch.tensor([1.0, 7 / 5, 1.0]).expand(2, 3))


def test_the_unit_is_chosen_for_quantiles_around_the_point(rng):
    level = np.exp(rng.normal(size=(500, 1, 40)))
    errors = level ** rng.uniform(0, 1, 40) * (rng.normal(size=(500, 1, 40)) + rng.normal(size=40))  # biased ones too
    units = np.stack([np.ones_like(level), level])
    losses = []
    for unit in units:
        quantiles = fit_spread(errors, unit[None]).double()(
            torch.zeros(errors.shape).double(), torch.tensor(unit[None])
        )
        losses.append(crps(quantiles.numpy(), errors, np.array(LEVELS)).mean(axis=(0, 1)))
    assert fit_spread(errors, units).kind.tolist() == np.argmin(losses, axis=0).tolist()


def test_errors_that_repeat_leave_gaps_that_can_widen(rng):
    errors = np.where(rng.random((1000, 2, 2)) < 0.6, 0.0, rng.normal(size=(1000, 2, 2)))
    spread = fit_spread(errors, ones(1000, 1, 2))
    whole = spread.gaps.sum(dim=-1)
    assert (spread.gaps > 0.9e-3 * whole[..., None]).all()
    np.testing.assert_allclose(whole, np.ptp(np.quantile(errors, [0.1, 0.9], axis=0), axis=0), rtol=5e-3)


def test_errors_of_zero_leave_a_point(rng):
    spread = fit_spread(np.zeros((10, 2, 1)), np.abs(rng.normal(size=(2, 10, 1, 1))))
    quantiles = spread(torch.ones(4, 2, 1), torch.ones(2, 4, 1, 1), torch.full((4, 2, 1, 4), LARGEST))
    assert (quantiles == 1).all()


def test_a_checkpoint_restores_the_quantiles(rng):
    spread = fit_spread(rng.normal(size=(100, 3, 2)) * [1, 5], rng.uniform(0.1, 9, size=(2, 100, 1, 2)))
    arguments = torch.zeros(4, 3, 2), torch.tensor(rng.uniform(size=(2, 4, 1, 2)), dtype=torch.float32)
    fresh = Spread(LEVELS, 3, 2)
    assert not torch.equal(fresh(*arguments), spread(*arguments))
    fresh.load_state_dict(spread.state_dict())
    assert torch.equal(fresh(*arguments), spread(*arguments))
    assert list(spread.state_dict()) == ["gaps", "kind"]


def test_float32_and_float64_give_the_same_quantiles(rng):
    spread = fit_spread(rng.normal(size=(100, 3, 2)), rng.uniform(0.1, 9, size=(2, 100, 1, 2)))
    arguments = (rng.normal(size=(4, 3, 2)), rng.uniform(0.5, 2, size=(2, 4, 1, 2)), rng.normal(size=(4, 3, 2, 4)))
    doubles = [torch.tensor(argument) for argument in arguments]
    exact = copy.deepcopy(spread).double()(*doubles)
    assert exact.dtype == torch.double
    torch.testing.assert_close(spread(*(x.float() for x in doubles)).double(), exact, rtol=1e-5, atol=1e-5)


def calm_and_rough(rng, windows, context=64, horizon=3):
    """Contexts (N, T, 1), and changes (N, H, 1) after them, of a walk with volatility 1, 4, 1 and so on."""
    length = windows + context + horizon
    rough = np.cumsum(rng.random(length) < 0.005) % 2
    walk = np.cumsum((1 + 3 * rough) * rng.normal(size=length))
    spans = np.lib.stride_tricks.sliding_window_view(walk, context + horizon)[:windows, :, None]
    return spans[:, :context], spans[:, context:] - spans[:, context - 1 : context]


def test_a_unit_that_follows_volatility_is_calibrated_and_sharper(rng):
    train, test = calm_and_rough(rng, 40_000), calm_and_rough(rng, 40_000)
    volatility = [ewma_volatility(torch.tensor(past), decay=0.94, power=1).numpy()[None] for past, _ in (train, test)]
    results = {}
    for name, (own, unseen) in {"volatility": volatility, "constant": [np.ones_like(v) for v in volatility]}.items():
        quantiles = fit_spread(train[1], own).double()(torch.zeros(40_000, 3, 1).double(), torch.tensor(unseen)).numpy()
        inside = (quantiles[..., [0, 1]] <= test[1][..., None]) & (test[1][..., None] <= quantiles[..., [4, 3]])
        rough = volatility[1][0, :, 0, 0] > np.quantile(volatility[1], 0.8)
        loss = crps(quantiles, test[1], np.array(LEVELS)).mean()
        results[name] = inside.mean(axis=(0, 1, 2)), inside[rough].mean(axis=(0, 1, 2)), loss
    coverage, when_rough, loss = results["volatility"]
    np.testing.assert_allclose(coverage, [0.8, 0.5], atol=0.02)
    _, constant_when_rough, constant_loss = results["constant"]
    assert abs(when_rough[0] - 0.8) < 0.07 < 0.8 - constant_when_rough[0]
    assert loss < 0.97 * constant_loss
