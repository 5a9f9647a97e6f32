"""Ranges of arguments that classes of PyTorch and Lightning do not check, or check only during training.

Each class below lists arguments by name. Every class in the config group has the range for an argument of this name.
"""

from typing import Any, Literal, get_type_hints

from adlx.ranges import NonNegative, NonNegativeInt, Positive, PositiveInt, Share, ShareAboveZero, ShareBelowOne


class OptimizerRanges:
    lr: NonNegative
    weight_decay: NonNegative
    eps: NonNegative
    betas: tuple[ShareBelowOne, ...]
    momentum: ShareBelowOne
    dampening: Share


class LossRanges:
    delta: Positive
    beta: NonNegative
    label_smoothing: Share
    reduction: Literal["mean", "sum"]  # `none` gives many numbers, and training minimizes a single one


class CallbackRanges:
    patience: NonNegativeInt
    min_delta: NonNegative


class TrainerRanges:
    max_epochs: PositiveInt | None
    min_epochs: NonNegativeInt | None
    max_steps: Literal[-1] | PositiveInt
    min_steps: NonNegativeInt | None
    devices: Literal[-1] | PositiveInt | str | list[NonNegativeInt]
    num_nodes: PositiveInt
    limit_train_batches: PositiveInt | ShareAboveZero | None
    limit_val_batches: NonNegativeInt | Share | None
    limit_test_batches: PositiveInt | ShareAboveZero | None
    limit_predict_batches: PositiveInt | ShareAboveZero | None
    overfit_batches: NonNegativeInt | Share
    val_check_interval: PositiveInt | ShareAboveZero | None
    check_val_every_n_epoch: PositiveInt | None
    num_sanity_val_steps: Literal[-1] | NonNegativeInt | None
    log_every_n_steps: PositiveInt | None
    accumulate_grad_batches: PositiveInt
    gradient_clip_val: NonNegative | None
    reload_dataloaders_every_n_epochs: NonNegativeInt


def annotations(ranges: type) -> dict[str, Any]:
    """The annotation of each name in one of the classes above."""
    return get_type_hints(ranges, include_extras=True)
