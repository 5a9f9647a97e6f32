"""The test result of a diffusion model, and its scores.

Shapes: N test images, M generated images, C channels, H x W pixels.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from adlx.metrics.archive import read_arrays, write_arrays
from adlx.metrics.declaration import Metric
from adlx.metrics.result import Result
from adlx.metrics.skill import skill
from adlx.metrics.text import format_value


def noise_errors(result: "DenoisingResult") -> np.ndarray:
    """(N,) the loss by which runs are compared; its mean is `test/noise_mae`."""
    return result.noise_error


def image_errors(result: "DenoisingResult") -> np.ndarray:
    """(N,) the error of each denoised image; its mean is `test/image_mae`."""
    return result.image_error


_KID: dict[str, Any] = {"requires_equal": "kid.features"}

METRICS = (
    # KID is a distance between two sets of images, so single images have no loss.
    Metric("test/kid", "KID", "down", baseline="baseline/kid_floor", headline=True, **_KID),
    Metric("test/skill", "skill", "up", "skill", headline=True, in_table=False, in_comparison=True, loss=noise_errors),
    Metric(
        "test/noise_mae",
        "noise MAE",
        "down",
        baseline="baseline/noise_mae",
        skill="test/skill",
        zero="predicting no noise",
        loss=noise_errors,
    ),
    Metric("test/image_mae", "image MAE", "down", loss=image_errors),
    Metric("test/kid_deviation", "deviation of the KID", "down", in_table=False, **_KID),
    Metric("baseline/kid_noise", "KID of noise", None, in_table=False, **_KID),
    Metric("test/distance", "distance to the training images", None, baseline="baseline/distance"),
    Metric("test/copies", "copies", "down"),
)


@dataclass(frozen=True)
class DenoisingResult(Result):
    """Errors of a set of images at random noise levels, and generated images.

    Args:
        noise_error: (N,) mean absolute error of the predicted noise of each image; the noise has deviation 1.
        image_error: (N,) mean absolute error of the denoised image, in units of the deviation of the training part.
        baseline_error: (N,) noise error of the baseline, which predicts that there is no noise.
        time: (N,) diffusion time of each image, from 0 to 1.
        index: (N,) int, positions of the images in the data set.
        samples: (M, C, H, W) uint8, the generated images.
        neighbours: (M, C, H, W) uint8, the training image nearest to each of them.
        distance: (M,) root mean square difference from it, for pixels from 0 to 1.
        held_out_distance: (K,) the same distance of test images from their nearest training images.
        kid: (3, 2) kernel inception distance of test images from generated images, from validation images and from
            noise, each with its deviation over subsets.
    """

    noise_error: np.ndarray
    image_error: np.ndarray
    baseline_error: np.ndarray
    time: np.ndarray
    index: np.ndarray
    samples: np.ndarray
    neighbours: np.ndarray
    distance: np.ndarray
    held_out_distance: np.ndarray
    kid: np.ndarray

    metrics = METRICS
    same_samples = ("index", "time")
    comparison_figures = "adlx.figures.denoising"

    def __post_init__(self) -> None:
        count = len(self.noise_error)
        for field in fields(self)[:5]:
            if (shape := getattr(self, field.name).shape) != (count,) or count == 0:
                raise ValueError(f"{field.name} has shape {shape}, expected {(count,)} with at least one image")
        if self.samples.ndim != 4 or self.samples.dtype != np.uint8:
            raise ValueError(f"samples of shape {self.samples.shape} and {self.samples.dtype} are no images")

    def frame(self) -> pd.DataFrame:
        """A row for each test image: `index`, its diffusion `time` and its errors; the file holds the images."""
        names = ("index", "time", "noise_error", "image_error", "baseline_error")
        return pd.DataFrame({name: getattr(self, name) for name in names})

    def save(self, path: str | Path) -> None:
        """Writes an .npz of plain arrays without pickled objects. A write that fails leaves no incomplete file."""
        write_arrays(path, vars(self))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a file that `save` wrote.

        Raises:
            UserError: the file is missing or damaged, or holds no denoising result.
        """
        with read_arrays(path, "denoising") as archive:
            return cls(**{field.name: archive[field.name] for field in fields(cls)})

    def scores(self) -> dict[str, float]:
        """Scores on the test images, by key.

        - `test/noise_mae`: mean absolute error of the noise; `baseline/noise_mae`, of predicting none, is about
          sqrt(2 / pi) = 0.798.
        - `test/image_mae`: mean absolute error of the denoised images, in units of the deviation of the training part.
        - `test/skill`: 1 - test/noise_mae / baseline/noise_mae: 1 is perfect, 0 is the baseline.
        - `test/kid`: kernel inception distance of generated images from test images, and `test/kid_deviation` over
          subsets. `baseline/kid_floor` is the KID of validation images, about the lowest that a model can reach, and
          `baseline/kid_noise` that of noise.
        - `test/distance`: median distance of a generated image from the nearest training image; `baseline/distance` is
          the same for test images.
        - `test/copies`: share of generated images whose distance is below the 1 % quantile of the test images'
          distances. It is about 0.01 for a model that copies nothing.
        """
        noise, baseline = float(self.noise_error.mean()), float(self.baseline_error.mean())
        return {
            "test/noise_mae": noise,
            "test/image_mae": float(self.image_error.mean()),
            "baseline/noise_mae": baseline,
            "test/skill": skill(noise, baseline),
            "test/kid": float(self.kid[0, 0]),
            "test/kid_deviation": float(self.kid[0, 1]),
            "baseline/kid_floor": float(self.kid[1, 0]),
            "baseline/kid_noise": float(self.kid[2, 0]),
            "test/distance": float(np.median(self.distance)),
            "baseline/distance": float(np.median(self.held_out_distance)),
            "test/copies": float((self.distance < np.quantile(self.held_out_distance, 0.01)).mean()),
        }

    @classmethod
    def remarks(cls, scores: dict[str, float], notes: dict[str, Any]) -> list[str]:
        """The KID next to those of real images and of noise, and the features and images it was computed with."""
        lines = []
        if "test/kid" in scores:
            kid, floor, noise = (
                format_value(scores[key]) for key in ("test/kid", "baseline/kid_floor", "baseline/kid_noise")
            )
            lines.append(f"KID {kid}; for comparison: real images {floor}, noise {noise}")
        if "kid" in notes:
            note = notes["kid"]
            lines.append(
                f"KID from the features of a {note['features']}, with {note['images']:,} images "
                f"of {note['steps']} sampler steps"
            )
        return lines


def by_time(result: DenoisingResult, bins: int = 10) -> np.ndarray:
    """(bins, 2) mean noise and image error in equal spans of diffusion time; NaN for a span without images."""
    position = np.minimum((result.time * bins).astype(int), bins - 1)
    counts = np.bincount(position, minlength=bins)
    sums = [np.bincount(position, weights=error, minlength=bins) for error in (result.noise_error, result.image_error)]
    return np.divide(sums, counts, out=np.full((2, bins), np.nan), where=counts > 0).T
