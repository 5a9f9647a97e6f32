"""Splits samples into parts: each class is split by the same shares, and equal samples are in one part."""

import hashlib

import numpy as np

from adlx.data.images.sources.samples import Samples
from adlx.data.splits import PARTS


def split(samples: Samples, shares: tuple[float, float, float], seed: int) -> tuple[dict[str, np.ndarray], int]:
    """Returns the indices of each part, ascending, and the number of samples that were left out.

    Samples with equal bytes are in one part only. If the source has parts, copies of a test sample are removed from
    training and validation, and copies of a validation sample from training, so that the test set does not change. If
    the source has no validation part, one is drawn from the training part.
    """
    copies = np.unique(
        [hashlib.blake2b(value.tobytes(), digest_size=16).digest() for value in np.asarray(samples.values)],
        return_inverse=True,
    )[1]
    parts = samples.parts
    if parts is None or not (parts == 2).any():
        parts = draw_parts(samples.labels, copies, shares, seed)
    elif not (parts == 1).any():
        train = np.flatnonzero(parts == 0)
        rest = shares[0] / (shares[0] + shares[1])
        parts = parts.copy()
        parts[train] = draw_parts(samples.labels[train], copies[train], (rest, 1 - rest, 0.0), seed)
    last = np.full(copies.max() + 1, -1, dtype=parts.dtype)
    np.maximum.at(last, copies, parts)
    kept = parts == last[copies]
    indices = {name: np.flatnonzero(kept & (parts == number)) for number, name in enumerate(PARTS)}
    return indices, int((~kept).sum())


def draw_parts(labels: np.ndarray, copies: np.ndarray, shares: tuple[float, float, float], seed: int) -> np.ndarray:
    """Draws (N,) the part of each sample: every class is split by `shares`.

    Args:
        labels: (N,) class of each sample.
        copies: (N,) equal samples have equal numbers; all are in the part of the first one.
        shares: shares for training, validation and test.
        seed: seed of the draw.
    """
    parts = np.zeros(copies.max(initial=-1) + 1, dtype=np.int8)
    present, first = np.unique(copies, return_index=True)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        group = present[labels[first] == label]
        borders = np.round(np.cumsum(shares) * len(group)).astype(int)
        order = rng.permutation(group)
        parts[order[borders[0] : borders[1]]] = 1
        parts[order[borders[1] :]] = 2
    return parts[copies]
