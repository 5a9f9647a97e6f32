"""Several runs side by side: mean and deviation over seeds, the baseline, and whether the differences mean anything."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adlx.errors import UserError
from adlx.metrics.forecast import ForecastResult, horizon_crps, horizon_mase, window_crps, window_losses
from adlx.metrics.significance import block_length, confidence_set
from adlx.runs.comparison import Comparison
from adlx.runs.compose import nearest
from adlx.runs.folder import Run
from adlx.runs.jobs import entries
from adlx.runs.loggers import flatten
from adlx.runs.report import HEADLINES

HIGHER_IS_BETTER = ("skill", "accuracy", "f1", "psnr", "pvalue", "perplexity", "coverage", "steps_per_second")


def compare(paths: Sequence[str | Path], metric: str | None = None, against: str | None = None) -> Comparison:
    """Compares runs; those that differ in nothing but the seed are one row.

    Args:
        paths: run folders, or multirun folders, which stand for their runs.
        metric: key of `metrics.json` to sort by; the task's headline where None.
        against: key of the config or of `metrics.json` with a number, to draw the metric against.

    Raises:
        UserError: a folder that is no run, an unfinished run, or a metric that a run lacks.
    """
    runs = [run for path in paths for run in expand(Path(path))]
    if unfinished := [run for run in runs if run.status != "finished"]:
        raise UserError(
            f"{unfinished[0].path} is {unfinished[0].status}, not finished: adlx resume {unfinished[0].path}"
        )
    metric = metric or next((key for key in HEADLINES if all(key in run.metrics for run in runs)), None)
    if metric is None:
        raise UserError("these runs have no headline metric in common: name one with --metric")
    for run in runs:
        if metric not in run.metrics:
            raise UserError(f"{run.path} has no metric {metric}{nearest(metric, run.metrics)}; see its metrics.json")
    groups = grouped(runs)
    results = load_results(groups)
    table = tabulate(groups, metric)
    pvalues = _confidence(results, metric) if results else {}
    table["mcs_pvalue"] = [pvalues.get(label, np.nan) for label in table["label"]]
    curve = None if against is None else trace(runs, metric, against)
    details = detail(results, list(table["label"]), metric)
    return Comparison(metric, _title(metric, runs), table, results, details, curve)


def _title(metric: str, runs: Sequence[Run]) -> str:
    data = ", ".join(sorted({run.info["choices"]["data"] for run in runs}))
    simulated = " (simulated)" if any(run.info["data"].get("simulated") for run in runs) else ""
    return f"{metric} on {data}{simulated}, {len(runs)} run{'s' if len(runs) > 1 else ''}"


def expand(path: Path) -> list[Run]:
    """The runs that a folder stands for."""
    if (path / "multirun.json").is_file():
        runs = [Run.open(entry["run"]) for entry in entries(path).values() if entry["run"]]
        if not runs:
            raise UserError(f"{path} holds no run")
        return runs
    return [Run.open(path)]


def trace(runs: Sequence[Run], metric: str, against: str) -> pd.DataFrame:
    """Columns `label`, `x`, `n`, `mean`, `std`: the metric at each value of `against`, mean and deviation over seeds.

    Raises:
        UserError: a run has no number under that key.
    """
    rows = []
    for label, group in grouped(runs, ignoring=against).items():
        places: dict[float, list[float]] = {}
        for run in group:
            places.setdefault(_number_at(run, against), []).append(run.metrics[metric])
        for x, values in sorted(places.items()):
            deviation = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
            rows.append({"label": label, "x": x, "n": len(values), "mean": float(np.mean(values)), "std": deviation})
    return pd.DataFrame(rows).rename_axis(against, axis=1)


def _number_at(run: Run, key: str) -> float:
    value = run.metrics.get(key, flatten(run.config).get(key))
    if isinstance(value, bool) or not isinstance(value, int | float):
        known = nearest(key, [*run.metrics, *flatten(run.config)])
        raise UserError(f"{run.path} has no number {key} (it is {value}){known}: --against needs one")
    return float(value)


def grouped(runs: Sequence[Run], ignoring: str | None = None) -> dict[str, list[Run]]:
    """Runs by a label that names the model, the data and what else differs between them; seeds share one."""
    flats = [
        flatten({key: value for key, value in run.config.items() if key not in ("seed", "output_dir")}) for run in runs
    ]
    several_data = len({run.info["choices"]["data"] for run in runs}) > 1
    groups: dict[str, list[Run]] = {}
    for run, flat in zip(runs, flats, strict=True):
        told = [
            f"{key.removeprefix('model.').removeprefix('finetune.')}={value}"
            for key, value in flat.items()
            if key != ignoring and _tells(key, value, flat, flats)
        ]
        name = run.name if several_data else run.info["choices"]["model"]
        if (finetune := run.info["choices"].get("finetune", "none")) != "none":
            name = f"{name} {finetune}"
        groups.setdefault(" ".join([name, *told]), []).append(run)
    return groups


UNTOLD = ("data.path", "data.start", "data.end", "finetune.run", "finetune.sha256")
"""Settings that a label leaves out: which span of the data, which base run."""


def _tells(key: str, value: Any, flat: dict[str, Any], flats: Sequence[dict[str, Any]]) -> bool:
    """Whether a setting tells runs apart: it differs among those with the same target in that node.

    Two models have different arguments by necessity.
    """
    node = key.split(".")[0]
    if key.endswith("_target_") or key in UNTOLD:
        return False
    peers = [other for other in flats if other.get(f"{node}._target_") == flat.get(f"{node}._target_")]
    return any(peer.get(key) != value for peer in peers)


def tabulate(groups: dict[str, list[Run]], metric: str) -> pd.DataFrame:
    """A row a group, best first."""
    baseline = metric.replace("test/", "baseline/", 1)
    pvalue = "test/crps_dm_pvalue" if is_crps(metric) else "test/dm_pvalue"
    rows = []
    for label, runs in groups.items():
        values = np.array([run.metrics[metric] for run in runs])

        def mean(key: str, runs: list[Run] = runs) -> float:
            found = [run.metrics[key] for run in runs if key in run.metrics]
            return float(np.mean(found)) if found else float("nan")

        rows.append(
            {
                "label": label,
                "n": len(runs),
                "mean": values.mean(),
                "std": values.std(ddof=1) if len(values) > 1 else float("nan"),
                "baseline": 0.0 if metric in ("test/skill", "test/crps_skill") else mean(baseline),
                "skill": mean("test/skill"),
                "crps_skill": mean("test/crps_skill"),
                "coverage_80": mean("test/coverage_80"),
                "dm_pvalue": mean(pvalue),
                "parameters": mean("model/parameters"),
                "trainable": mean("model/trainable_parameters"),
                "checkpoint_kb": mean("fit/checkpoint_kb"),
                "seconds": mean("fit/seconds"),
            }
        )
    higher = any(word in metric for word in HIGHER_IS_BETTER)
    return pd.DataFrame(rows).sort_values("mean", ascending=not higher, ignore_index=True)


def load_results(groups: dict[str, list[Run]]) -> dict[str, list[ForecastResult]]:
    """The test predictions of each group's runs, on one scale; empty where they are not of the same windows."""
    try:
        results = {
            label: [ForecastResult.load(run.path / "predictions.npz") for run in runs] for label, runs in groups.items()
        }
    except UserError:
        return {}
    first = next(iter(results.values()))[0]
    same = all(
        result.series == first.series
        and np.array_equal(result.origin, first.origin)
        and result.target.shape == first.target.shape
        and np.array_equal(result.target, first.target)
        for group in results.values()
        for result in group
    )
    if not same:
        return {}
    scale = first.step_mae  # other training parts have other scales, and losses compare on one alone
    return {label: [replace(result, step_mae=scale) for result in group] for label, group in results.items()}


def is_crps(metric: str) -> bool:
    return metric.startswith("test/crps")


def _confidence(results: dict[str, list[ForecastResult]], metric: str) -> dict[str, float]:
    """p-values of the model confidence set; a configuration's loss in a window is the mean over its seeds.

    Of the CRPS where that is what the runs are compared by; there are none then unless they share their levels.
    """
    losses_of = window_crps if is_crps(metric) else window_losses
    if is_crps(metric) and not share_levels([result for group in results.values() for result in group]):
        return {}
    losses = {label: np.mean([losses_of(result) for result in group], axis=0) for label, group in results.items()}
    windows, horizon, _ = (first := next(iter(results.values()))[0]).target.shape
    return confidence_set(losses, block=block_length(windows, horizon, first.stride))


def share_levels(results: Sequence[ForecastResult]) -> bool:
    levels = [None if result.quantiles is None else list(result.quantiles.levels) for result in results]
    return levels[0] is not None and all(other == levels[0] for other in levels)


def detail(results: dict[str, list[ForecastResult]], labels: Sequence[str], metric: str) -> dict[str, pd.DataFrame]:
    """Errors in units of the training part's one-step change, by `series` and by `steps` ahead, naive in the last row.

    CRPS where the runs are compared by it and have quantiles at the same levels, else absolute errors.
    """
    if not results:
        return {}
    held = [result for group in results.values() for result in group]
    by_crps = is_crps(metric) and share_levels(held)

    def errors(result: ForecastResult, naive: bool = False) -> np.ndarray:
        if by_crps and result.quantiles is not None:
            return horizon_crps(result, result.quantiles.naive if naive else result.quantiles.values)
        return horizon_mase(result, result.naive if naive else result.prediction)

    rows = {label: np.mean([errors(result) for result in results[label]], axis=0) for label in labels}  # (H, S)
    rows["naive (last value)"] = errors(held[0], naive=True)
    name = "CRPS" if by_crps else "MASE"
    steps = [str(step) for step in range(1, held[0].target.shape[1] + 1)]
    by_series = {label: error.mean(axis=0) for label, error in rows.items()}
    by_step = {label: error.mean(axis=1) for label, error in rows.items()}
    return {
        "series": _frame(f"{name} by series", by_series, held[0].series),
        "steps": _frame(f"{name} by steps ahead", by_step, steps),
    }


def _frame(heading: str, rows: dict[str, np.ndarray], columns: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows.values()), columns=list(columns))
    frame.insert(0, heading, list(rows))
    return frame
