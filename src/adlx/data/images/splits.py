"""Which sample is in which part: a draw in which classes keep their shares and equal samples stay together."""

import hashlib

import numpy as np

from adlx.data.images.sources.samples import Samples
from adlx.data.splits import PARTS


def split(samples: Samples, shares: tuple[float, float, float], seed: int) -> tuple[dict[str, np.ndarray], int]:
    """Places of each part, in their order, and how many samples were left out.

    Samples that are equal to the last byte are in one part alone. Where the source says the parts, it is the last of
    test, validation and training that keeps them, so that a test set stays what it is. Without a validation part,
    one is drawn from the training part.
    """
    twins = np.unique(
        [hashlib.blake2b(value.tobytes(), digest_size=16).digest() for value in np.asarray(samples.values)],
        return_inverse=True,
    )[1]
    parts = samples.parts
    if parts is None or not (parts == 2).any():
        parts = draw(samples.labels, twins, shares, seed)
    elif not (parts == 1).any():
        train = np.flatnonzero(parts == 0)
        rest = shares[0] / (shares[0] + shares[1])
        parts = parts.copy()
        parts[train] = draw(samples.labels[train], twins[train], (rest, 1 - rest, 0.0), seed)
    last = np.full(twins.max() + 1, -1, dtype=parts.dtype)
    np.maximum.at(last, twins, parts)
    kept = parts == last[twins]
    indices = {name: np.flatnonzero(kept & (parts == number)) for number, name in enumerate(PARTS)}
    return indices, int((~kept).sum())


def draw(labels: np.ndarray, twins: np.ndarray, shares: tuple[float, float, float], seed: int) -> np.ndarray:
    """(N,) a part for each sample: every class is split by `shares`, and twins go where the first of them goes."""
    parts = np.zeros(twins.max(initial=-1) + 1, dtype=np.int8)
    present, first = np.unique(twins, return_index=True)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        group = present[labels[first] == label]
        borders = np.round(np.cumsum(shares) * len(group)).astype(int)
        order = rng.permutation(group)
        parts[order[borders[0] : borders[1]]] = 1
        parts[order[borders[1] :]] = 2
    return parts[twins]
