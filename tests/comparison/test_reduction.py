"""`--reference`: how much lower errors are than those of a reference, with numbers computed by hand."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

import adlx
from adlx.cli import compare as compare_verb
from adlx.comparison.compare import compare
from adlx.comparison.evidence import Evidence
from adlx.comparison.reduction import find_label, reductions
from adlx.config.catalog import NODES
from adlx.errors import UserError
from adlx.metrics.classification import ClassResult
from adlx.metrics.declaration import Metric, declaration
from adlx.metrics.denoising import DenoisingResult
from adlx.metrics.fields import FieldResult
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.result import Result
from adlx.runs.folder import write_json, write_yaml

LABELS = ["sea exchange=none", "sea exchange=sea", "sea exchange=sea order=sequential", "dmd"]


def rolled(u: float, p: float) -> FieldResult:
    """A result of two trajectories whose fields have the VRMSE `u` and `p`."""
    shape = (2, 3, 2)
    return FieldResult(
        names=("u", "p"),
        error=np.broadcast_to(np.square([u, p]), shape).copy(),
        onestep_error=np.full(shape, 0.01),
        baseline_error=np.full(shape, 4.0),
        variance=np.ones(shape),
        power=np.ones(shape),
        index=np.arange(2),
        start=1,
    )


def metric_of(kind: type[Result], key: str) -> Metric:
    metric = declaration(kind.metrics, key)
    assert metric is not None
    return metric


ROLLOUT = metric_of(FieldResult, "test/rollout_vrmse")


def reductions_of(groups: dict[str, dict[int, FieldResult]], reference: str) -> pd.DataFrame:
    """The frame of `reductions` for results by label and seed."""
    evidence = Evidence(FieldResult, {label: list(group.values()) for label, group in groups.items()})
    seeds = {label: list(group) for label, group in groups.items()}
    return reductions(evidence, list(groups), ROLLOUT, reference, seeds).frame


def test_runs_are_paired_by_seed():
    none = {0: rolled(0.4, 1.0), 1: rolled(0.8, 2.0)}
    frame = reductions_of({"sea": {1: rolled(0.6, 1.0), 0: rolled(0.2, 0.9)}, "none": none}, "none")
    assert list(frame.columns) == [
        "error lower than none",
        *["u_reduction", "u_reduction_std", "p_reduction", "p_reduction_std", "all_reduction", "all_reduction_std"],
    ]
    assert frame["error lower than none"].tolist() == ["sea"]
    # u: 1 - 0.6 / 0.8 = 0.25 and 1 - 0.2 / 0.4 = 0.5; p: 0.5 and 0.1; all: 1 - 1.6 / 2.8 = 3 / 7 and 1 - 1.1 / 1.4
    half = np.sqrt(0.5)
    expected = [0.375, 0.25 * half, 0.3, 0.4 * half, (3 / 7 + 3 / 14) / 2, (3 / 7 - 3 / 14) * half]
    assert frame.iloc[0, 1:].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("seeds", [(0, 2), (0, 1, 1), (0, 1, 2)], ids=["others", "twice", "more"])
def test_runs_with_different_seeds_are_compared_with_the_mean_of_the_reference(seeds):
    none = {0: rolled(0.4, 1.0), 1: rolled(0.8, 2.0)}
    errors = [0.3, 0.6, 0.9][: len(seeds)]
    evidence = Evidence(FieldResult, {"none": list(none.values()), "sea": [rolled(error, 1.2) for error in errors]})
    frame = reductions(evidence, ["none", "sea"], ROLLOUT, "none", {"none": list(none), "sea": list(seeds)}).frame
    each = 1 - np.array(errors) / 0.6
    assert frame.loc[0, ["u_reduction", "u_reduction_std"]].tolist() == pytest.approx([each.mean(), each.std(ddof=1)])
    assert frame.loc[0, ["p_reduction", "p_reduction_std"]].tolist() == pytest.approx([0.2, 0])


def test_a_reference_with_a_repeated_seed_is_replaced_by_its_mean():
    evidence = Evidence(
        FieldResult, {"none": [rolled(u, 1.0) for u in (0.4, 0.8, 1.2)], "sea": [rolled(0.4, 1.0), rolled(0.2, 1.0)]}
    )
    frame = reductions(evidence, ["sea", "none"], ROLLOUT, "none", {"none": [0, 1, 1], "sea": [0, 1]}).frame
    assert frame.loc[0, "u_reduction"] == pytest.approx((0.5 + 0.75) / 2)


def test_rows_keep_their_order_and_one_run_has_no_deviation():
    groups = {"b": {0: rolled(0.2, 1.0)}, "none": {0: rolled(0.4, 1.0)}, "a": {5: rolled(0.6, 1.0)}}
    frame = reductions_of(groups, "none")
    assert frame["error lower than none"].tolist() == ["b", "a"]
    assert frame["u_reduction"].tolist() == pytest.approx([0.5, -0.5])
    assert frame.filter(like="_std").isna().all(axis=None)


def test_a_diverged_rollout_has_no_reduction():
    groups = {
        "diverged": {0: rolled(np.inf, 0.5), 1: rolled(0.4, 0.5)},
        "none": {0: rolled(0.4, 1.0), 1: rolled(0.4, 0.0)},
    }
    frame = reductions_of(groups, "none")
    assert frame.loc[0, "u_reduction"] == -np.inf
    assert np.isnan(frame.loc[0, "u_reduction_std"])
    assert np.isnan(frame.loc[0, "p_reduction"])  # a reference without error
    assert reductions_of(groups, "diverged").loc[0, ["u_reduction", "all_reduction"]].isna().all()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("exchange=none", 0),
        ("exchange=none sea", 0),
        ("sea exchange=sea", 1),  # equals one label, although another one contains it
        ("order=sequential", 2),
        ("dmd", 3),
    ],
)
def test_a_reference_is_named_by_words_of_its_label(text, label):
    assert find_label(LABELS, text) == LABELS[label]


@pytest.mark.parametrize(
    ("labels", "text", "line"),
    [
        (LABELS, "exchange=non", f"no label has these words; choose one of: {'; '.join(LABELS)}"),
        (LABELS, "exchange=none dmd", f"no label has these words; choose one of: {'; '.join(LABELS)}"),
        (LABELS, "exchange=sea", f"several labels have these words; choose one of: {'; '.join(LABELS[1:3])}"),
        (LABELS[:1], "sea", "there is no other configuration to compare with sea exchange=none"),
    ],
)
def test_a_reference_that_is_not_one_configuration_is_refused(labels, text, line):
    with pytest.raises(UserError) as caught:
        find_label(labels, text)
    assert str(caught.value) == f"--reference {text}: {line}"


def classified(wrong: int) -> ClassResult:
    """A result of four samples with the given number of wrong predictions."""
    scores = np.tile([1.0, 0.0], (4, 1))
    scores[:wrong] = [0.0, 1.0]
    return ClassResult(scores, np.zeros(4, int), np.arange(4), ("a", "b"), 0)


def test_the_error_of_a_classifier_is_its_share_of_wrong_predictions():
    evidence = Evidence(ClassResult, {"elm": [classified(2), classified(0)], "mlp": [classified(4), classified(2)]})
    frame = reductions(
        evidence, ["elm", "mlp"], metric_of(ClassResult, "test/accuracy"), "mlp", {"elm": [0, 1], "mlp": [1, 0]}
    ).frame
    assert frame.columns.tolist() == ["error lower than mlp", "all_reduction", "all_reduction_std"]
    assert frame.iloc[0, 1:].tolist() == pytest.approx([0.5, np.sqrt(0.5)])  # 1 - 2 / 2 and 1 - 0 / 4


def test_runs_without_common_losses_are_refused():
    seeds = {"a": [0], "b": [0]}
    with pytest.raises(UserError, match=r"^--reference a: the runs were not tested on the same samples$"):
        reductions(None, ["a", "b"], metric_of(ForecastResult, "test/mase"), "a", seeds)
    drawn, five = np.zeros((1, 1, 2, 2), np.uint8), np.arange(1.0, 6.0)
    one = DenoisingResult(five, five, five, five, five, drawn, drawn, np.ones(1), np.ones(1), np.ones((3, 2)))
    noise, kid = (metric_of(DenoisingResult, key) for key in ("test/noise_mae", "test/kid"))
    evidence = Evidence(DenoisingResult, {"a": [one], "b": [replace(one, noise_error=five / 4)]})
    assert reductions(evidence, ["b", "a"], noise, "a", seeds).frame.loc[0, "all_reduction"] == 0.75
    with pytest.raises(
        UserError, match=r"^--reference a: test/kid has no losses of single samples that the runs share$"
    ):
        reductions(evidence, ["b", "a"], kid, "a", seeds)


@pytest.fixture
def folder(tmp_path):
    """Returns a function that writes a finished run on fields."""

    def write(name: str, exchange: str, outcome: FieldResult, seed: int = 0):
        path = tmp_path / name
        path.mkdir()
        nodes = {node: {} for node in NODES if node != "model"}
        config = {**nodes, "model": {"exchange": exchange}, "seed": seed, "output_dir": name}
        (path / "config.yaml").write_text(yaml.safe_dump(config))
        facts = {"status": "finished", "seed": seed, "choices": {"model": "sea", "data": "well"}, "data": {}}
        facts["result"] = "adlx.metrics.fields.FieldResult"
        (path / "run.json").write_text(json.dumps(facts))
        metrics = {"model/parameters": 7, "model/trainable_parameters": 7, "fit/seconds": 2.0}
        (path / "metrics.json").write_text(json.dumps({**metrics, **outcome.scores()}))
        outcome.save(path / "predictions.npz")
        return str(path)

    return write


@pytest.fixture
def study(folder):
    """Runs with `exchange=sea` and `exchange=none`, two seeds each."""
    return [
        folder("s0", "sea", rolled(0.2, 0.9), seed=0),
        folder("s1", "sea", rolled(0.6, 1.0), seed=1),
        folder("n1", "none", rolled(0.8, 2.0), seed=1),
        folder("n0", "none", rolled(0.4, 1.0), seed=0),
    ]


def test_the_tables_of_a_comparison_with_a_reference(study):
    """The order of the runs differs from the order of their seeds."""
    text = compare(study, reference="exchange=none").markdown()
    assert text.splitlines()[5:] == [
        "| VRMSE by field | u | p |",
        "| --- | --- | --- |",
        "| sea exchange=sea | 0.4000 ± 0.2828 | 0.9500 ± 0.0707 |",
        "| sea exchange=none | 0.6000 ± 0.2828 | 1.5000 ± 0.7071 |",
        "| frozen | 2.0000 | 2.0000 |",
        "",
        "| error lower than sea exchange=none | u | p | all |",
        "| --- | --- | --- | --- |",
        "| sea exchange=sea | +37.5 ± 17.7 % | +30.0 ± 28.3 % | +32.1 ± 15.2 % |",
    ]
    assert "reduction" not in compare(study).details
    outcome = adlx.compare(study, reference="exchange=sea").details["reduction"]
    assert outcome["u_reduction"].tolist() == pytest.approx([(-1 - 1 / 3) / 2])


def test_the_command_prints_and_writes_the_reductions(study, tmp_path, capsys):
    words = [*study, "--reference", "exchange=none"]
    compare_verb.main([*words, "--out", str(tmp_path / "t.csv")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [f"wrote {tmp_path / name}" for name in ("t.csv", "t_fields.csv", "t_reduction.csv")]
    title = lines.index("error lower than sea exchange=none")
    cells = [
        [cell.strip() for cell in line.split(mark)[1:-1]]
        for line, mark in ((lines[title + 2], "┃"), (lines[title + 4], "│"))
    ]
    assert cells == [
        ["run", "u", "p", "all"],
        ["sea exchange=sea", "+37.5 ± 17.7 %", "+30.0 ± 28.3 %", "+32.1 ± 15.2 %"],
    ]
    table = pd.read_csv(tmp_path / "t_reduction.csv")
    assert table["u_reduction"].tolist() == pytest.approx([0.375])
    assert table["u_reduction_std"].tolist() == pytest.approx([0.25 * np.sqrt(0.5)])
    fields = pd.read_csv(tmp_path / "t_fields.csv")
    assert fields.columns.tolist() == ["VRMSE by field", "u", "u_std", "p", "p_std"]
    assert fields["u_std"].tolist() == pytest.approx([0.4 * np.sqrt(0.5)] * 2 + [np.nan], nan_ok=True)
    with pytest.raises(UserError, match=r"^--reference exchange=pool: no label has these words; choose one of: sea ex"):
        compare_verb.main([*study, "--reference", "exchange=pool"])


def test_reductions_of_forecasts_use_the_errors_of_their_windows(finished, tmp_path):
    """One model has half of the other's error or less, with two seeds; the other has three seeds."""
    result = ForecastResult.load(finished.path / "predictions.npz")
    paths = []
    for individual, seed, size in ((True, 0, 0.5), (True, 1, 0.3), (False, 0, 1.0), (False, 1, 1.0), (False, 2, 1.0)):
        path = tmp_path / f"{individual}{seed}"
        shutil.copytree(finished.path, path, ignore=shutil.ignore_patterns("checkpoints", "*.png"))
        model = {**finished.config["model"], "individual": individual}
        write_yaml(path / "config.yaml", {**finished.config, "model": model, "seed": seed})
        write_json(path / "metrics.json", {**finished.metrics, "test/mase": size})
        replace(result, prediction=result.target + size * (result.prediction - result.target)).save(
            path / "predictions.npz"
        )
        paths.append(path)
    frame = compare(paths, "test/mase", reference="individual=False").details["reduction"]
    assert frame.iloc[:, 0].tolist() == ["nlinear individual=True"]
    assert frame.iloc[0, 1:].tolist() == pytest.approx([0.6, 0.2 * np.sqrt(0.5)])
