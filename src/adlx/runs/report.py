"""The last words of a run: a table of results beside their baseline, and where everything lies."""

import math
import sys

from rich.console import Console
from rich.table import Table

from adlx.runs.folder import Run

HEADLINES = ("test/skill", "test/mase", "test/accuracy", "test/kid", "test/rollout_vrmse", "test/psnr")
"""What a run is judged by at a glance; each has those of its task."""


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
    """Every `test/...` beside its `baseline/...`; `test/skill/<series>` stands in the row of `test/mae/<series>`."""
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    for heading in ("model", "baseline", "skill"):
        table.add_column(heading, justify="right")
    skills = {key.removeprefix("test/skill/"): value for key, value in metrics.items() if key.startswith("test/skill/")}
    for key, value in metrics.items():
        name = key.removeprefix("test/")
        if not key.startswith("test/") or name.startswith("skill") or name == "dm_pvalue":
            continue
        series = name.removeprefix("mae/") if name.startswith("mae/") else ""
        skill = metrics.get("test/skill") if name == "mase" else skills.get(series)
        baseline = metrics.get(f"baseline/{name}")
        table.add_row(name, number(value), number(baseline), "" if skill is None else signed(skill))
    return table


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
        out.print(
            "in-sample: trained and scored on the same window. MSE in the model's units: "
            f"{forced} fed the truth at every step, as the notebook scored it; {own} fed its own output; {naive} naive"
        )
    if "test/skill" in metrics:
        out.print(f"skill {signed(metrics['test/skill'])}: {verdict(metrics)}")
    if run.info["data"].get("simulated"):
        out.print("data: simulated")
    out.print(f"run: {run.path}")


def verdict(metrics: dict[str, float]) -> str:
    """What the skill means, in words."""
    if "insample/mse" in metrics:
        return "in-sample, so it says nothing of data the model has not seen"
    pvalue = metrics.get("test/dm_pvalue", float("nan"))
    if math.isnan(pvalue):
        return "too few windows to tell it from the baseline"
    if pvalue >= 0.05:
        return f"no significant difference from the baseline (p = {pvalue:.2g})"
    side = "better" if metrics["test/skill"] > 0 else "worse"
    return f"{side} than the baseline (p = {pvalue:.2g})"
