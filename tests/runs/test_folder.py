"""The run folder: each run has its own, even if several start at the same instant, and its files are readable."""

import hashlib
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from user_errors import user_error_of

import adlx
from adlx.config.catalog import NODES
from adlx.config.compose import compose
from adlx.errors import UserError
from adlx.runs.folder import RunFolder, new_folder, write_json
from adlx.runs.provenance import git_commit

NAME = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{6}")


@pytest.fixture
def created(tmp_path):
    def create() -> RunFolder:
        composition = compose(["model=naive", "data=fx", f"output_dir={tmp_path}", "seed=7"])
        data = {"source": "ecb", "fingerprint": "abc"}
        return RunFolder.create(composition, composition.config, data, "adlx.metrics.forecast.ForecastResult")

    return create


def test_fifty_runs_of_one_instant_have_fifty_folders(created, tmp_path):
    with ThreadPoolExecutor(50) as pool:
        paths = list(pool.map(lambda _: new_folder(tmp_path / "x"), range(50)))
    assert len({*paths}) == 50
    assert all(path.is_dir() and NAME.fullmatch(path.name) for path in paths)


def test_an_existing_folder_is_not_used_again(tmp_path, monkeypatch):
    tokens = iter(["aaaaaa", "aaaaaa", "bbbbbb"])
    monkeypatch.setattr("adlx.runs.folder.secrets.token_hex", lambda count: next(tokens))
    first, second = new_folder(tmp_path), new_folder(tmp_path)
    assert first.name.endswith("_aaaaaa")
    assert second.name.endswith("_bbbbbb") or first.name[:19] != second.name[:19]


def test_create_writes_config_and_facts(created, tmp_path):
    run = created()
    assert run.path.parent == tmp_path / "naive-fx"
    assert NAME.fullmatch(run.path.name)
    assert {path.name for path in run.path.iterdir()} == {"config.yaml", "run.json"}
    again = adlx.open_run(str(run.path))
    assert again.info == run.info == json.loads((run.path / "run.json").read_text())
    assert again.config == compose(["model=naive", "data=fx", f"output_dir={tmp_path}", "seed=7"]).config
    assert (again.status, again.name, again.title, again.metrics) == ("running", "naive-fx", "naive on fx", {})
    assert repr(again) == f"Run('{run.path}', running)"
    assert repr(run) == f"RunFolder('{run.path}', running)"
    assert (again.info["result"], again.info["config_folders"]) == ("adlx.metrics.forecast.ForecastResult", [])
    run.info["data"]["simulated"] = True
    assert run.title == "naive on fx (simulated)"


def test_facts_of_a_finished_run(finished, table, small_words):
    info = finished.info
    assert info["status"] == "finished"
    assert info["command"].startswith("adlx train " + " ".join(small_words[:2]) + " ")
    assert info["seed"] == finished.config["seed"] == 0
    assert info["choices"]["model"] == "nlinear"
    for library in ("adlx", "torch", "pytorch-lightning", "hydra-core", "omegaconf", "numpy", "pandas", "torchmetrics"):
        assert info["versions"][library] == version(library)
    assert info["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert pd.Timestamp(info["created"]).tzinfo is not None
    assert (info["threads"], info["seconds"]) == (1, finished.metrics["fit/seconds"])
    assert 50 < info["peak_memory_mb"] == finished.metrics["fit/peak_memory_mb"]
    assert finished.metrics["fit/steps_per_second"] == pytest.approx(8 / info["seconds"])

    frame = pd.read_csv(table, index_col=0, parse_dates=True)
    trained_on = frame.iloc[:140]  # 70 % of 200
    digest = hashlib.sha256(repr((["S0", "S1"], trained_on.index[0], trained_on.index[-1])).encode())
    digest.update(np.ascontiguousarray(trained_on.to_numpy()).tobytes())
    assert info["data"] == {
        "source": "csv",
        "detail": "series.csv",
        "simulated": False,
        "series": ["S0", "S1"],
        "rows": 200,
        "start": "2024-01-01T00:00:00+00:00",
        "end": "2024-01-09T07:00:00+00:00",
        "step": "1 hour",
        "clock": {"kind": "Steps", "step": 3_600_000_000_000},
        "zone": "UTC",
        "layout": "wide",
        "trained_from": "2024-01-01T00:00:00+00:00",
        "trained_until": "2024-01-06T19:00:00+00:00",
        "seen_until": "2024-01-08T01:00:00+00:00",
        "windows": {"train": 127, "val": 29, "test": 29},
        "fingerprint": digest.hexdigest(),
    }


def test_files_of_a_finished_run(finished):
    files = {path.relative_to(finished.path).as_posix() for path in finished.path.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.png" for name in ("forecast", "horizon_error", "series_skill", "training_curves")}
    assert files - {".lock"} == {
        *("config.yaml", "run.json", "metrics.json", "metrics.csv", "predictions.npz"),
        *("checkpoints/best.ckpt", "checkpoints/last.ckpt"),
        *figures,
    }


def test_the_git_commit_says_whether_files_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() is None

    def git(*words: str) -> str:
        name = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *name, *words], check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    Path("a").write_text("1")
    git("add", "a")
    git("commit", "-m", "Begin")
    commit = git("rev-parse", "HEAD")
    assert len(commit) == 40
    assert git_commit() == commit
    Path("a").write_text("2")
    assert git_commit() == f"{commit}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() is None


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        _ = RunFolder.open(path).config
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_opening_a_damaged_folder_is_refused_in_one_line(created, tmp_path):
    assert refusal(tmp_path / "nowhere") == f"no run folder {tmp_path / 'nowhere'}"
    run = created()
    facts, config = run.path / "run.json", run.path / "config.yaml"
    whole = config.read_text()
    lines = {
        "model: [1\n": f"{config} is not YAML: ",
        "model: !!python/object/apply:os.system ['touch sang']\n": f"{config} is not YAML: could not determine",
        "just words\n": f"{config} is not a config of adlx: it lacks {', '.join(NODES)}",
        "[1, 2]\n": f"{config} is not a config of adlx: it must hold the keys {', '.join(NODES)}",
        whole.replace("seed: 7", "seed: ${oc.env:HOME}"): f"{config} is not a resolved config",
        "model: {}\ndata: {}\nloss: {}\n": (
            f"{config} is not a config of adlx: it lacks task, optimizer, finetune, trainer, callbacks, logger"
        ),
        "": f"{config} is not a config of adlx: it lacks {', '.join(NODES)}",
    }
    for text, line in lines.items():
        config.write_text(text)
        assert refusal(run.path).startswith(line), text
    config.unlink()
    assert refusal(run.path).startswith(f"{config} cannot be read: ")
    facts.write_text('{"status": ')
    assert refusal(run.path).startswith(f"{facts} cannot be read: Expecting value")
    facts.write_bytes(b"\xff\xfe\x00")
    assert refusal(run.path).startswith(f"{facts} cannot be read: ")
    facts.unlink()
    assert refusal(run.path) == f"{run.path} is not a run folder: it has no run.json"


def test_the_checkpoint_of_a_run_is_the_best_or_else_the_last(created):
    run = created()
    run.last.parent.mkdir()
    for path in (run.last, run.best):
        path.touch()
        assert run.checkpoint == path


def test_an_unfinished_run_is_refused_where_a_finished_one_is_needed(created):
    run = created()
    where = f"is running, not finished: adlx resume {run.path}"
    assert user_error_of(run.require_finished) == f"{run.path} {where}"
    assert user_error_of(run.require_finished, "finetune.run") == f"finetune.run={run.path} {where}"
    run.update(status="finished")
    run.require_finished()


def test_a_second_process_that_trains_the_run_is_refused(copied, small):
    other = adlx.open_run(copied.path)
    with copied.locked():
        with pytest.raises(UserError, match=f"^{copied.path} is in use: another process is training it$"):
            other.resume(["trainer.max_epochs=4"])
        assert adlx.open_run(copied.path).status == "finished"  # the refused one changed nothing
    assert other.resume(["trainer.max_epochs=3"]).status == "finished"


def test_discard_removes_the_folder_and_its_empty_parent(created, tmp_path):
    first, second = created(), created()
    first.discard()
    assert not first.path.exists()
    assert second.path.is_dir()
    second.discard()
    assert list(tmp_path.iterdir()) == []


def test_update_keeps_the_facts(created):
    run = created()
    run.update(status="failed", reason="x")
    again = adlx.open_run(run.path)
    assert (again.status, again.info["reason"], again.info["seed"]) == ("failed", "x", 7)


def test_only_the_first_of_several_processes_writes(created, monkeypatch):
    run = created()
    monkeypatch.setenv("LOCAL_RANK", "1")
    run.update(status="failed")
    assert adlx.open_run(run.path).status == "running"


def test_a_failed_write_of_json_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
