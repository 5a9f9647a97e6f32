"""Handwritten digits: real images that need no download."""

from typing import Any

import numpy as np

from adlx.data.images.labelled import Labelled
from adlx.data.images.sources.digits import DigitSource, load_digits
from adlx.data.images.sources.samples import Samples
from adlx.data.splits import check_at_least
from adlx.errors import UserError
from adlx.specs import ImageSpec


class Digits(Labelled):
    """Arguments in addition to those of `Labelled`:

    Args:
        source: `mnist`, 5,000 images of MNIST; or `sklearn`, 1,797 smaller images of scikit-learn.
        size: height and width in pixels.
        digits: the digits to use; None: all ten.
    """

    def __init__(
        self, source: DigitSource = "mnist", size: int = 16, digits: list[int] | None = None, **samples: Any
    ) -> None:
        super().__init__(**samples)
        check_at_least(1, size=size)
        if digits is not None and (not digits or not set(digits) <= set(range(10)) or len(set(digits)) < len(digits)):
            raise UserError(f"data.digits={digits}: give digits from 0 to 9, each once")
        self.source: DigitSource = source
        self.size, self.digits = size, digits

    def load(self) -> Samples:
        samples = load_digits(self.source, self.size)
        if self.digits is None:
            return samples
        kept = samples.at(np.flatnonzero(np.isin(samples.labels, self.digits)))
        order = sorted(self.digits)
        names = tuple(str(digit) for digit in order)
        labels = np.searchsorted(order, kept.labels)
        detail = f"{len(kept):,} of {samples.detail}: {', '.join(names)}"
        return Samples(kept.values, labels, names, kept.source, detail)

    @property
    def spec(self) -> ImageSpec:
        _, channels, height, width = self.loaded.values.shape
        return ImageSpec(channels, (height, width), self.loaded.classes)
