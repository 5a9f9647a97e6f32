"""The kernel inception distance: its formula, and its values for equal and for different sets."""

import numpy as np
import pytest
import torch

from adlx.metrics.kid import kid


def features(count: int, shift: float = 0.0, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)) + shift


def test_kid_is_the_unbiased_estimate():
    """The sets are smaller than a subset, so every subset is the whole set."""
    x, y = features(7), features(7, 0.5, seed=1)
    kernel = [((a.double() @ b.double().T).numpy() / 16 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    within = [(k.sum() - np.trace(k)) / (7 * 6) for k in kernel[:2]]
    mean, deviation = kid(x, y)
    assert mean == pytest.approx(sum(within) - 2 * kernel[2].mean(), rel=1e-12)
    assert deviation == pytest.approx(0, abs=1e-12)


def test_kid_is_near_zero_for_equal_distributions_and_grows_with_their_difference():
    real = features(500)
    same, near, far = (kid(real, features(400, shift, seed=1))[0] for shift in (0.0, 0.2, 1.0))
    assert abs(same) < 0.02
    assert same < near < far
    assert near > 0.05


def test_kid_depends_on_its_own_seed_only():
    real, generated = features(300), features(300, 0.1, seed=1)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = kid(real, generated)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    assert kid(real, generated) == first
    assert kid(real, generated, seed=1) != first
    assert first[1] > 0
