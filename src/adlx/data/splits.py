"""The three parts of a data set, and checks of the numbers that a user gives."""

from collections.abc import Sequence

import numpy as np

from adlx.errors import UserError

PARTS = ("train", "val", "test")


def check_shares(split: Sequence[float], otherwise: str = "") -> None:
    """Checks that `split` holds a share for training, validation and test.

    Args:
        split: the three shares.
        otherwise: end of the message: which other values `data.split` accepts.

    Raises:
        UserError: `split` is anything else.
    """
    shares = list(split) if isinstance(split, Sequence) and not isinstance(split, str) else []
    numbers = [share for share in shares if isinstance(share, int | float)]
    if len(shares) != 3 or len(numbers) != 3 or not min(numbers) > 0 or not np.isclose(sum(numbers), 1):
        raise UserError(f"data.split={shares or split}: give three positive shares that sum to 1{otherwise}")


def check_at_least(minimum: int, **values: int | None) -> None:
    """Checks that each value is None or at least `minimum`; a keyword is the name of the key under `data`.

    Raises:
        UserError: a value is smaller.
    """
    for name, value in values.items():
        if value is not None and value < minimum:
            raise UserError(f"data.{name}={value}: must be at least {minimum}")
