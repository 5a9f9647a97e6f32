"""Several runs side by side: mean and deviation over seeds, the baseline, and whether the differences mean anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from adlx.atomic import replacing
from adlx.errors import UserError
from adlx.figures import comparison as draw
from adlx.figures.style import mean_and_deviation, save
from adlx.metrics.forecast import ForecastResult, window_losses
from adlx.metrics.significance import block_length, confidence_set
from adlx.runs.compose import nearest
from adlx.runs.folder import Run
from adlx.runs.jobs import entries
from adlx.runs.loggers import flatten
from adlx.runs.report import HEADLINES, number, signed

MCS_SIZE = 0.10
HIGHER_IS_BETTER = ("skill", "accuracy", "f1", "psnr", "pvalue", "perplexity", "coverage", "steps_per_second")


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Args:
        metric: what they are sorted by.
        title: for tables and figures; names the data, and says `simulated` where any are.
        table: a row a configuration, best first: `label`, `n` seeds, `mean`, `std`, `baseline`, `skill`, `dm_pvalue`,
            `mcs_pvalue` (of the model confidence set, NaN where the runs do not share their test windows),
            `parameters`, `seconds`.
        results: the test forecasts of each configuration's runs, where they share their windows.
    """

    metric: str
    title: str
    table: pd.DataFrame
    results: dict[str, list[ForecastResult]]

    def write(self, out: str | Path) -> list[Path]:
        """Writes a table (`.csv`, `.md`) or a figure (`.png`, and beside it `..._panels.png` for shared windows)."""
        out = Path(out)
        check_suffix(out)
        if out.suffix == ".png":
            save(draw.comparison(self.table, self.metric, self.title), out)
            if not self.results:
                return [out]
            panels = out.with_name(f"{out.stem}_panels.png")
            save(draw.panels({label: group[0] for label, group in self.results.items()}, self.title), panels)
            return [out, panels]
        text = self.table.to_csv(index=False, lineterminator="\n") if out.suffix == ".csv" else markdown(self)
        with replacing(out) as file:
            file.write(text.encode())
        return [out]


def check_suffix(out: Path) -> None:
    if out.suffix not in (".csv", ".md", ".png"):
        raise UserError(f"--out {out}: the suffix says what to write, .csv, .md or .png")


def compare(paths: Sequence[str | Path], metric: str | None = None) -> Comparison:
    """Compares runs; those that differ in nothing but the seed are one row.

    Args:
        paths: run folders, or multirun folders, which stand for their runs.
        metric: key of `metrics.json` to sort by; the task's headline where None.

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
    pvalues = _confidence(results) if results else {}
    table["mcs_pvalue"] = [pvalues.get(label, np.nan) for label in table["label"]]
    return Comparison(metric, _title(metric, runs), table, results)


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


def grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by a label that names the model, the data and what else differs between them; seeds share one."""
    flats = [
        flatten({key: value for key, value in run.config.items() if key not in ("seed", "output_dir")}) for run in runs
    ]
    several_data = len({run.info["choices"]["data"] for run in runs}) > 1
    groups: dict[str, list[Run]] = {}
    for run, flat in zip(runs, flats, strict=True):
        told = [
            f"{key.removeprefix('model.')}={value}" for key, value in flat.items() if _tells(key, value, flat, flats)
        ]
        name = run.name if several_data else run.info["choices"]["model"]
        groups.setdefault(" ".join([name, *told]), []).append(run)
    return groups


def _tells(key: str, value: Any, flat: dict[str, Any], flats: Sequence[dict[str, Any]]) -> bool:
    """Whether a setting tells runs apart: it differs among those with the same target in that node.

    Two models have different arguments by necessity, and the span of the data is told by their name.
    """
    node = key.split(".")[0]
    if key.endswith("_target_") or key in ("data.path", "data.start", "data.end"):
        return False
    peers = [other for other in flats if other.get(f"{node}._target_") == flat.get(f"{node}._target_")]
    return any(peer.get(key) != value for peer in peers)


def tabulate(groups: dict[str, list[Run]], metric: str) -> pd.DataFrame:
    """A row a group, best first."""
    baseline = metric.replace("test/", "baseline/", 1)
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
                "baseline": 0.0 if metric == "test/skill" else mean(baseline),
                "skill": mean("test/skill"),
                "dm_pvalue": mean("test/dm_pvalue"),
                "parameters": mean("model/parameters"),
                "seconds": mean("fit/seconds"),
            }
        )
    higher = any(word in metric for word in HIGHER_IS_BETTER)
    return pd.DataFrame(rows).sort_values("mean", ascending=not higher, ignore_index=True)


def load_results(groups: dict[str, list[Run]]) -> dict[str, list[ForecastResult]]:
    """The test predictions of each group's runs; empty where they are not forecasts of the same windows."""
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
    return results if same else {}


def _confidence(results: dict[str, list[ForecastResult]]) -> dict[str, float]:
    """p-values of the model confidence set; a configuration's loss in a window is the mean over its seeds."""
    losses = {label: np.mean([window_losses(result) for result in group], axis=0) for label, group in results.items()}
    windows, horizon, _ = (first := next(iter(results.values()))[0]).target.shape
    return confidence_set(losses, block=block_length(windows, horizon, first.stride))


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def headings(metric: str) -> list[str]:
    beside = [] if metric == "test/skill" else ["baseline", "skill"]
    return ["run", "seeds", metric.removeprefix("test/"), *beside, "DM p", "MCS p", "parameters", "seconds"]


def cells(row: dict[str, Any], metric: str) -> list[str]:
    """One row as a person reads it, under `headings`."""
    value = mean_and_deviation(row["mean"], row["std"])
    if metric.startswith("test/skill"):  # always around 0, so always to the same digits
        value = signed(row["mean"]) + ("" if np.isnan(row["std"]) else f" ± {row['std']:.4f}")
    beside = [] if metric == "test/skill" else [number(row["baseline"]), signed(row["skill"])]
    pvalues = [number(row["dm_pvalue"], 2), number(row["mcs_pvalue"], 2)]
    return [row["label"], str(row["n"]), value, *beside, *pvalues, f"{row['parameters']:,.0f}", f"{row['seconds']:.1f}"]


def shown(comparison: Comparison) -> Table:
    """The table for a terminal."""
    table, metric = comparison.table, comparison.metric
    lines = Table(title=comparison.title, title_justify="left")
    for at, heading in enumerate(headings(metric)):
        lines.add_column(heading, justify="right" if at else "left", no_wrap=at > 0)
    for row in records(table):
        lines.add_row(*cells(row, metric))
    if len(comparison.results) > 1:
        kept = (table["mcs_pvalue"] >= MCS_SIZE).sum()
        lines.caption = (
            f"model confidence set at 90 % (MCS p >= 0.10): {kept} of {len(table)} cannot be told from the best"
        )
    return lines


def markdown(comparison: Comparison) -> str:
    names = headings(comparison.metric)
    rows = [cells(row, comparison.metric) for row in records(comparison.table)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (names, ["---"] * len(names), *rows))
