"""The three parts of a data set."""

from collections.abc import Sequence

import numpy as np

from adlx.errors import UserError

PARTS = ("train", "val", "test")


def check_shares(split: Sequence[float], otherwise: str = "") -> None:
    """Raises UserError where `split` is not a share for each part.

    Args:
        split: of training, validation and test.
        otherwise: what else `data.split` may be, for the message.
    """
    if len(split) != 3 or min(split) <= 0 or not np.isclose(sum(split), 1):
        raise UserError(f"data.split={list(split)}: three positive shares that sum to 1{otherwise}")
