from dataclasses import replace

import numpy as np
import pytest

from adlx.errors import UserError
from adlx.metrics.denoising import DenoisingResult, by_time, noise_errors


@pytest.fixture
def by_hand() -> DenoisingResult:
    samples = np.arange(3 * 1 * 2 * 2, dtype=np.uint8).reshape(3, 1, 2, 2)
    return DenoisingResult(
        noise_error=np.array([0.1, 0.2, 0.3, 0.6]),
        image_error=np.array([0.1, 0.1, 0.2, 2.0]),
        baseline_error=np.array([0.8, 0.7, 0.9, 0.8]),
        time=np.array([0.0, 0.05, 0.95, 1.0]),
        index=np.array([3, 5, 8, 9]),
        samples=samples,
        neighbours=samples[::-1].copy(),
        distance=np.array([0.0, 0.2, 0.3]),
        held_out_distance=np.linspace(0.1, 0.5, 101),
        kid=np.array([[0.3, 0.02], [0.01, 0.003], [4.0, 0.1]]),
    )


def test_scores_by_hand(by_hand):
    assert by_hand.scores() == pytest.approx(
        {
            "test/noise_mae": 0.3,
            "test/image_mae": 0.6,
            "baseline/noise_mae": 0.8,
            "test/skill": 1 - 0.3 / 0.8,
            "test/kid": 0.3,
            "test/kid_deviation": 0.02,
            "baseline/kid_floor": 0.01,
            "baseline/kid_noise": 4.0,
            "test/distance": 0.2,
            "baseline/distance": 0.3,
            "test/copies": 1 / 3,
        }
    )
    assert noise_errors(by_hand).mean() == pytest.approx(by_hand.scores()["test/noise_mae"])


def test_one_percent_of_images_like_the_test_images_count_as_copies_and_all_copies_do(by_hand):
    count = 1000
    rng = np.random.default_rng(0)
    samples = np.zeros((count, 1, 2, 2), dtype=np.uint8)
    held_out, alike = rng.uniform(0.1, 0.5, (2, count))
    result = replace(by_hand, samples=samples, neighbours=samples, distance=alike, held_out_distance=held_out)
    assert 0.002 <= result.scores()["test/copies"] <= 0.025
    assert replace(result, distance=np.zeros(count)).scores()["test/copies"] == 1


def test_errors_by_time(by_hand):
    actual = by_time(by_hand, bins=10)
    assert actual[0] == pytest.approx([0.15, 0.1])
    assert actual[9] == pytest.approx([0.45, 1.1])
    assert np.isnan(actual[1:9]).all()


def test_a_saved_result_is_loaded_unchanged(by_hand, tmp_path):
    by_hand.save(tmp_path / "predictions.npz")
    again = DenoisingResult.load(tmp_path / "predictions.npz")
    for name, value in vars(by_hand).items():
        assert np.array_equal(getattr(again, name), value), name
    np.savez(tmp_path / "other.npz", error=np.ones(3))
    with pytest.raises(UserError, match="holds no denoising result"):
        DenoisingResult.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"time": np.ones(3)}, r"time has shape \(3,\), expected \(4,\) with at least one image"),
        ({"samples": np.ones((3, 2, 2), np.uint8)}, r"samples of shape \(3, 2, 2\) and uint8 are no images"),
        ({"samples": np.ones((3, 1, 2, 2))}, "float64 are no images"),
    ],
)
def test_inconsistent_results_are_refused(change, line, by_hand):
    with pytest.raises(ValueError, match=line):
        replace(by_hand, **change)
