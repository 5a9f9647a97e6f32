"""The last words of a run: a table of results beside their baseline, and where everything lies."""

import math
import sys
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from adlx.figures.style import mean_and_deviation
from adlx.runs.folder import RunFolder as Run

HEADLINES = (
    "test/accuracy",
    "test/psnr",
    "test/kid",
    "test/rollout_vrmse",
    "test/vrmse",
    "test/skill",
    "test/crps_skill",
    "test/mase",
)
"""What a run is judged by at a glance; each has those of its task."""

SKILLS = {"test/skill": "skill", "test/crps_skill": "CRPS skill"}
PVALUES = {
    "test/skill": {"test/dm_pvalue": "DM p", "test/mcnemar_pvalue": "McNemar p"},
    "test/crps_skill": {"test/crps_dm_pvalue": "DM p"},
}
"""What tells a skill from chance, and what that is called; each task has one of them or none."""


SKILL_OF = {
    "rollout_vrmse": "skill",
    "vrmse": "skill",
    "mase": "skill",
    "accuracy": "skill",
    "mse": "skill",
    "noise_mae": "skill",
    "crps": "crps_skill",
}
"""The score that each skill is a skill of."""


BY_READOUT = ("accuracy/", "balanced_accuracy/", "f1_macro/")
"""What the scores of the single readouts of a model begin with."""


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


def percent(share: float, deviation: float) -> str:
    """`+12.3 ± 2.1 %` of a share of 0.123; NaN is no deviation."""
    if math.isnan(share):
        return "-"
    return f"{100 * share:+,.1f}" + ("" if math.isnan(deviation) else f" ± {100 * deviation:,.1f}") + " %"


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
        if name.split("/")[0].endswith(("skill", "_pvalue", "_deviation")) or name.startswith(BY_READOUT):
            continue
        series = name.removeprefix("mae/") if name.startswith("mae/") else ""
        skill = told.get(SKILL_OF[name]) if name in SKILL_OF else skills.get(series)
        baseline = metrics.get(f"baseline/{name}")
        table.add_row(name, number(value), number(baseline), "" if skill is None else signed(skill))
    return table


def readouts_table(metrics: dict[str, float], title: str) -> Table | None:
    """A row for each readout of a model that has several; None where it has one."""
    names = [key.removeprefix("test/accuracy/") for key in metrics if key.startswith("test/accuracy/")]
    columns = {"accuracy": "test/accuracy", "balanced": "test/balanced_accuracy", "macro F1": "test/f1_macro"}
    columns |= {"alpha": "model/alpha", "non-zeros": "model/nonzeros"}
    table = Table(title=title, title_justify="left")
    table.add_column("readout")
    told = {heading: key for heading, key in columns.items() if any(f"{key}/{name}" in metrics for name in names)}
    for heading in told:
        table.add_column(heading, justify="right")
    for name in names:
        values = [metrics[f"{key}/{name}"] for key in told.values()]
        table.add_row(name, *(f"{value:,}" if isinstance(value, int) else number(value) for value in values))
    return table if names else None


def frame_table(frame: pd.DataFrame, title: str) -> Table:
    """A frame for a terminal, see `readable`."""
    table = Table(title=title, title_justify="left")
    told = readable(frame)
    for at, name in enumerate(told.columns):
        table.add_column(name.replace("_", " "), justify="right" if at else "left", no_wrap=at > 0)
    for row in told.itertuples(index=False):
        table.add_row(*row)
    return table


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as text: text and counts as they are, skills with their sign, else a few digits.

    Where each column NAME but the first is followed by its deviation NAME_std, the two are one: `0.263 ± 0.012`. Of
    such, NAME_reduction is a share, told in percent as NAME.
    """
    first, *names = (str(name) for name in frame.columns)
    means = names[::2]
    if not names or names[1::2] != [f"{name}_std" for name in means]:
        columns = {name: [_cell(name, value) for value in frame[name]] for name in (first, *names)}
        return pd.DataFrame(columns)
    told = {first: [str(value) for value in frame[first]]}
    for name in means:
        tell_pair = percent if name.endswith("_reduction") else mean_and_deviation
        pairs = zip(frame[name], frame[f"{name}_std"], strict=True)
        told[name.removesuffix("_reduction")] = [tell_pair(mean, deviation) for mean, deviation in pairs]
    return pd.DataFrame(told)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return signed(value) if name.endswith("skill") else number(value)
    return str(value)


def brief(run: Run) -> str:
    """One line for a job of a sweep."""
    told = [f"{key.removeprefix('test/')} {number(run.metrics[key])}" for key in HEADLINES if key in run.metrics]
    return f"{run.title}, seed {run.info['seed']}: {', '.join(told)}; run: {run.path}"


def tell(metrics: dict[str, float], title: str, out: Console) -> None:
    """Prints the scores of a test."""
    out.print(results_table(metrics, f"{title}: test"))
    if (readouts := readouts_table(metrics, f"{title}: readouts")) is not None:
        out.print(readouts)
    if "test/kid" in metrics:
        floor, noise = (number(metrics[f"baseline/kid_{of}"]) for of in ("floor", "noise"))
        out.print(f"KID {number(metrics['test/kid'])}: real images come to {floor}, noise to {noise}")


def report(run: Run) -> None:
    """Prints the results of a run that has been tested."""
    out = console()
    metrics = run.metrics
    tell(metrics, run.title, out)
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
    for key, name in SKILLS.items():
        if key in metrics:
            out.print(f"{name} {signed(metrics[key])}: {verdict(metrics, key)}")
    if "kid" in run.info:
        kid = run.info["kid"]
        out.print(f"KID by the features of a {kid['features']}, {kid['images']:,} images in {kid['steps']} steps")
    if run.info["data"].get("simulated"):
        out.print("data: simulated")


def pvalue_of(metrics: dict[str, float], skill: str) -> float:
    """The p-value that belongs to a skill; NaN where there is none."""
    return next((metrics[key] for key in PVALUES.get(skill, ()) if key in metrics), float("nan"))


def verdict(metrics: dict[str, float], skill: str = "test/skill") -> str:
    """What a skill means, in words."""
    if "insample/mse" in metrics:
        return "in-sample, so it says nothing of data the model has not seen"
    pvalue = pvalue_of(metrics, skill)
    if math.isnan(pvalue):
        if "test/psnr" in metrics:
            return "1 is perfect, 0 is the mean image of the training part"
        if "test/noise_mae" in metrics:
            return "1 is perfect, 0 is finding no noise"
        if "test/rollout_vrmse" in metrics:
            return "1 is perfect, 0 is the frozen last seed frame"
        if "test/vrmse" in metrics:
            return "1 is perfect, 0 is the mean frame of the training part"
        return "too few windows to tell it from the baseline"
    if pvalue >= 0.05:
        return f"no significant difference from the baseline (p = {pvalue:.2g})"
    side = "better" if metrics[skill] > 0 else "worse"
    return f"{side} than the baseline (p = {pvalue:.2g})"
