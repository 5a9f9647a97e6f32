"""Samples that a source of images or code maps returns."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Samples:
    """Samples in memory, in the order of their source.

    Args:
        values: (N, channels, height, width) uint8 images, or (N, height, width) code maps of whole numbers.
        labels: (N,) int64 indices into `classes`; -1 where unknown.
        classes: names of the classes.
        source: value of `data.source`: `fer2013`, `folder`, `simulated`, ...
        detail: description for titles and `run.json`, such as the name and size of a file, or a seed.
        simulated: whether the samples are simulated.
        parts: (N,) int8, 0 train, 1 validation, 2 test, if the source has parts; None: they are drawn.
        codebook: (codes, dimension) float32, the vector of each code; None for images, or if unknown.
        names: name of each sample, such as its file; None: samples have numbers only.
    """

    values: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    source: str
    detail: str
    simulated: bool = False
    parts: np.ndarray | None = None
    codebook: np.ndarray | None = None
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def at(self, indices: np.ndarray) -> "Samples":
        """Selects samples by index."""
        return replace(
            self,
            values=self.values[indices],
            labels=self.labels[indices],
            parts=None if self.parts is None else self.parts[indices],
            names=None if self.names is None else tuple(self.names[index] for index in indices),
        )

    def without_labels(self) -> "Samples":
        """Returns the same samples without classes and labels."""
        return replace(self, labels=np.full_like(self.labels, -1), classes=())
