"""Several runs side by side: mean and deviation over seeds, the baseline, and whether the differences mean anything."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adlx.comparison.comparison import Comparison
from adlx.comparison.evidence import deviation, is_crps
from adlx.comparison.evidence_kinds import evidence
from adlx.comparison.reduction import named, reductions
from adlx.config.nearest import nearest
from adlx.errors import UserError
from adlx.reporting.terminal import HEADLINES, PVALUES, SKILLS
from adlx.runs.folder import RunFolder as Run
from adlx.runs.jobs import entries
from adlx.runs.loggers import flatten

HIGHER_IS_BETTER = ("skill", "accuracy", "f1", "psnr", "pvalue", "perplexity", "coverage", "steps_per_second")


def compare(
    paths: Sequence[str | Path], metric: str | None = None, against: str | None = None, reference: str | None = None
) -> Comparison:
    """Compares runs; those that differ in nothing but the seed are one row.

    Args:
        paths: run folders, or multirun folders, which stand for their runs.
        metric: key of `metrics.json` to sort by; the task's headline where None.
        against: key of the config or of `metrics.json` with a number, to draw the metric against.
        reference: words of the label of one configuration; how much lower the errors of the others are is told then.

    Raises:
        UserError: a folder that is no run, an unfinished run, a metric that a run lacks, a reference that is not one
            configuration, or one of runs whose errors do not compare.
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
    if "kid" in metric and len(features := {run.info["kid"]["features"] for run in runs}) > 1:
        raise UserError(f"{metric} by different features does not compare: {'; '.join(sorted(features))}")
    groups = grouped(runs)
    chosen = None if reference is None else named(list(groups), reference)
    found = evidence(groups)
    table = tabulate(groups, metric)
    labels = list(table["label"])
    pvalues = found.confidence(metric) if found else {}
    table["mcs_pvalue"] = [pvalues.get(label, np.nan) for label in labels]
    curve = None if against is None else trace(runs, metric, against)
    details = found.details(labels, metric) if found else {}
    if chosen is not None:
        seeds = {label: [run.config["seed"] for run in group] for label, group in groups.items()}
        details["reduction"] = reductions(found, labels, metric, chosen, seeds)
    return Comparison(metric, _where(runs), table, found, details, curve)


def _where(runs: Sequence[Run]) -> str:
    data = ", ".join(sorted({run.info["choices"]["data"] for run in runs}))
    return f"{data} (simulated)" if any(run.info["data"].get("simulated") for run in runs) else data


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
            spread = deviation(np.array(values))
            rows.append({"label": label, "x": x, "n": len(values), "mean": float(np.mean(values)), "std": spread})
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
        flatten({key: value for key, value in run.config.items() if key not in ("seed", "output_dir")}, null="null")
        for run in runs
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


UNTOLD = ("data.path", "data.start", "data.end", "finetune.run", "finetune.sha256", "model.autoencoder.")
"""Settings that a label leaves out: which span of the data, which base run."""


def _tells(key: str, value: Any, flat: dict[str, Any], flats: Sequence[dict[str, Any]]) -> bool:
    """Whether a setting tells runs apart: it differs among those with the same target in that node.

    Two models have different arguments by necessity, and may ask for a training of their own.
    """
    node = key.split(".")[0]
    if key.endswith("_target_") or key.startswith(UNTOLD):
        return False
    same = [f"{node}._target_", *([] if node == "data" else ["model._target_"])]
    peers = [other for other in flats if all(other.get(target) == flat.get(target) for target in same)]
    return any(peer.get(key) != value for peer in peers)


COLUMNS = {
    "skill": "test/skill",
    "crps_skill": "test/crps_skill",
    "coverage_80": "test/coverage_80",
    "balanced_accuracy": "test/balanced_accuracy",
    "f1_macro": "test/f1_macro",
    "perplexity": "test/perplexity",
    "noise_mae": "test/noise_mae",
    "onestep_vrmse": "test/onestep_vrmse",
    "parameters": "model/parameters",
    "trainable": "model/trainable_parameters",
    "nonzeros": "model/nonzeros",
    "size_kb": "model/size_kb",
    "checkpoint_kb": "fit/checkpoint_kb",
    "seconds": "fit/seconds",
}
"""Means over seeds that stand beside the metric, NaN where runs do not have them."""

FLOORS = {"test/kid": "baseline/kid_floor"}
"""What stands as the baseline of a metric where that is not the score of the simplest model."""


def tabulate(groups: dict[str, list[Run]], metric: str) -> pd.DataFrame:
    """A row a group, best first."""
    baseline = FLOORS.get(metric, metric.replace("test/", "baseline/", 1))
    tests = PVALUES["test/crps_skill" if is_crps(metric) else "test/skill"]
    rows = []
    for label, runs in groups.items():
        values = np.array([run.metrics[metric] for run in runs])
        rows.append(
            {
                "label": label,
                "n": len(runs),
                "mean": values.mean(),
                "std": deviation(values),
                "baseline": 0.0 if metric in SKILLS else _mean(run.metrics.get(baseline) for run in runs),
                **{column(key): _mean(run.metrics.get(key) for run in runs) for key in tests},
                **{name: _mean(run.metrics.get(key) for run in runs) for name, key in COLUMNS.items()},
            }
        )
    higher = any(word in metric for word in HIGHER_IS_BETTER)
    return pd.DataFrame(rows).sort_values("mean", ascending=not higher, ignore_index=True)


def column(pvalue: str) -> str:
    """`test/crps_dm_pvalue` to `dm_pvalue`."""
    return pvalue.removeprefix("test/").removeprefix("crps_")


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
