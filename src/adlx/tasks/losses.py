"""Checks whether a loss fits a task, by its values for a few numbers.

A loss of the user's own is always accepted: it may need other shapes, or measure something else.
"""

import math
import warnings

import torch
from torch import Tensor, nn

_NUM_CLASSES = 3


def require_difference(loss: nn.Module) -> None:
    """Raises ValueError unless a loss measures how far predictions are from targets of the same shape.

    Such a loss is smallest, and finite, for predictions that equal their targets.
    """
    target = torch.linspace(-1.5, 1.5, 4 * 3 * 2 * 5).view(4, 3, 2, 5)
    equal, *others = (_value(loss, prediction, target) for prediction in (target, target + 1, target - 1, 4 * target))
    if _is_known(loss) and not all(equal < other for other in others):  # NaN is not smaller
        raise ValueError(
            f"loss: {type(loss).__name__} does not measure the difference between predictions and targets; "
            "use loss=mae, loss=mse or loss=huber"
        )


def require_class_loss(loss: nn.Module) -> None:
    """Raises ValueError unless a loss accepts scores (B, K) and class numbers (B), and is lower for the right class."""
    label = torch.tensor([0, 1, 2, 1])
    scores = torch.nn.functional.one_hot(label, _NUM_CLASSES).float()
    right, wrong = _value(loss, scores, label), _value(loss, -scores, label)
    if _is_known(loss) and not 0 <= right < wrong:
        raise ValueError(f"loss: {type(loss).__name__} cannot train class scores; use loss=cross_entropy")


def require_squared_error(loss: nn.Module, reason: str) -> None:
    """Raises ValueError for any loss but the mean squared error; `reason` starts the message: `X minimizes`."""
    if not isinstance(loss, nn.MSELoss) or loss.reduction != "mean":
        raise ValueError(f"loss: {reason} the mean squared error and needs loss=mse, not {type(loss).__name__}")


def _is_known(loss: nn.Module) -> bool:
    return type(loss).__module__.startswith(("torch.", "adlx."))


def _value(loss: nn.Module, prediction: Tensor, target: Tensor) -> float:
    """The loss as a number; NaN if it cannot be computed, or is not a single number."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns about shapes before it raises
            value = loss(prediction, target)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return math.nan
    return value.item() if isinstance(value, Tensor) and value.dim() == 0 else math.nan
