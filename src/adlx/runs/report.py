"""The last words of a run: a table of results beside their baseline, and where everything lies."""

import math
import sys
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from adlx.runs.folder import Run

HEADLINES = (
    "test/skill",
    "test/crps_skill",
    "test/mase",
    "test/accuracy",
    "test/kid",
    "test/rollout_vrmse",
    "test/psnr",
)
"""What a run is judged by at a glance; each has those of its task."""

SKILLS = (("test/skill", "test/dm_pvalue", "skill"), ("test/crps_skill", "test/crps_dm_pvalue", "CRPS skill"))
"""Skills, the p-values that tell them from chance, and what they are called."""


def console() -> Console:
    """A terminal as wide as it is; a pipe wide enough that no table breaks its cells."""
    return Console(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def number(value: float | None, digits: int = 4) -> str:
    """A few significant digits, as a person would write them."""
    if value is None or math.isnan(value):
        return "-"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}g}"
    return f"{value:.2e}" if abs(value) < 1e-3 else f"{value:,.0f}"


def signed(value: float) -> str:
    """A skill: around 0 its sign is what matters."""
    return "-" if math.isnan(value) else f"{value:+.4f}"


def results_table(metrics: dict[str, float], title: str) -> Table:
    """Every `test/...` beside its `baseline/...`, what is of all series first.

    Skills stand in the rows of what they are skills of: `test/skill/<series>` beside `test/mae/<series>`.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    for heading in ("model", "baseline", "skill"):
        table.add_column(heading, justify="right")
    skills = {key.removeprefix("test/skill/"): value for key, value in metrics.items() if key.startswith("test/skill/")}
    told = {key.removeprefix("test/"): value for key, value in metrics.items() if key.startswith("test/")}
    for name, value in sorted(told.items(), key=lambda pair: "/" in pair[0]):
        if name.split("/")[0].endswith(("skill", "dm_pvalue")):
            continue
        series = name.removeprefix("mae/") if name.startswith("mae/") else ""
        skill = {"mase": told.get("skill"), "crps": told.get("crps_skill")}.get(name, skills.get(series))
        baseline = metrics.get(f"baseline/{name}")
        table.add_row(name, number(value), number(baseline), "" if skill is None else signed(skill))
    return table


def frame_table(frame: pd.DataFrame, title: str) -> Table:
    """A frame for a terminal: text and counts as they are, skills with their sign, else a few digits."""
    table = Table(title=title, title_justify="left")
    for at, name in enumerate(frame.columns):
        table.add_column(str(name).replace("_", " "), justify="right" if at else "left", no_wrap=at > 0)
    for row in frame.itertuples(index=False):
        table.add_row(*(frame_cell(str(name), value) for name, value in zip(frame.columns, row, strict=True)))
    return table


def frame_cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return signed(value) if name.endswith("skill") else number(value)
    return str(value)


def brief(run: Run) -> str:
    """One line for a job of a sweep."""
    told = [f"{key.removeprefix('test/')} {number(run.metrics[key])}" for key in HEADLINES if key in run.metrics]
    return f"{run.title}, seed {run.info['seed']}: {', '.join(told)}; run: {run.path}"


def report(run: Run) -> None:
    """Prints the results of a finished run; the last line is `run: <folder>`."""
    out = console()
    metrics = run.metrics
    out.print(results_table(metrics, f"{run.title}: test"))
    if "insample/mse" in metrics:
        forced, own, naive = (number(metrics[f"insample/mse{of}"]) for of in ("", "_autoregressive", "_naive"))
        fed = f"{forced} fed the truth at every step, as the notebook scored it; {own} fed its own output"
        out.print(
            "in-sample: trained and scored on the same window. MSE in the model's units: "
            f"{own if own == forced else fed}; {naive} naive"
        )
    if "unseen/skill" in metrics:
        out.print(
            f"honest: on the {metrics['unseen/windows']:,.0f} windows before it, which it has not seen, the skill is "
            f"{signed(metrics['unseen/skill'])} (MASE {number(metrics['unseen/mase'])}, naive "
            f"{number(metrics['unseen/naive_mase'])})"
        )
    for key, pvalue, name in SKILLS:
        if key in metrics:
            out.print(f"{name} {signed(metrics[key])}: {verdict(metrics, key, pvalue)}")
    if run.info["data"].get("simulated"):
        out.print("data: simulated")
    out.print(f"run: {run.path}")


def verdict(metrics: dict[str, float], skill: str = "test/skill", pvalue_key: str = "test/dm_pvalue") -> str:
    """What a skill means, in words."""
    if "insample/mse" in metrics:
        return "in-sample, so it says nothing of data the model has not seen"
    pvalue = metrics.get(pvalue_key, float("nan"))
    if math.isnan(pvalue):
        return "too few windows to tell it from the baseline"
    if pvalue >= 0.05:
        return f"no significant difference from the baseline (p = {pvalue:.2g})"
    side = "better" if metrics[skill] > 0 else "worse"
    return f"{side} than the baseline (p = {pvalue:.2g})"
