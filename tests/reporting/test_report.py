"""The printed results of a run."""

import json
import math

import pandas as pd
import pytest

from adlx.metrics.classification import ClassResult
from adlx.metrics.declaration import declaration
from adlx.metrics.denoising import DenoisingResult
from adlx.metrics.fields import FieldResult
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.reconstruction import ReconstructionResult
from adlx.reporting.terminal import (
    brief,
    console,
    print_scores,
    print_table,
    report,
    short_table,
    text_table,
    verdict,
    verdicts,
)
from adlx.runs.folder import RunFolder

NAN = math.nan


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"test/skill": 0.2, "test/dm_pvalue": 0.001234}, "better than the baseline (p = 0.0012)"),
        ({"test/skill": 0.2, "test/dm_pvalue": 1e-9}, "better than the baseline (p < 0.0001)"),
        ({"test/skill": -0.2, "test/dm_pvalue": 0.0499}, "worse than the baseline (p = 0.0499)"),
        ({"test/skill": 0.2, "test/dm_pvalue": 0.05}, "no significant difference from the baseline (p = 0.0500)"),
        ({"test/skill": 0.9, "test/dm_pvalue": 0.61}, "no significant difference from the baseline (p = 0.6100)"),
        ({"test/skill": 0.9}, "too few test samples to test the difference from the baseline"),
        ({"test/skill": 0.9, "test/dm_pvalue": NAN}, "too few test samples to test the difference from the baseline"),
        (
            {"test/skill": 0.9, "test/dm_pvalue": 0.001, "insample/mse": 0.1},
            "in-sample, so it says nothing about data that the model has not seen",
        ),
    ],
)
def test_verdict(metrics, words):
    mase = declaration(ForecastResult.metrics, "test/mase")
    assert mase is not None
    assert verdict(metrics, mase) == words


def write_run(tmp_path, metrics: dict, **data) -> RunFolder:
    info = {"status": "finished", "seed": 4, "choices": {"model": "naive", "data": "crypto"}, "data": data}
    info["result"] = "adlx.metrics.forecast.ForecastResult"
    run = RunFolder(tmp_path, info)
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    return run


METRICS = {
    "test/mase": 1.5,
    "baseline/mase": 2.0,
    "test/mae/BTC": 100.0,
    "baseline/mae/BTC": 400.0,
    "test/skill": 0.25,
    "test/skill/BTC": 0.75,
    "test/dm_pvalue": 0.5,
    "fit/seconds": 1.0,
}


def printed_lines(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_report_prints_the_scores_and_a_verdict(tmp_path, capsys):
    report(write_run(tmp_path, METRICS, simulated=False))
    lines = printed_lines(capsys)
    assert lines[0] == "naive on crypto: test"
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert cells == [["mase", "1.500", "2.000", "+0.2500"], ["mae/BTC", "100.0", "400.0", "+0.7500"]]
    assert lines[-1] == "skill +0.2500: no significant difference from the baseline (p = 0.5000)"


def test_the_output_says_that_data_are_simulated(tmp_path, capsys):
    run = write_run(tmp_path, METRICS, simulated=True)
    report(run)
    lines = printed_lines(capsys)
    assert lines[0] == "naive on crypto (simulated): test"
    assert lines[-1] == "data: simulated"
    assert brief(run) == f"naive on crypto (simulated), seed 4: skill +0.2500, mase 1.5; run: {tmp_path}"


def test_an_in_sample_score_is_described_as_in_sample(tmp_path, capsys):
    scores = {"insample/mse": 0.0123456, "insample/mse_autoregressive": 0.5, "insample/mse_naive": 1.25}
    report(write_run(tmp_path, {**METRICS, **scores}, simulated=False))
    out = capsys.readouterr().out
    assert "in-sample: trained and scored on the same window." in out
    assert "0.01235 from the truth at every step, as the notebook scored it; 0.5 from its own output; 1.25 naive" in out
    assert "skill +0.2500: in-sample, so it says nothing about data that the model has not seen\n" in out


def test_the_score_on_unseen_windows_follows_the_in_sample_score(tmp_path, capsys):
    scores = {"insample/mse": 0.5, "insample/mse_autoregressive": 0.5, "insample/mse_naive": 1.25}
    unseen = {"unseen/skill": -8.5, "unseen/mase": 19.0, "unseen/naive_mase": 2.0, "unseen/windows": 1000}
    report(write_run(tmp_path, {**METRICS, **scores, **unseen}, simulated=False))
    out = capsys.readouterr().out
    assert "MSE in the model's units: 0.5; 1.25 naive\n" in out
    assert "unseen data: on the 1,000 windows before that window the skill is -8.5000 (MASE 19, naive 2)\n" in out


def test_quantiles_have_their_own_skill(tmp_path, capsys):
    scores = {"test/crps": 0.4, "baseline/crps": 0.5, "test/crps_skill": 0.2, "test/crps_dm_pvalue": 0.01}
    run = write_run(
        tmp_path, {**METRICS, **scores, "test/coverage_80": 0.79, "baseline/coverage_80": 0.9}, simulated=False
    )
    report(run)
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    assert rows == [
        ["mase", "1.500", "2.000", "+0.2500"],
        ["crps", "0.4000", "0.5000", "+0.2000"],
        ["coverage_80", "0.7900", "0.9000", ""],
        ["mae/BTC", "100.0", "400.0", "+0.7500"],
    ]
    assert "CRPS skill +0.2000: better than the baseline (p = 0.0100)\n" in out
    assert "skill +0.2500, crps_skill +0.2000, mase 1.5" in brief(run)


def test_a_frame_for_a_terminal(capsys):
    frame = pd.DataFrame({"month": ["2024-01"], ":smile: a_b [red]": ["[/]"]})
    console().print(text_table(frame, "by month"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "by month"
    assert [cell.strip() for cell in lines[2].split("┃")[1:-1]] == ["month", ":smile: a_b [red]"]
    assert [cell.strip() for cell in lines[4].split("│")[1:-1]] == ["2024-01", "[/]"]


def test_only_the_first_of_many_series_are_printed(tmp_path, capsys):
    many = {f"test/{metric}/s{number}": 1.0 for number in range(3000) for metric in ("mse", "mae")}
    report(write_run(tmp_path, METRICS | many, simulated=False))
    lines = printed_lines(capsys)
    assert len(lines) < 80
    assert any("mae/s28 " in line for line in lines)  # after BTC, the first
    assert not any("mae/s29 " in line for line in lines)
    assert any("series: the first 30 of 3,001; metrics.json holds all" in line for line in lines)


def test_only_the_first_of_many_rows_are_printed(capsys):
    frame = pd.DataFrame({"class": [str(number) for number in range(1000)]})
    print_table(short_table(frame, "classes", "classes.csv"), console())
    lines = printed_lines(capsys)
    assert len(lines) < 70
    assert lines[-1].strip() == "the first 60 of 1,000 rows; classes.csv holds all"


@pytest.mark.parametrize("width", [20, 60, 1000])
def test_no_name_and_no_number_is_cut_off(width, capsys):
    names = ["run", "a_very_long_name_of_a_series", "another_long_name"]
    frame = pd.DataFrame([["a label of many words " * 3, "0.1234 ± 0.0123", "-123.45"]], columns=names)
    out = console()
    out.width = width
    print_table(text_table(frame, "title"), out)
    printed = capsys.readouterr().out
    for text in (*names, "0.1234 ± 0.0123", "-123.45"):
        assert f" {text} " in printed
    assert "…" not in printed
    assert out.width == width


@pytest.mark.parametrize(
    ("kind", "key", "words"),
    [
        (ReconstructionResult, "test/mse", "1 is perfect, 0 is the mean image of the training part"),
        (DenoisingResult, "test/noise_mae", "1 is perfect, 0 is predicting no noise"),
        (FieldResult, "test/rollout_vrmse", "1 is perfect, 0 is the frozen last seed frame"),
        (FieldResult, "test/vrmse", "1 is perfect, 0 is the mean frame of the training part"),
        (ClassResult, "test/accuracy", "better than the baseline (p = 0.0100)"),
    ],
)
def test_verdicts_of_other_tasks(kind, key, words):
    scores = {key: 0.5, "test/skill": 0.25, "test/mcnemar_pvalue": 0.01}
    assert verdicts(scores, kind.metrics) == [f"skill +0.2500: {words}"]


def test_names_of_series_change_no_format(tmp_path, capsys):
    """A series may have the name of a metric, and slashes in its name."""
    report(write_run(tmp_path, {key.replace("BTC", "f1_macro/kid_skill"): value for key, value in METRICS.items()}))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed_lines(capsys) if line.startswith("│")]
    assert rows == [["mase", "1.500", "2.000", "+0.2500"], ["mae/f1_macro/kid_skill", "100.0", "400.0", "+0.7500"]]


def test_readouts_have_their_own_table(capsys):
    scores = {
        "test/accuracy": 0.5,
        "baseline/accuracy": 0.25,
        "test/skill": 1 / 3,
        "test/mcnemar_pvalue": 0.2,
        "test/recall/happy": 0.75,
        **{f"test/{name}/{readout}": 0.5 for name in ("accuracy", "f1_macro") for readout in ("ridge", "a/b")},
        "model/alpha/ridge": 0.01,
        "model/nonzeros/ridge": 12345,
        "model/nonzeros": 12345,
    }
    print_scores(scores, ClassResult, {}, "elm on faces", console())
    lines = printed_lines(capsys)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert rows == [
        ["accuracy", "0.5000", "0.2500", "+0.3333"],
        ["recall/happy", "0.7500", "-", ""],
        ["ridge", "0.5000", "0.5000", "0.01000", "12,345"],
        ["a/b", "0.5000", "0.5000", "-", "-"],
    ]
    (heading,) = [line for line in lines if "non-zeros" in line]
    assert [cell.strip() for cell in heading.split("┃")[1:-1]] == [
        "readout",
        "accuracy",
        "macro F1",
        "alpha",
        "non-zeros",
    ]
    assert "elm on faces: by readout" in lines
    one = {key: value for key, value in scores.items() if "a/b" not in key}
    print_scores(one, ClassResult, {}, "elm on faces", console())
    assert "by readout" not in capsys.readouterr().out


def test_the_kernel_inception_distances_of_real_images_and_of_noise_are_printed(capsys):
    scores = {"test/kid": 0.11, "baseline/kid_floor": -0.02, "baseline/kid_noise": 1.5}
    notes = {"kid": {"features": "small network", "images": 1000, "steps": 5}}
    print_scores(scores, DenoisingResult, notes, "unet on digits", console())
    assert printed_lines(capsys)[-2:] == [
        "KID 0.11; for comparison: real images -0.02, noise 1.5",
        "KID from the features of a small network, with 1,000 images of 5 sampler steps",
    ]
