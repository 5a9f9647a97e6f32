"""The test result of a model that compresses images into codes, and its scores.

Shapes: N images, M of them kept for figures, C channels, H x W pixels, h x w codes.
"""

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from adlx.metrics.archive import read_arrays, write_arrays
from adlx.metrics.declaration import Metric
from adlx.metrics.result import Result
from adlx.metrics.skill import skill


def losses(result: "ReconstructionResult") -> np.ndarray:
    """(N,) the loss by which runs are compared; its mean is `test/mse`."""
    return result.error


METRICS = (
    Metric("test/psnr", "PSNR", "up", baseline="baseline/psnr", headline=True, loss=losses),
    Metric("test/perplexity", "perplexity", "up", in_comparison=True),
    Metric("test/skill", "skill", "up", "skill", headline=True, in_table=False, in_comparison=True, loss=losses),
    Metric(
        "test/mse",
        "MSE",
        "down",
        baseline="baseline/mse",
        skill="test/skill",
        zero="the mean image of the training part",
        loss=losses,
    ),
    Metric("test/codes_used", "codes used", "up"),
)


@dataclass(frozen=True)
class ReconstructionResult(Result):
    """Errors and codes of a set of images, and a few of the images for figures.

    Args:
        error: (N,) mean squared error of each image, for pixels from 0 to 1.
        baseline_error: (N,) the same of the mean training image.
        codes: (N, h, w) int from 0, the code of each position.
        codebook: how many codes there are.
        index: (N,) int, positions of the images in the data set.
        originals: (M, C, H, W) uint8, the first M images.
        reconstructions: (M, C, H, W) uint8, of these images.
    """

    error: np.ndarray
    baseline_error: np.ndarray
    codes: np.ndarray
    codebook: int
    index: np.ndarray
    originals: np.ndarray
    reconstructions: np.ndarray

    metrics = METRICS
    same_samples = ("index", "baseline_error")

    def __post_init__(self) -> None:
        images = len(self.error)
        wanted = {
            "error": (images,),
            "baseline_error": (images,),
            "codes": (images, *self.codes.shape[-2:]),
            "index": (images,),
            "reconstructions": self.originals.shape,
        }
        for name, shape in wanted.items():
            if (given := getattr(self, name).shape) != shape:
                raise ValueError(f"{name} has shape {given}, expected {shape}")
        if images == 0 or self.codes.size == 0 or self.codes.min() < 0 or self.codes.max() >= self.codebook:
            raise ValueError(f"{images} images, {self.codes.size} codes that must lie below {self.codebook}")
        kinds = self.originals.dtype, self.reconstructions.dtype
        if self.originals.ndim != 4 or len(self.originals) > images or kinds != (np.uint8, np.uint8):
            raise ValueError(f"originals of shape {self.originals.shape}, of {images} images; dtypes {kinds}")

    def frame(self) -> pd.DataFrame:
        """A row for each image: `index` and mean squared errors; the file holds codes and images."""
        return pd.DataFrame({name: getattr(self, name) for name in ("index", "error", "baseline_error")})

    def save(self, path: str | Path) -> None:
        """Writes an .npz of plain arrays without pickled objects. A write that fails leaves no incomplete file."""
        arrays = {name: np.asarray(getattr(self, name)) for name in _names()}
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a file that `save` wrote.

        Raises:
            UserError: the file is missing or damaged, or holds no reconstruction result.
        """
        with read_arrays(path, "reconstruction") as archive:
            arrays = {name: archive[name] for name in _names()}
            return cls(codebook=int(arrays.pop("codebook")), **arrays)

    def scores(self) -> dict[str, float]:
        """Scores of the reconstructions and of the mean training image, by key.

        - `test/mse`: mean squared error over all pixels, which lie from 0 to 1.
        - `test/psnr`: 10 log10(1 / test/mse) in dB. It is the PSNR of the mean error, not the mean PSNR of the images.
          Left out if there is no error, since it would be infinite.
        - `baseline/mse`, `baseline/psnr`: the same for the mean training image.
        - `test/skill`: 1 - test/mse / baseline/mse: 1 is perfect, 0 is the mean image, negative is worse; see
          `adlx.metrics.skill.skill` for a baseline without error.
        - `test/perplexity`: exp of the entropy of the code frequencies over the test set, see `perplexity`.
        - `test/codes_used`: share of the codebook that occurs in the test set.
        """
        table: dict[str, float] = {}
        for prefix, error in (("test", self.error), ("baseline", self.baseline_error)):
            mse = float(error.mean(dtype=np.float64))
            table[f"{prefix}/mse"] = mse
            if mse > 0:
                table[f"{prefix}/psnr"] = psnr(mse)
        shares = usage(self.codes, self.codebook)
        table["test/perplexity"] = perplexity(shares)
        table["test/codes_used"] = float((shares > 0).mean())
        table["test/skill"] = skill(table["test/mse"], table["baseline/mse"])
        return table


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB for a mean squared error and a peak of 1; infinite without error."""
    return 10 * math.log10(1 / mse) if mse > 0 else math.inf


def usage(codes: np.ndarray, codebook: int) -> np.ndarray:
    """(codebook,) the frequency of each code; the frequencies add up to 1."""
    return np.bincount(codes.ravel(), minlength=codebook) / codes.size


def perplexity(shares: np.ndarray) -> float:
    """exp(-sum p ln p): the number of equally frequent codes with the same entropy, from 1 to the codebook size."""
    used = shares[shares > 0]
    return float(np.exp(-(used * np.log(used)).sum()))


def _names() -> list[str]:
    return [field.name for field in fields(ReconstructionResult)]
