"""Multiruns: the plan, failing jobs, the table at the end, and resuming the missing jobs."""

import json

import pandas as pd
import pytest
from user_errors import user_error_of

from adlx.api import Run
from adlx.cli import resume as resume_verb
from adlx.cli import train as train_verb
from adlx.errors import RunFailed, UserError
from adlx.runs.jobs import entries
from adlx.runs.train import start as real_start
from adlx.sweeps.hooks import Once, log
from adlx.sweeps.multirun import summarize
from adlx.sweeps.resume import resume_sweep


@pytest.fixture
def sweep(small_words, tmp_path, monkeypatch):
    """A sweep of four jobs. The two with `model.season=99` fail, since the context is 12."""
    monkeypatch.chdir(tmp_path)
    words = [word for word in small_words if not word.startswith("model=")]
    grid = ["model=seasonal_naive", "model.season=3,99", "seed=0,1"]
    with pytest.raises(SystemExit) as caught:
        train_verb.main(["-m", *grid, *words, "data.split=[0.6,0.2,0.2]", "output_dir=out"])
    assert caught.value.code == 1
    (folder,) = (tmp_path / "out" / "multirun").iterdir()
    return folder


LINE = "model.season=99 must lie within data.context=12"


def test_a_failing_job_does_not_stop_the_others(sweep, tmp_path, capsys):
    jobs = entries(sweep)
    assert list(jobs) == [0, 1, 2, 3]
    assert [jobs[number]["error"] for number in range(4)] == [None, None, LINE, LINE]
    assert summarize(sweep).failed == {2: jobs[2], 3: jobs[3]}
    assert [job["overrides"][:3] for job in jobs.values()] == [
        ["model=seasonal_naive", f"model.season={season}", f"seed={seed}"] for season in (3, 99) for seed in (0, 1)
    ]
    runs = [Run.open(jobs[number]["run"]) for number in (0, 1)]
    assert [(run.status, run.info["seed"], run.name) for run in runs] == [
        ("finished", 0, "seasonal_naive-csv"),
        ("finished", 1, "seasonal_naive-csv"),
    ]
    assert jobs[2]["run"] is jobs[3]["run"] is None
    assert len(list((tmp_path / "out" / "seasonal_naive-csv").iterdir())) == 2
    plan = json.loads((sweep / "multirun.json").read_text())
    assert plan["jobs"] == [job["overrides"] for job in jobs.values()]

    summary = pd.read_csv(sweep / "summary.csv")
    assert summary[["label", "n"]].to_numpy().tolist() == [["seasonal_naive", 2]]
    assert summary.loc[0, "mean"] == pytest.approx(runs[0].metrics["test/skill"])
    assert (summary.loc[0, "std"], runs[1].metrics["test/skill"]) == (0, runs[0].metrics["test/skill"])
    assert (sweep / "summary.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(RunFailed, match=r"^2 of 4 jobs failed$"):  # again, for the same reason
        resume_verb.main([str(sweep)])
    assert len(list((tmp_path / "out" / "seasonal_naive-csv").iterdir())) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "test/skill on csv, 2 runs"
    assert lines[-3:] == [
        *(f"job {number} ({' '.join(jobs[number]['overrides'])}) failed: {LINE}" for number in (2, 3)),
        f"multirun: {sweep}",
    ]
    assert "data.split=[0.6,0.2,0.2]" in lines[-2]  # rich does not read the brackets as markup


def test_a_resume_runs_only_the_missing_jobs(sweep, tmp_path, monkeypatch):
    """Job 0 has no record, job 1 was interrupted, and jobs 2 and 3, which failed, can now run."""
    jobs = entries(sweep)
    (sweep / "jobs" / "0.json").unlink()
    stopped = Run.open(jobs[1]["run"])
    scores = dict(stopped.metrics)
    stopped.update(status="interrupted")
    (stopped.path / "metrics.json").unlink()
    plan = json.loads((sweep / "multirun.json").read_text())
    for words in plan["jobs"]:
        words[1] = words[1].replace("99", "4")
    (sweep / "multirun.json").write_text(json.dumps(plan))
    started = []

    def start(composition, created):
        started.append(composition.overrides[1:3])
        return real_start(composition, created)

    monkeypatch.setattr("adlx.sweeps.resume.start", start)
    resume_verb.main([str(sweep)])
    assert started == [
        ["model.season=3", "seed=0"],
        ["model.season=4", "seed=0"],
        ["model.season=4", "seed=1"],
    ]
    after = entries(sweep)
    assert summarize(sweep).failed == {}
    assert after[1]["run"] == jobs[1]["run"]
    assert after[0]["run"] != jobs[0]["run"]
    assert Run.open(after[1]["run"]).metrics["test/mase"] == scores["test/mase"]
    assert all(Run.open(entry["run"]).status == "finished" for entry in after.values())
    assert pd.read_csv(sweep / "summary.csv")["n"].tolist() == [2, 2]
    files = {path: path.read_bytes() for path in (tmp_path / "out" / "seasonal_naive-csv").rglob("metrics.json")}

    started.clear()
    assert resume_sweep(sweep, [], str) == 4
    assert started == []  # nothing is missing
    assert files == {path: path.read_bytes() for path in files}


def test_the_plan_of_a_sweep_gives_no_trust(sweep, canary):
    """The `allow=` in a plan that somebody else wrote does not count."""
    plan = json.loads((sweep / "multirun.json").read_text())
    evil = ["allow=[evil_pkg]", "model=naive", "model._target_=evil_pkg.model.Evil"]
    plan["jobs"][2] = [*evil, *plan["jobs"][2][2:]]
    (sweep / "multirun.json").write_text(json.dumps(plan))
    with pytest.raises(UserError) as caught:
        resume_sweep(sweep, [], str)
    assert str(caught.value) == (
        f"job 2 of {sweep} names a package: evil_pkg is not trusted here; if it is yours, "
        "add 'allow=[evil_pkg]' to the command once"
    )
    with pytest.raises(UserError, match=r"^seed=1: a resumed sweep keeps its jobs as planned"):
        resume_sweep(sweep, ["seed=1"], str)
    assert canary.silent
    with pytest.raises(RunFailed, match=r"^1 of 4 jobs failed$"):  # the other season that is too long
        resume_verb.main([str(sweep), "allow=[evil_pkg]"])
    assert Run.open(entries(sweep)[2]["run"]).status == "finished"


def test_a_missing_config_folder_of_a_sweep_is_named(tmp_path):
    gone = str(tmp_path / "gone")
    plan = {"words": [], "jobs": [["model=naive", "data=mine"]], "config_folders": [gone]}
    (tmp_path / "multirun.json").write_text(json.dumps(plan))
    line = user_error_of(resume_sweep, tmp_path, [], str)
    assert line.startswith("unknown data=mine")
    assert line.endswith(f"; its config folder {gone} does not exist: add --config-dir with its new path")


def test_a_sweep_without_planned_jobs_is_not_resumed(tmp_path):
    (tmp_path / "multirun.json").write_text(json.dumps({"words": [], "jobs": []}))
    with pytest.raises(UserError) as caught:
        resume_sweep(tmp_path, [], str)
    assert str(caught.value) == (
        f"{tmp_path}: this sweeper does not plan its jobs in advance; resume its runs one by one"
    )


@pytest.fixture
def log_lines(caplog):
    caplog.set_level("INFO", logger="adlx")
    return caplog


def test_equal_log_lines_of_jobs_are_shown_once(log_lines, sweep):
    lines = [record.getMessage() for record in log_lines.get_records("setup")]
    assert sum(line.startswith("data: ") for line in lines) == 1
    assert sum(line.startswith("job ") and "skill" in line for line in lines) == 2
    assert not [entry for entry in log.filters if isinstance(entry, Once)]
