"""Is one model better than another, or was it luck?

The first two tests compare losses window by window. Neighbouring windows share target times, so their losses are
correlated: a window overlaps the ceil(horizon / stride) - 1 windows that follow it, which both tests account for.
"""

import math

import numpy as np

from adlx.errors import UserError

SPANS = 8
"""Windows that share no target time, end to end, that a Diebold-Mariano test asks for. With fewer, the variance is so
uncertain that a true null is rejected at 5 % in over 11 % of simulations (16 % with five, 27 % with two)."""


def diebold_mariano(loss_a: np.ndarray, loss_b: np.ndarray, horizon: int, stride: int = 1) -> tuple[float, float]:
    """Two-sided test that two forecasts have the same expected loss; negative statistics favour `a`.

    With d = loss_a - loss_b over N windows, autocovariances g_k and h = ceil(horizon / stride):

        DM = mean(d) / sqrt(V / N),   V = g_0 + 2 sum_{k<h} g_k

    the statistic of Diebold & Mariano 1995, "Comparing predictive accuracy". V may come out at or below 0; then the
    Bartlett weights 1 - k/h, which cannot, stand in. Harvey, Leybourne & Newbold 1997, "Testing the equality of
    prediction mean squared errors", correct it for small samples,

        DM* = DM sqrt((N + 1 - 2h + h(h-1)/N) / N),   compared with Student's t of N - 1 degrees of freedom.

    Args:
        loss_a, loss_b: (N,) losses of the same windows in chronological order.
        horizon: time steps a window forecasts.
        stride: time steps between neighbouring windows.

    Returns:
        The corrected statistic and the p-value. Losses equal in every window give (0, 1). Both are NaN, which means
        that nothing can be tested: there are fewer than 2 windows, or they overlap and are fewer than SPANS * h, or a
        loss is not finite.
    """
    difference = np.asarray(loss_a, dtype=float) - np.asarray(loss_b, dtype=float)
    count, span = len(difference), _span(horizon, stride)
    too_few = count < 2 or (span > 1 and count < SPANS * span)
    if too_few or not np.isfinite(difference).all():
        return math.nan, math.nan
    if not difference.any():
        return 0.0, 1.0
    variance = _long_run_variance(difference, span)
    if variance == 0:  # one forecast is better by the same amount in every window
        return math.copysign(math.inf, difference[0]), 0.0
    correction = (count + 1 - 2 * span + span * (span - 1) / count) / count
    statistic = float(difference.mean() / math.sqrt(variance / count) * math.sqrt(correction))

    from scipy.special import stdtr  # Student's t distribution function, without the weight of scipy.stats

    return statistic, float(2 * stdtr(count - 1, -abs(statistic)))


def block_length(windows: int, horizon: int, stride: int = 1) -> int:
    """Mean block of the stationary bootstrap, in windows.

    At least twice the windows that share a target time: blocks are cut at random, and with blocks as short as the
    overlap too much of it is cut (equal models left the 90 % set in 21 % of simulations, with twice the length in
    17 %). At least N^(1/3), the rate of Politis & White 2004, "Automatic block-length selection for the dependent
    bootstrap", since volatility outlasts the horizon. At most N / 4, so that resamples still differ from each other.
    """
    wanted = max(2 * _span(horizon, stride), math.ceil(windows ** (1 / 3)))
    return max(1, min(wanted, windows // 4))


def confidence_set(losses: dict[str, np.ndarray], *, block: int, seed: int = 0, reps: int = 1000) -> dict[str, float]:
    """p-value of each model in the model confidence set: those at or above a size (say 0.10) may be the best.

    Hansen, Lunde & Nason 2011, "The model confidence set", by the range statistic over a stationary bootstrap. Models
    with equal losses share a p-value. The same seed gives the same p-values.

    Args:
        losses: for each model (N,) losses of the same windows in chronological order.
        block: mean length of the bootstrap's blocks in windows, see `block_length`.
        seed: of the bootstrap.
        reps: number of resamples.

    Returns:
        p-values in the order of `losses`; 1 for a model alone. NaN for all of several models where there are fewer
        than 2 windows, since nothing can be tested.

    Raises:
        UserError: the models were not scored on the same number of windows, or a loss is not finite.
    """
    table = {name: np.asarray(loss, dtype=float) for name, loss in losses.items()}
    _check(table)
    if len(table) < 2:
        return dict.fromkeys(table, 1.0)
    if len(next(iter(table.values()))) < 2:
        return dict.fromkeys(table, math.nan)
    leaders, twins, beaten = _without_ties(table)
    pvalues = dict.fromkeys(leaders, 1.0)
    if len(leaders) > 1:
        from arch.bootstrap import MCS  # 2 s to import

        columns = np.stack([table[name] for name in leaders], axis=1)
        # Where two pairs differ by the very same statistic, arch drops the better of a pair with the worse.
        columns = columns * (1 + 1e-9 * np.random.default_rng(seed).standard_normal(columns.shape))
        test = MCS(columns, size=0.10, reps=reps, block_size=block, method="R", bootstrap="stationary", seed=seed)
        test.compute()  # `size` is asked for but does not enter the p-values
        pvalues = {leaders[int(index)]: float(row["Pvalue"]) for index, row in test.pvalues.iterrows()}  # pyright: ignore
    pvalues |= {name: pvalues[leader] for name, leader in twins.items()} | dict.fromkeys(beaten, 0.0)
    return {name: pvalues[name] for name in table}


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p-value that two classifiers are wrong equally often, from their (N,) 0/1 errors on the same samples.

    The exact test of McNemar 1947, "Note on the sampling error of the difference between correlated proportions or
    percentages": of the samples on which just one of the two is wrong, it is the first with probability 1/2. Where
    there is no such sample, 1.
    """
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    if only_first + only_second == 0:
        return 1.0

    from scipy.stats import binomtest  # 0.6 s to import

    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def _span(horizon: int, stride: int) -> int:
    """Windows in a row that share a target time."""
    return math.ceil(horizon / stride)


def _long_run_variance(values: np.ndarray, span: int) -> float:
    """Variance of sqrt(N) * mean for values correlated up to lag span - 1."""
    centred = values - values.mean()
    count = len(values)
    covariance = np.array([centred[lag:] @ centred[: count - lag] / count for lag in range(span)])
    rectangular = covariance[0] + 2 * covariance[1:].sum()
    if rectangular > 0:
        return float(rectangular)
    bartlett = 1 - np.arange(span) / span
    return float(covariance[0] + 2 * (bartlett * covariance)[1:].sum())


def _check(table: dict[str, np.ndarray]) -> None:
    lengths = {name: len(loss) for name, loss in table.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise UserError(f"models compare only on the same windows, these differ in number ({listed})")
    for name, loss in table.items():
        if not np.isfinite(loss).all():
            raise UserError(f"the losses of {name} are not all finite, so it cannot be compared; leave it out")


def _without_ties(table: dict[str, np.ndarray]) -> tuple[list[str], dict[str, str], list[str]]:
    """Separates models whose difference from another model has no variance, since the test divides by it.

    Returns:
        The models to test; those with the losses of one of them, and which; those worse than one by the same amount
        in every window, which can not be the best.
    """
    leaders: list[str] = []
    twins: dict[str, str] = {}
    beaten: list[str] = []
    for name in sorted(table, key=lambda name: table[name].mean()):
        rounding = 1e-12 * np.abs(table[name]).max()
        for leader in leaders:
            difference = table[name] - table[leader]
            if np.abs(difference).max() <= rounding:
                twins[name] = leader
                break
            if np.ptp(difference) <= rounding:
                beaten.append(name)
                break
        else:
            leaders.append(name)
    return leaders, twins, beaten
