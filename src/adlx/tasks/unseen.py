"""The out-of-sample score of an in-sample run, on earlier windows that the model was not trained on.

Shapes: B batch, T context, H horizon, S series.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from adlx.metrics.skill import skill


def unseen_scores(forecast: Callable[[Tensor], Tensor], scaler: Any, windows: Iterable[Any] | None) -> dict[str, float]:
    """Scores `unseen/mase`, `unseen/naive_mase` and `unseen/skill`, and the number of windows, `unseen/windows`.

    Args:
        forecast: maps scaled windows (B, T, S) to scaled forecasts (B, H, S).
        scaler: the scaler of the series; has their mean absolute step in the training part.
        windows: batches of scaled windows; None: there are no earlier windows, and no scores.
    """
    if windows is None:
        return {}
    errors: list[Tensor] = []  # (2, B, S): of the model and of the naive forecast
    for batch in windows:
        target = scaler.inverse(batch.known_future())
        predictions = [forecast(batch.past), batch.past[:, -1:].expand_as(batch.future)]
        errors.append(torch.stack([(scaler.inverse(each) - target).abs().nanmean(dim=1) for each in predictions]))
    joined = torch.cat(errors, dim=1)
    model, naive = (joined.nanmean(dim=1) / scaler.step_mae.cpu()).mean(dim=1).tolist()
    return {
        "unseen/mase": model,
        "unseen/naive_mase": naive,
        "unseen/skill": skill(model, naive),
        "unseen/windows": joined.shape[1],
    }
