"""Names of series, models and files are shown as they are, and change neither formats nor the order of rows."""

import dataclasses
import json

import numpy as np
import pytest

from adlx.comparison.compare import compare
from adlx.metrics.forecast import ForecastResult
from adlx.reporting.comparison import comparison_tables
from adlx.reporting.terminal import console, report
from adlx.runs.folder import RunFolder

NAMES = [
    *("f1_car", "kidney", "x_skill", "skill", "x", "x_std", "a_reduction", "pvalue_x", "dm_pvalue", "recall", "mse"),
    *(":smile:", "[red]", "[/]", "[bold]x[/bold]", "a/b_c", "a/", "_tax", "sales_us", "<b>", "$x$", "baseline", "run"),
]


def write_series(path, errors: dict[str, float]) -> dict[str, float]:
    """Replaces the series of a run by others, each with its own error, and returns the scores."""
    one = ForecastResult.load(path / "predictions.npz")
    count = len(errors)
    target = np.repeat(one.target[..., :1], count, axis=2)
    result = dataclasses.replace(
        one,
        prediction=target + np.array(list(errors.values())),
        target=target,
        last=np.repeat(one.last[:, :1], count, axis=1),
        series=tuple(errors),
        **{name: np.ones(count) for name in ("mean", "std", "step_mae")},
    )
    result.save(path / "predictions.npz")
    (path / "metrics.json").write_text(json.dumps(result.scores()))
    return result.scores()


@pytest.fixture
def named(folder):
    """Two runs on series with all these names; the first run has the smaller errors."""
    runs = [folder("a", "[red]"), folder("b", ":smile: x_std")]
    for run, error in zip(runs, (0.5, 0.75), strict=True):
        write_series(run, dict.fromkeys(NAMES, error))
    return runs


def test_series_in_a_comparison(named):
    comparison = compare(named)
    texts = comparison.detail_tables["series"].texts
    assert texts.columns.tolist() == ["MASE by series", *NAMES]
    assert texts.iloc[:, 0].tolist() == ["[red]", ":smile: x_std", "naive (last value)"]
    assert set(texts.iloc[0, 1:]) == {"0.5000"}
    assert set(texts.iloc[1, 1:]) == {"0.7500"}


@pytest.mark.parametrize("name", NAMES)
def test_the_order_and_the_format_follow_from_the_metric(named, name):
    for metric, best in (("test/mae", "0.5000"), ("test/mse", "0.2500")):
        comparison = compare(named, f"{metric}/{name}")
        assert comparison.labels == ["[red]", ":smile: x_std"]
        assert comparison.texts.iloc[0, 2] == best
    comparison = compare(named, f"test/skill/{name}")
    assert comparison.labels == ["[red]", ":smile: x_std"]
    assert comparison.texts.iloc[0, 2].startswith("+0.")


def test_names_in_a_terminal(named, capsys):
    comparison = compare(named)
    console().print(comparison_tables(comparison)[0])
    out = capsys.readouterr().out
    assert "│ [red]         │" in out
    assert "│ :smile: x_std │" in out
    report(RunFolder.open(named[0]))
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "[red] on csv: test"
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    rows = {row[0]: row[1:] for row in rows}
    for name in NAMES:
        assert rows[f"mae/{name}"][0] == "0.5000"
        assert rows[f"mae/{name}"][2].startswith("+0.")
        assert rows[f"mse/{name}"][0] == "0.2500"


def test_names_in_a_notebook_and_in_markdown(folder):
    runs = [folder("a", "<script>x</script>"), folder("b", "a|b & [red]")]
    comparison = compare(runs)
    page = comparison._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;x&lt;/script&gt;" in page
    assert "a|b &amp; [red]" in page
    assert 'class="dataframe tex2jax_ignore' in page  # so that a dollar sign in a name does not begin a formula
    assert r"| a\|b & [red] | 1 |" in comparison.markdown()
    assert str(len(runs)) in repr(comparison)


def test_scores_that_are_not_finite_are_shown(folder):
    """`-` would mean that a run has no such score."""
    scores = {"test/skill": float("nan"), "test/mase": float("inf"), "test/coverage_80": float("nan")}
    runs = [folder("a", "a", metrics=scores), folder("b", "b", metrics={"test/skill": 0.5, "test/mase": 2.0})]
    texts = compare(runs, "test/mase").texts.set_index("run")
    assert texts["MASE"].tolist() == ["2.000", "inf"]
    assert texts["skill"].tolist() == ["+0.5000", "nan"]
    assert texts["coverage 80"].tolist() == ["-", "nan"]
    assert compare(runs, "test/skill").texts["skill"].tolist() == ["+0.5000", "nan"]
