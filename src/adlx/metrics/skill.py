"""Skill scores: 1 is a perfect model, 0 is as good as the baseline, below 0 is worse."""


def skill(error: float, baseline: float) -> float:
    """1 - error / baseline.

    If the baseline has no error, as for a series that is constant in the test part, the ratio is not defined, but a
    model with an error is still worse. The skill is then -error: 0 for a model without error, and for forecasts 1
    lower for each mean one-step change of the training part by which the forecast is wrong.
    """
    return float(1 - error / baseline if baseline != 0 else 0.0 - error)


def error_rate_skill(error_rate: float, baseline: float) -> float:
    """1 - error_rate / baseline, of shares of wrong predictions.

    If the baseline is never wrong, because the test part has one class only, no model can be better and the ratio is
    not defined. The skill is then 0, even for a model that is wrong; its accuracy shows how often it is wrong.
    """
    return float(1 - error_rate / baseline) if baseline > 0 else 0.0
