"""Significance tests: is one model better than another, or is the difference random?

The first two tests compare the losses of single windows. Neighbouring windows share target times, so their losses are
correlated: a window overlaps the ceil(horizon / stride) - 1 windows that follow it. Both tests account for that.
"""

import math

import numpy as np

from adlx.errors import UserError

SPANS = 8
"""The smallest number of windows without overlap for a Diebold-Mariano test. With fewer, the variance is so uncertain
that a true null hypothesis is rejected at 5 % in over 11 % of simulations (16 % with five, 27 % with two)."""


def diebold_mariano(loss_a: np.ndarray, loss_b: np.ndarray, horizon: int, stride: int = 1) -> tuple[float, float]:
    """Two-sided test that two forecasts have the same expected loss; negative statistics favour `a`.

    With d = loss_a - loss_b over N windows, autocovariances g_k and h = ceil(horizon / stride):

        DM = mean(d) / sqrt(V / N),   V = g_0 + 2 sum_{k<h} g_k

    is the statistic of Diebold & Mariano 1995, "Comparing predictive accuracy". If the estimate V is 0 or negative, the
    g_k are multiplied by the Bartlett weights 1 - k/h, which keep V positive. Harvey, Leybourne & Newbold 1997,
    "Testing the equality of prediction mean squared errors", correct the statistic for small samples:

        DM* = DM sqrt((N + 1 - 2h + h(h-1)/N) / N),   compared with Student's t of N - 1 degrees of freedom.

    Args:
        loss_a, loss_b: (N,) losses of the same windows in chronological order.
        horizon: time steps that a window forecasts.
        stride: time steps between neighbouring windows.

    Returns:
        The corrected statistic and the p-value; (0, 1) if the losses are equal in every window. Both are NaN if there
        can be no test: for fewer than 2 windows, for fewer than SPANS * h windows that overlap, and for a loss that is
        not finite.
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

    from scipy.special import stdtr  # the distribution function of Student's t; importing scipy.stats is slow

    return statistic, float(2 * stdtr(count - 1, -abs(statistic)))


def block_length(windows: int, horizon: int, stride: int = 1) -> int:
    """Mean length of the blocks of the stationary bootstrap, in windows.

    - At least twice the number of windows that share a target time. Blocks begin at random windows, so shorter blocks
      separate too many windows that overlap: equal models left the 90 % set in 21 % of simulations, and in 17 % with
      twice the length.
    - At least N^(1/3), the rate of Politis & White 2004, "Automatic block-length selection for the dependent
      bootstrap", since volatility lasts longer than the horizon.
    - At most N / 4, so that resamples differ from each other.
    """
    wanted = max(2 * _span(horizon, stride), math.ceil(windows ** (1 / 3)))
    return max(1, min(wanted, windows // 4))


def confidence_set(losses: dict[str, np.ndarray], *, block: int, seed: int = 0, reps: int = 1000) -> dict[str, float]:
    """p-value of each model in the model confidence set: models with a p-value of at least 0.10 may be the best.

    The method of Hansen, Lunde & Nason 2011, "The model confidence set", with the range statistic and a stationary
    bootstrap. Models with equal losses have equal p-values. The same seed gives the same p-values.

    Args:
        losses: (N,) losses of each model on the same windows in chronological order.
        block: mean length of the bootstrap's blocks in windows, see `block_length`.
        seed: the seed of the bootstrap.
        reps: number of resamples.

    Returns:
        p-values in the order of `losses`; 1 for a single model. NaN for several models with fewer than 2 windows,
        since there can be no test.

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
        # If two pairs of models have exactly the same statistic, arch drops a better model together with a worse one.
        columns = columns * (1 + 1e-9 * np.random.default_rng(seed).standard_normal(columns.shape))
        test = MCS(columns, size=0.10, reps=reps, block_size=block, method="R", bootstrap="stationary", seed=seed)
        test.compute()  # `size` is a required argument, but does not change the p-values
        pvalues = {leaders[int(index)]: float(row["Pvalue"]) for index, row in test.pvalues.iterrows()}  # pyright: ignore
    pvalues |= {name: pvalues[leader] for name, leader in twins.items()} | dict.fromkeys(beaten, 0.0)
    return {name: pvalues[name] for name in table}


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p-value of the test that two classifiers are wrong equally often.

    The exact test of McNemar 1947, "Note on the sampling error of the difference between correlated proportions or
    percentages": if they are, then for each sample on which exactly one of them is wrong, it is the first with
    probability 1/2. The p-value is 1 if there is no such sample.

    Args:
        first, second: (N,) errors of the two classifiers, 0 or 1, on the same samples.
    """
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    if only_first + only_second == 0:
        return 1.0

    from scipy.stats import binomtest  # 0.6 s to import

    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def _span(horizon: int, stride: int) -> int:
    """The number of consecutive windows that share a target time."""
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
        raise UserError(f"only losses on the same windows can be compared, and these differ in number ({listed})")
    for name, loss in table.items():
        if not np.isfinite(loss).all():
            raise UserError(f"the losses of {name} are not all finite, so it cannot be compared; leave it out")


def _without_ties(table: dict[str, np.ndarray]) -> tuple[list[str], dict[str, str], list[str]]:
    """Separates models whose difference from another model has no variance, since the test divides by it.

    Returns:
        The models to test; for each model with the same losses as one of these, that model; and the models that are
        worse than one of these by the same amount in every window, which cannot be the best.
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
