"""Scaling by hand, there and back."""

import numpy as np
import pytest
import torch
from user_errors import user_error_of

from adlx.data.series.scaling import SeriesScaler
from adlx.errors import UserError

NAMES = ("cheap", "dear")


@pytest.fixture
def prices() -> np.ndarray:
    """A coin of a hundred thousandth of a dollar beside one of sixty thousand dollars."""
    rng = np.random.default_rng(0)
    return np.array([1.8e-5, 64321.0]) * np.exp(np.cumsum(0.02 * rng.normal(size=(300, 2)), axis=0))


def fitted(kind: str, values: np.ndarray, instance_norm: bool = False) -> SeriesScaler:
    scaler = SeriesScaler(kind, NAMES[: values.shape[1]], instance_norm)
    scaler.fit(values)
    return scaler


def formula(kind: str, x: np.ndarray, train: np.ndarray) -> np.ndarray:
    if kind == "none":
        return x
    if kind == "minmax":
        return (x - train.min(axis=0)) / (train.max(axis=0) - train.min(axis=0))
    if kind == "log":
        x, train = np.log(x), np.log(train)
    return (x - train.mean(axis=0)) / np.sqrt(((train - train.mean(axis=0)) ** 2).mean(axis=0))


@pytest.mark.parametrize("kind", ["standard", "minmax", "log", "none"])
def test_scaling_is_its_formula_and_has_an_inverse(prices, kind):
    train = prices[:200]
    scaler = fitted(kind, train)
    scaled = scaler(prices)
    assert scaled.dtype == torch.float32
    np.testing.assert_allclose(scaled.numpy(), formula(kind, prices, train), rtol=2e-5, atol=2e-5)
    back = scaler.inverse(scaled)
    assert back.dtype == torch.float64
    np.testing.assert_allclose(back.numpy(), prices, rtol=1e-6)


@pytest.mark.parametrize("kind", ["standard", "none"])
def test_read_only_values_are_scaled_without_a_warning(prices, kind):
    """A table of one column is read-only in pandas 3."""
    scaler = fitted(kind, prices)
    expected = scaler(prices)
    prices.flags.writeable = False
    assert torch.equal(scaler(prices), expected)


def test_the_training_part_has_the_stated_range(prices):
    scaled = fitted("minmax", prices)(prices).numpy()
    np.testing.assert_allclose([scaled.min(axis=0), scaled.max(axis=0)], [[0, 0], [1, 1]], atol=1e-5)
    for kind in ("standard", "log"):
        scaled = fitted(kind, prices)(prices).double().numpy()
        np.testing.assert_allclose([scaled.mean(axis=0), scaled.std(axis=0)], [[0, 0], [1, 1]], atol=1e-5)


@pytest.mark.parametrize("kind", ["standard", "minmax", "none"])
def test_size_is_the_absolute_value_in_scaled_units(prices, kind):
    """An error in proportion to it is one in per cent."""
    values = prices * np.array([1.0, -1.0])
    scaler = fitted(kind, values[:200])
    unit = {"standard": values[:200].std(axis=0), "minmax": np.ptp(values[:200], axis=0), "none": 1.0}[kind]
    np.testing.assert_allclose(scaler.size(scaler(values)).numpy(), np.abs(values) / unit, rtol=1e-5)


def test_size_of_a_logarithm_is_one(prices):
    """Differences of logarithms are per cent already."""
    scaler = fitted("log", prices)
    assert torch.equal(scaler.size(scaler(prices)), torch.ones(300, 2))


@pytest.mark.parametrize("kind", ["standard", "minmax", "log", "none"])
def test_statistics_in_original_units(prices, kind):
    """In original units whatever the scaling."""
    scaler = fitted(kind, prices)
    np.testing.assert_allclose(scaler.mean, prices.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scaler.std, prices.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scaler.step_mae, np.abs(prices[1:] - prices[:-1]).mean(axis=0), rtol=1e-6)
    scaled = formula(kind, prices, prices)
    np.testing.assert_allclose(scaler.step, np.abs(scaled[1:] - scaled[:-1]).mean(axis=0), rtol=1e-6)


def test_the_statistics_travel_in_the_state(prices):
    first = fitted("log", prices)
    second = SeriesScaler("log", NAMES, False)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(prices), second(prices))
    assert set(first.state_dict()) == {"shift", "scale", "step", "mean", "std", "step_mae"}


def test_a_constant_series_is_named():
    values = np.c_[np.full(10, 3.0), np.arange(10.0)]
    for kind in ("standard", "minmax", "log", "none"):
        with pytest.raises(UserError, match=r"^series cheap is constant in the training part: leave it out or change"):
            fitted(kind, values + 1)


@pytest.mark.parametrize("kind", ["standard", "minmax", "log", "none"])
def test_values_beyond_float32_are_named(prices, kind):
    prices[17, 1] = 1.7e308
    assert user_error_of(fitted, kind, prices) == (
        "values are too large for float32, divide the series by a constant: dear is 1.7e+308 in row 17 of the data"
    )


@pytest.mark.parametrize("kind", ["standard", "minmax", "log", "none"])
def test_a_series_that_varies_too_little_is_named(prices, kind):
    prices[:, 0] *= 1e-300
    message = user_error_of(fitted, kind, prices)
    assert message.startswith("series cheap varies by only ")
    assert message.endswith("too little for float32: multiply it by a constant, or leave it out")


@pytest.mark.parametrize("value", [0.0, -2.5])
def test_what_has_no_logarithm_is_named(prices, value):
    prices[17, 1] = value
    with pytest.raises(UserError) as caught:
        fitted("log", prices)
    assert str(caught.value) == f"data.scaling=log needs positive values: dear is {value:g} in row 17 of the data"
    fitted("standard", prices)  # no other scaling minds


def test_instance_normalisation_by_hand():
    scaler = SeriesScaler("none", ("a",), instance_norm=True)
    scaler.step.fill_(0.5)
    past = torch.tensor([[[1.0], [3.0], [5.0], [7.0]]])  # deviation sqrt(5)
    shape, last, deviation = scaler.normalize(past)
    assert (last.item(), deviation.item()) == (7.0, pytest.approx(5**0.5, rel=1e-6))
    np.testing.assert_allclose(shape[0, :, 0], np.array([-6, -4, -2, 0]) / 5**0.5, rtol=1e-6)
    torch.testing.assert_close(shape * deviation + last, past, rtol=1e-6, atol=1e-6)


def test_the_last_value_becomes_zero_and_the_shape_is_free_of_level_and_scale():
    scaler = SeriesScaler("none", ("a", "b"), instance_norm=True)
    scaler.step.fill_(1e-3)
    past = torch.randn(4, 20, 2)
    shape, _, deviation = scaler.normalize(past)
    assert torch.equal(shape[:, -1], torch.zeros(4, 2))
    torch.testing.assert_close(shape.std(dim=1, correction=0), torch.ones(4, 2), rtol=1e-5, atol=0)
    again, _, larger = scaler.normalize(8 * past + 32)
    torch.testing.assert_close(again, shape, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(larger, 8 * deviation, rtol=1e-5, atol=0)


def test_a_flat_window_is_divided_by_a_typical_step():
    scaler = fitted("standard", np.c_[np.arange(8.0) % 2, 4 * (np.arange(8.0) % 2)], instance_norm=True)
    np.testing.assert_allclose(scaler.step, [2.0, 2.0], rtol=1e-6)  # steps of 1, over a deviation of 1/2
    flat = torch.full((1, 5, 2), 3.0)
    shape, last, deviation = scaler.normalize(flat)
    assert (shape.tolist(), last.tolist()) == ([[[0.0, 0.0]] * 5], [[[3.0, 3.0]]])
    assert deviation.flatten().tolist() == pytest.approx([2.0, 2.0])
    quiet = flat + torch.linspace(0, 1e-6, 5)[:, None]
    assert scaler.normalize(quiet)[0].abs().max() < 1e-6  # not blown up to a deviation of 1


def test_without_instance_normalisation_windows_stay_as_they_are():
    scaler = SeriesScaler("none", ("a",), instance_norm=False)
    past = torch.randn(3, 5, 1)
    shape, last, deviation = scaler.normalize(past)
    assert shape is past
    assert (last.item(), deviation.item()) == (0.0, 1.0)
