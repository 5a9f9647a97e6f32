"""The probe for the number of threads leaves no trace in what is trained."""

import os
import random

import numpy as np
import pytest
import torch
from generators import walk_frame
from torch import nn

from adlx.config.compose import compose
from adlx.cpus import available_cpus
from adlx.runs import threads
from adlx.runs.build import build_data
from adlx.runs.groups import checked
from adlx.runs.start import new_task
from adlx.runs.threads import set_threads
from adlx.tasks.task import Task

CPU = torch.device("cpu")
CORES = available_cpus()


@pytest.fixture(autouse=True)
def same_number_after():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A task with everything that a careless probe would move: dropout, sampling, a batch norm's running mean."""
    monkeypatch.setattr(threads, "PROBE_SECONDS", 0.05)
    path = tmp_path / "series.csv"
    walk_frame(200).to_csv(path)
    words = ["model=seq2seq", "model.hidden=8", "model.layers=2", "model.dropout=0.5", "model.teacher_forcing=0.5"]
    made = compose([*words, "data=csv", f"data.path={path}", "data.context=12", "data.horizon=2"])
    config = checked(made.config, made.origin)
    data = build_data(config)
    data.setup("fit")
    task = new_task(config, data)
    task.fit_statistics(data)
    norm = nn.BatchNorm1d(2)
    honest = task.batch_loss

    def loss(batch):
        norm(batch[0][:, -1])
        return honest(batch)

    task.norm, task.batch_loss = norm, loss
    return task, next(iter(data.train_dataloader()))


def state(task: Task) -> dict[str, object]:
    weights = {name: value.clone() for name, value in task.state_dict().items()}
    random_state = {"torch": torch.get_rng_state(), "numpy": np.random.get_state()[1].copy(), "py": random.getstate()}
    return {**weights, **random_state}


@pytest.mark.parametrize("training", [True, False])
def test_the_probe_changes_nothing(prepared, training, monkeypatch):
    monkeypatch.setattr(threads, "available_cpus", lambda: 2)
    task, batch = prepared
    task.train(training)
    before, batch_before = state(task), [part.clone() for part in batch]
    chosen = set_threads("auto", task, batch, CPU)
    assert chosen in (1, 2)
    assert torch.get_num_threads() == chosen
    after = state(task)
    for key, value in before.items():
        same = torch.equal(value, after[key]) if torch.is_tensor(value) else np.array_equal(value, after[key])
        assert same if key != "py" else value == after[key], key
    assert all(parameter.grad is None for parameter in task.parameters())
    assert {module.training for module in task.modules()} == {training}
    assert all(torch.equal(*pair) for pair in zip(batch, batch_before, strict=True))


def test_the_faster_is_taken_and_said(prepared, monkeypatch, caplog):
    """By a clock on which a pass takes 5 ms on one thread and 3 on four, then the other way round."""
    task, batch = prepared
    monkeypatch.setattr(threads, "available_cpus", lambda: 4)
    now, number = [0.0], [0]
    for single, every, chosen in ((5e-3, 3e-3, 4), (3e-3, 5e-3, 1), (3e-3, 3e-3, 1)):
        seconds = {1: single, 4: every}
        monkeypatch.setattr(threads.torch, "set_num_threads", lambda n: number.__setitem__(0, n))
        monkeypatch.setattr(threads.time, "perf_counter", lambda: now[0])

        def loss(_, seconds=seconds):
            now[0] += seconds[number[0]]
            return next(task.parameters()).sum()

        task.batch_loss = loss
        caplog.clear()
        with caplog.at_level("INFO", "adlx"):
            assert set_threads("auto", task, batch, CPU) == chosen
        assert number == [chosen]
        times = f"{1e3 * single:.1f} ms a pass on 1, {1e3 * every:.1f} ms on 4; trainer.threads=N to choose"
        assert caplog.messages == [f"threads: {chosen} ({times})"]


def test_a_number_is_obeyed_and_nothing_is_tried(prepared):
    task, batch = prepared
    task.batch_loss = lambda batch: pytest.fail("a number needs no probe")
    for number in (1, 2, 3):
        assert set_threads(number, task, batch, CPU) == number == torch.get_num_threads()


def test_a_model_without_parameters_is_not_timed(prepared):
    task, batch = prepared
    task.batch_loss = lambda batch: pytest.fail("there is nothing to train")
    task.requires_grad_(False)
    assert set_threads("auto", task, batch, CPU) == CORES


def test_a_run_notes_its_number_and_a_resume_keeps_it(small):
    run = small("trainer.threads=1")
    assert run.info["threads"] == 1
    assert run.resume(["trainer.max_epochs=3"]).info["threads"] == 1


def test_another_device_is_not_timed(prepared):
    task, batch = prepared
    task.batch_loss = lambda batch: pytest.fail("the CPU does not train")
    assert set_threads("auto", task, batch, torch.device("cuda")) == CORES


def test_available_cpus_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert available_cpus() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert available_cpus() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cpus() == 1


@pytest.mark.parametrize(("processes", "share"), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_processes_share_the_cores(processes, share, prepared, monkeypatch):
    monkeypatch.setattr(threads, "available_cpus", lambda: 4)
    task, batch = prepared
    assert set_threads("auto", task, batch, torch.device("cuda"), processes) == share == torch.get_num_threads()
