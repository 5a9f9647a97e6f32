"""Comparisons of rollouts of fields; the runs are written without training."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from adlx.comparison.compare import compare
from adlx.metrics.field_errors import vrmse
from adlx.metrics.fields import FieldResult, losses
from adlx.metrics.significance import confidence_set

SHAPE = (6, 10, 2)


def result(size: float, seed: int = 0, rollout: bool = True, start: int = 1) -> FieldResult:
    truth, own = np.random.default_rng(0), np.random.default_rng(seed + 1)
    return FieldResult(
        names=("u", "p"),
        error=size * own.uniform(0.5, 1.5, SHAPE),
        onestep_error=0.1 * size * own.uniform(0.5, 1.5, SHAPE) if rollout else None,
        baseline_error=np.full(SHAPE, 2.0),
        variance=truth.uniform(0.5, 1.5, SHAPE),
        power=np.full(SHAPE, 3.0),
        index=np.arange(6),
        start=start,
    )


@pytest.fixture
def folder(tmp_path):
    def write(name: str, model: str, outcome: FieldResult, seed: int = 0):
        path = tmp_path / name
        path.mkdir()
        nodes = {node: {} for node in ("task", "loss", "finetune", "trainer", "callbacks", "logger", "optimizer")}
        config = {"model": {"_target_": f"adlx.{model}"}, "data": {"_target_": "adlx.well"}, **nodes, "seed": seed}
        (path / "config.yaml").write_text(yaml.safe_dump({**config, "output_dir": name}))
        facts = {"status": "finished", "seed": seed, "choices": {"model": model, "data": "well"}, "data": {}}
        facts["result"] = "adlx.metrics.fields.FieldResult"
        (path / "run.json").write_text(json.dumps(facts))
        sizes = {"model/parameters": 7, "model/trainable_parameters": 7, "fit/seconds": 2.0}
        (path / "metrics.json").write_text(json.dumps({**outcome.scores(), **sizes}))
        outcome.save(path / "predictions.npz")
        return path

    return write


def test_rollouts_are_compared_by_trajectory(folder):
    results = {"sea": [result(0.3), result(0.35, seed=1)], "dmd": [result(0.9, seed=2)]}
    paths = [
        folder(f"{model}{seed}", model, outcome, seed)
        for model, group in results.items()
        for seed, outcome in enumerate(group)
    ]
    comparison = compare(paths)
    assert comparison.metric.key == "test/rollout_vrmse"
    table = comparison.table.set_index("label")
    assert list(table.index) == ["sea", "dmd"]
    for model, group in results.items():
        assert table["mean"][model] == pytest.approx(np.mean([losses(one).mean() for one in group]))
        onestep = np.mean([vrmse(one.onestep_error, one.variance).mean() for one in group])
        assert table["onestep_vrmse"][model] == pytest.approx(onestep)
    means = {model: np.mean([losses(one) for one in group], axis=0) for model, group in results.items()}
    expected = confidence_set(means, block=1)
    assert table["mcs_pvalue"].to_dict() == expected
    assert expected["dmd"] < 0.1 < expected["sea"]
    frame = comparison.details["fields"].set_index("VRMSE by field")
    assert list(frame.index) == ["sea", "dmd", "frozen"]
    dmd = results["dmd"][0]
    assert list(frame.columns) == ["u", "u_std", "p", "p_std"]
    by_field = frame[["u", "p"]]
    assert by_field.loc["dmd"].tolist() == pytest.approx(vrmse(dmd.error, dmd.variance).mean(axis=0).tolist())
    frozen = vrmse(dmd.baseline_error, dmd.variance).mean(axis=0)
    assert by_field.loc["frozen"].tolist() == pytest.approx(frozen.tolist())
    sea = np.array([vrmse(one.error, one.variance).mean(axis=0) for one in results["sea"]])
    assert by_field.loc["sea"].tolist() == pytest.approx(sea.mean(axis=0).tolist())
    assert frame.loc["sea", ["u_std", "p_std"]].tolist() == pytest.approx(sea.std(axis=0, ddof=1).tolist())
    assert frame.loc[["dmd", "frozen"], ["u_std", "p_std"]].isna().all(axis=None)
    assert "one step" in comparison.texts
    assert "| frozen |" in comparison.markdown()


def test_a_comparison_of_rollouts_draws_error_by_field_and_against_time(folder, tmp_path):
    paths = [folder(model, model, result(size)) for model, size in (("sea", 0.3), ("dmd", 0.9))]
    written = compare(paths).write(tmp_path / "out.png")
    assert [path.name for path in written] == ["out.png", "out_fields.png", "out_error_by_time.png"]
    written = compare(paths).write(tmp_path / "out.csv")
    assert [path.name for path in written] == ["out.csv", "out_fields.csv"]


def test_autoencoders_of_fields_are_compared_by_vrmse(folder):
    paths = [folder(name, name, result(size, rollout=False, start=0)) for name, size in (("a", 0.2), ("b", 0.4))]
    comparison = compare(paths)
    assert comparison.metric.key == "test/vrmse"
    assert list(comparison.details["fields"]["VRMSE by field"]) == ["a", "b", "mean frame"]
    assert "one step" not in comparison.texts


def test_different_trajectories_have_no_confidence_set(folder):
    one = result(0.3)
    assert one.is_of_same_samples(result(0.9, seed=4))
    others = {
        "index": np.arange(1, 7),
        "variance": one.variance * 1.001,
        "names": ("u", "v"),
    }
    for name, value in others.items():
        assert not one.is_of_same_samples(replace(one, **{name: value}))
    moved = replace(one, index=np.arange(1, 7))
    table = compare([folder("a", "sea", one), folder("b", "dmd", moved)]).table
    assert table["mcs_pvalue"].isna().all()


def test_models_with_different_seed_frames_are_compared_on_the_frames_that_all_predict(folder):
    one, whole = result(0.3), result(0.9, seed=4)
    later = whole.after(4)
    assert later.error.shape == (6, 7, 2)
    comparison = compare([folder("a", "sea", one), folder("b", "dmd", later)])
    frame = comparison.details["fields"].set_index("VRMSE by field")[["u", "p"]]
    for label, full in (("sea", one), ("dmd", whole)):
        by_hand = np.sqrt(full.error[:, 3:].sum(axis=1) / full.variance[:, 3:].sum(axis=1)).mean(axis=0)
        assert frame.loc[label].tolist() == pytest.approx(by_hand.tolist())
    assert comparison.table["mcs_pvalue"].notna().all()
    never = replace(later, start=20)  # the other result ends before this one begins
    assert compare([folder("c", "sea", one), folder("d", "dmd", never)]).table["mcs_pvalue"].isna().all()


def test_a_diverged_rollout_comes_last(folder):
    diverged = result(0.3, seed=3)
    diverged.error[2, 4:] = np.nan
    comparison = compare([folder("a", "dmd", diverged), folder("b", "sea", result(0.5))])
    assert comparison.table["label"].tolist() == ["sea", "dmd"]
    assert comparison.table["mean"].tolist()[1] == np.inf
    assert comparison.table["mcs_pvalue"].isna().all()
    assert "inf" in comparison.markdown() or "–" in comparison.markdown()
