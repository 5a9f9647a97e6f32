"""The honest score beside an in-sample one: that of windows which came before, and which the model has not seen.

Shapes: B batch, T context, H horizon, S series.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from adlx.metrics.skill import skill


def unseen_scores(
    forecast: Callable[[Tensor], Tensor], scaler: Any, windows: Iterable[tuple[Tensor, Tensor]] | None
) -> dict[str, float]:
    """`unseen/mase`, `unseen/naive_mase`, `unseen/skill`, and `unseen/windows`, their number.

    Args:
        forecast: from scaled windows (B, T, S) to scaled forecasts (B, H, S).
        scaler: of the series; knows their mean absolute step in the training part.
        windows: scaled pasts (B, T, S) and futures (B, H, S); None: there are none, and so no scores.
    """
    if windows is None:
        return {}
    errors: list[Tensor] = []  # (2, B, S): own and naive
    for past, future in windows:
        truth = scaler.inverse(future)
        rivals = [forecast(past), past[:, -1:].expand_as(future)]
        errors.append(torch.stack([(scaler.inverse(rival) - truth).abs().mean(dim=1) for rival in rivals]))
    joined = torch.cat(errors, dim=1)
    own, naive = (joined.mean(dim=1) / scaler.step_mae.cpu()).mean(dim=1).tolist()
    return {
        "unseen/mase": own,
        "unseen/naive_mase": naive,
        "unseen/skill": skill(own, naive),
        "unseen/windows": joined.shape[1],
    }
