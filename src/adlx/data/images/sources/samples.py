"""What a source of images or code maps delivers."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Samples:
    """Samples in memory, in the order of their source.

    Args:
        values: (N, channels, height, width) uint8 images, or (N, height, width) code maps of whole numbers.
        labels: (N,) int64 indices into `classes`; -1 where unknown.
        classes: their names.
        source: the word by which users choose it: `fer2013`, `folder`, `simulated`, ...
        detail: what exactly, for titles and `run.json`: a file's name and size, a seed.
        simulated: whether it was made up.
        parts: (N,) int8, 0 train, 1 validation, 2 test, where the source says; None: to be drawn.
        codebook: (codes, dimension) float32, the vectors that codes name; None for images, or where unknown.
        names: what each sample is called, such as its file; None: its number.
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
