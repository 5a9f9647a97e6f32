import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import entropy

from adlx.errors import UserError
from adlx.metrics.classification import ClassResult
from adlx.metrics.reconstruction import ReconstructionResult, losses, perplexity, psnr, usage


@pytest.fixture
def by_hand():
    """Four images of 1 x 2 codes from a codebook of eight: half are code 0, a quarter code 2, a quarter code 5."""
    originals = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    return ReconstructionResult(
        error=np.array([0.01, 0.02, 0.0, 0.01]),
        baseline_error=np.array([0.1, 0.3, 0.2, 0.2]),
        codes=np.array([[[0, 0]], [[2, 5]], [[0, 2]], [[5, 0]]]),
        codebook=8,
        index=np.array([7, 3, 9, 1]),
        originals=originals,
        reconstructions=originals + np.uint8(1),
    )


def test_scores_by_hand(by_hand):
    table = by_hand.scores()
    assert table["test/mse"] == pytest.approx(0.01)
    assert table["test/psnr"] == pytest.approx(20.0)
    assert table["baseline/mse"] == pytest.approx(0.2)
    assert table["baseline/psnr"] == pytest.approx(10 * math.log10(5))
    assert table["test/skill"] == pytest.approx(0.95)
    # 1/2 ln 2 + 2 (1/4) ln 4 = 3/2 ln 2
    assert table["test/perplexity"] == pytest.approx(2**1.5)
    assert table["test/codes_used"] == 3 / 8
    assert all(type(value) is float for value in table.values())


def test_psnr_is_of_the_mean_error_over_all_pixels():
    rng = np.random.default_rng(0)
    images, decoded = rng.random((2, 5, 3, 8, 8))
    error = ((images - decoded) ** 2).mean(axis=(1, 2, 3))
    blank = np.zeros((0, 3, 8, 8), dtype=np.uint8)
    result = ReconstructionResult(error, error * 2, np.zeros((5, 2, 2), int), 4, np.arange(5), blank, blank)
    wanted = 10 * np.log10(1 / ((images - decoded) ** 2).mean())
    table = result.scores()
    assert table["test/psnr"] == pytest.approx(wanted)
    assert table["test/psnr"] < np.mean([psnr(value) for value in error])
    assert table["test/skill"] == pytest.approx(0.5)


def test_single_precision_errors_are_averaged_in_double(by_hand):
    many = np.full(100_000, 0.1, dtype=np.float32)
    codes = np.zeros((len(many), 1, 1), dtype=np.int16)
    result = replace(by_hand, error=many, baseline_error=many, codes=codes, index=np.arange(len(many)))
    assert result.scores()["test/mse"] == pytest.approx(float(np.float32(0.1)), rel=1e-12)
    assert result.scores()["test/skill"] == 0.0


def test_without_error_there_is_no_psnr_and_every_score_is_finite(by_hand):
    perfect = replace(by_hand, error=np.zeros(4)).scores()
    assert perfect["test/skill"] == 1.0
    assert "test/psnr" not in perfect
    assert psnr(0.0) == math.inf
    still = replace(by_hand, baseline_error=np.zeros(4)).scores()
    assert "baseline/psnr" not in still
    assert still["test/skill"] == pytest.approx(-0.01)
    json.dumps([perfect, still], allow_nan=False)


def test_perplexity_agrees_with_scipy_and_has_its_bounds():
    rng = np.random.default_rng(1)
    codes = np.minimum(rng.geometric(0.05, size=(50, 6, 6)) - 1, 99)
    shares = usage(codes, 128)
    assert shares.shape == (128,)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[3] == (codes == 3).mean()
    assert perplexity(shares) == pytest.approx(np.exp(entropy(np.bincount(codes.ravel()))))
    assert perplexity(usage(np.full((5, 2, 2), 7), 16)) == 1.0
    assert perplexity(usage(np.arange(16).reshape(4, 2, 2), 16)) == pytest.approx(16.0)


def test_losses_average_to_the_score(by_hand):
    np.testing.assert_array_equal(losses(by_hand), [0.01, 0.02, 0.0, 0.01])
    assert losses(by_hand).mean() == pytest.approx(by_hand.scores()["test/mse"])


def test_save_and_load_are_exact_and_unpickled(by_hand, tmp_path):
    path = tmp_path / "run" / "predictions.npz"
    by_hand.save(path)
    loaded = ReconstructionResult.load(path)
    for name in ("error", "baseline_error", "codes", "index", "originals", "reconstructions"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(by_hand, name), strict=True)
    assert loaded.codebook == 8
    assert type(loaded.codebook) is int
    assert loaded.scores() == by_hand.scores()
    assert os.listdir(path.parent) == ["predictions.npz"]


def test_load_names_the_file_it_cannot_read(by_hand, tmp_path):
    with pytest.raises(UserError, match=r"absent\.npz does not exist"):
        ReconstructionResult.load(tmp_path / "absent.npz")
    by_hand.save(tmp_path / "whole.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:300])
    ClassResult(np.eye(2), np.arange(2), np.arange(2), ("a", "b"), 0).save(tmp_path / "classes.npz")
    with np.load(tmp_path / "whole.npz") as file:
        np.savez(tmp_path / "small.npz", **{**file, "codebook": np.array(5)})
    for name in ("cut.npz", "classes.npz", "small.npz"):
        with pytest.raises(UserError, match=f"{name} holds no reconstruction result"):
            ReconstructionResult.load(tmp_path / name)
    with pytest.raises(UserError, match="holds no classification result"):
        ClassResult.load(tmp_path / "whole.npz")


def test_inconsistent_arrays_are_refused(by_hand):
    with pytest.raises(ValueError, match=r"index has shape \(2,\), expected \(4,\)"):
        replace(by_hand, index=np.arange(2))
    with pytest.raises(ValueError, match="codes has shape"):
        replace(by_hand, codes=by_hand.codes[:3])
    with pytest.raises(ValueError, match="reconstructions has shape"):
        replace(by_hand, reconstructions=by_hand.reconstructions[:1])
    for codes in (by_hand.codes - 1, by_hand.codes + 3):
        with pytest.raises(ValueError, match="8 codes that must lie below 8"):
            replace(by_hand, codes=codes)
    with pytest.raises(ValueError, match="float64"):
        replace(by_hand, originals=by_hand.originals / 255)
