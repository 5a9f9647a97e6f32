"""`--against`: the metric as a function of a number; and the columns for runs with frozen weights."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import adlx
from adlx.cli import compare as compare_verb
from adlx.comparison.compare import compare, trace
from adlx.errors import UserError
from adlx.runs.folder import write_json, write_yaml

LORA = {"_target_": "adlx.runs.finetune.LoRA", "rank": 2}


@pytest.fixture
def written(finished, tmp_path):
    """Returns a function that copies a finished run without its forecasts and changes the given settings."""

    def write(name: str, mase: float, metrics: dict | None = None, seed: int = 0, **nodes):
        path = tmp_path / name
        shutil.copytree(finished.path, path, ignore=shutil.ignore_patterns("checkpoints", "predictions.npz", "*.png"))
        changed = {node: {**finished.config[node], **settings} for node, settings in nodes.items()}
        write_yaml(path / "config.yaml", {**finished.config, **changed, "seed": seed})
        write_json(path / "metrics.json", {**finished.metrics, "test/mase": mase, **(metrics or {})})
        info = json.loads((path / "run.json").read_text())
        info["choices"]["finetune"] = "lora" if nodes.get("finetune") else "none"
        write_json(path / "run.json", info)
        return path

    return write


def test_against_a_key_of_the_config(written):
    """Each value has one point for all seeds. The key is not in the label, so that one line joins all values."""
    paths = [
        written("a", 1.5, seed=0, data={"train_windows": 32}),
        written("b", 1.3, seed=1, data={"train_windows": 32}),
        written("c", 1.0, data={"train_windows": 128}),
        written("d", 1.2, data={"train_windows": 32}, model={"individual": True}),
    ]
    comparison = compare(paths, "test/mase", "data.train_windows")
    curve = comparison.curve
    assert curve.columns.name == "data.train_windows"
    assert curve[["label", "x", "n", "mean"]].to_numpy().tolist() == [
        ["nlinear individual=False", 32.0, 2, 1.4],
        ["nlinear individual=False", 128.0, 1, 1.0],
        ["nlinear individual=True", 32.0, 1, 1.2],
    ]
    assert curve["std"].tolist()[0] == pytest.approx(np.std([1.5, 1.3], ddof=1))
    assert curve["std"].isna().tolist() == [False, True, True]
    assert sorted(comparison.table["label"]) == [
        "nlinear individual=False data.train_windows=128",
        "nlinear individual=False data.train_windows=32",
        "nlinear individual=True data.train_windows=32",
    ]
    assert compare(paths, "test/mase").curve is None


def test_against_a_metric(written):
    paths = [
        written(f"r{rank}", 1 / rank, {"model/trainable_parameters": 26 * rank}, finetune={**LORA, "rank": rank})
        for rank in (2, 8)
    ]
    curve = trace([adlx.open_run(path) for path in paths], "test/mase", "model/trainable_parameters")
    assert curve[["label", "x", "mean"]].to_numpy().tolist() == [
        ["nlinear lora rank=2", 52.0, 0.5],
        ["nlinear lora rank=8", 208.0, 0.125],
    ]


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("data.train_window", "has no number data.train_window (it is None); did you mean data.train_windows?: "),
        ("data.scaling", "has no number data.scaling (it is standard)"),
        ("data.instance_norm", "has no number data.instance_norm (it is True)"),
    ],
)
def test_against_needs_a_number(key, line, written):
    path = written("a", 1.0, data={"train_windows": 32})
    with pytest.raises(UserError) as caught:
        compare([path], against=key)
    assert str(caught.value).startswith(f"{path} {line}")
    assert str(caught.value).endswith(": --against needs one")


def test_a_run_without_the_number_is_named(written):
    paths = [written("a", 1.0, data={"train_windows": 32}), written("b", 1.0)]
    with pytest.raises(UserError, match=rf"^{paths[1]} has no number data\.train_windows \(it is None\)"):
        compare(paths, against="data.train_windows")


def test_out_writes_the_curve_to_a_file_of_its_own(written, tmp_path, capsys):
    paths = [str(written(f"r{count}", 40 / count, data={"train_windows": count})) for count in (32, 64)]
    words = [*paths, "--metric", "test/mase", "--against", "data.train_windows", "--out"]
    compare_verb.main([*words, str(tmp_path / "t.csv")])
    wrote = [f"wrote {tmp_path / name}" for name in ("t.csv", "t_against.csv")]
    assert capsys.readouterr().out.splitlines()[-2:] == wrote
    table = pd.read_csv(tmp_path / "t_against.csv")
    assert table[["label", "x", "n", "mean"]].to_numpy().tolist() == [
        ["nlinear", 32.0, 1, 1.25],
        ["nlinear", 64.0, 1, 0.625],
    ]
    compare_verb.main([*words, str(tmp_path / "t.png")])
    lines = capsys.readouterr().out.splitlines()
    for line, name in zip(lines[-2:], ("t.png", "t_against.png"), strict=True):
        assert line == f"wrote {tmp_path / name}"
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    compare_verb.main([*words[:4], "--out", str(tmp_path / "u.png")])
    assert not (tmp_path / "u_against.png").exists()


def test_trained_weights_and_checkpoint_size_are_columns_if_weights_are_frozen(written):
    """A run of an older version has no checkpoint size: its cell is a dash."""
    sizes = {"model/parameters": 3000, "model/trainable_parameters": 3000, "fit/checkpoint_kb": 48.4}
    whole = written("whole", 1.1, sizes)
    part = {**sizes, "model/trainable_parameters": 1200, "fit/checkpoint_kb": 9.6}
    tuned = written("tuned", 1.0, part, finetune=LORA)
    assert "trained" not in list(compare([whole], "test/mase").texts)
    comparison = compare([whole, tuned], "test/mase")
    assert list(comparison.texts)[-4:] == ["parameters", "trained", "checkpoint kB", "seconds"]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in comparison.markdown().splitlines()]
    assert [row[0] for row in rows[2:]] == ["nlinear lora", "nlinear"]
    assert [row[-4:-1] for row in rows[2:]] == [["3,000", "1,200", "10"], ["3,000", "3,000", "48"]]
    metrics = json.loads((whole / "metrics.json").read_text())
    del metrics["fit/checkpoint_kb"]
    write_json(whole / "metrics.json", metrics)
    assert compare([whole, tuned], "test/mase").markdown().splitlines()[-1].split("|")[-3].strip() == "-"
