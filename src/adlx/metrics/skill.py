"""How much better than its baseline a model is: 1 is perfect, 0 the baseline, below 0 is worse."""


def skill(error: float, baseline: float) -> float:
    """1 - error / baseline.

    Where the baseline makes no error at all (a series that stands still in the test part) the ratio has no meaning, yet
    a model that makes one is worse: then the skill is -error. So for forecasts it is 0 for one that stands still too,
    and falls by 1 for each typical training step the forecast is off.
    """
    return float(1 - error / baseline if baseline != 0 else 0.0 - error)


def error_rate_skill(error_rate: float, baseline: float) -> float:
    """1 - error_rate / baseline, of shares of wrong predictions.

    Where the baseline is never wrong (the test part is all of one class) nothing can be gained over it and the ratio
    has no meaning: the skill is 0 then, also for a model that is wrong; its accuracy says how often.
    """
    return float(1 - error_rate / baseline) if baseline > 0 else 0.0
