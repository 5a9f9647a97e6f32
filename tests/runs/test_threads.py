"""The number of threads depends only on the config and the machine, and counting does not change the task."""

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
from adlx.runs.threads import operations_per_operator, set_threads
from adlx.tasks.task import Task

CPU = torch.device("cpu")
CORES = available_cpus()


@pytest.fixture(autouse=True)
def same_number_after():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def prepared(tmp_path):
    """A task with all that a careless count could change: dropout, sampling, the running mean of a batch norm."""
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
    original = task.batch_loss

    def loss(batch):
        norm(batch[0][:, -1])
        return original(batch)

    task.norm, task.batch_loss = norm, loss
    return task, next(iter(data.train_dataloader()))


def state(task: Task) -> dict[str, object]:
    weights = {name: value.clone() for name, value in task.state_dict().items()}
    random_state = {"torch": torch.get_rng_state(), "numpy": np.random.get_state()[1].copy(), "py": random.getstate()}
    return {**weights, **random_state}


@pytest.mark.parametrize("training", [True, False])
def test_counting_changes_nothing(prepared, training, monkeypatch):
    monkeypatch.setattr(threads, "available_cpus", lambda: 2)
    task, batch = prepared
    task.train(training)
    before, batch_before = state(task), [part.clone() for part in batch[:2]]
    chosen = set_threads("auto", task, batch, CPU)
    assert chosen in (1, 2)
    assert torch.get_num_threads() == chosen
    after = state(task)
    for key, value in before.items():
        same = torch.equal(value, after[key]) if torch.is_tensor(value) else np.array_equal(value, after[key])
        assert same if key != "py" else value == after[key], key
    assert all(parameter.grad is None for parameter in task.parameters())
    assert {module.training for module in task.modules()} == {training}
    assert all(torch.equal(*pair) for pair in zip(batch[:2], batch_before, strict=True))


def test_the_count_is_that_of_the_matrix_products(prepared):
    """A product of (10, 20) by (20, 30) is 2 * 10 * 20 * 30 operations, in one of two operators."""
    task, _ = prepared
    task.batch_loss = lambda batch: (torch.ones(10, 20) @ torch.ones(20, 30)).sum()
    with threads.OperatorCounter() as operators:
        task.batch_loss(None)
    assert operations_per_operator(task, None) == 2 * 10 * 20 * 30 / operators.count


@pytest.mark.parametrize(("side", "chosen"), [(8, 1), (512, 4)])
def test_large_operators_use_all_cores_and_small_ones_use_one(side, chosen, prepared, monkeypatch, caplog):
    monkeypatch.setattr(threads, "available_cpus", lambda: 4)
    task, batch = prepared
    task.batch_loss = lambda batch: (torch.ones(side, side) @ torch.ones(side, side)).sum()
    with caplog.at_level("INFO", "adlx"):
        assert set_threads("auto", task, batch, CPU) == chosen == torch.get_num_threads()
    assert caplog.messages == [f"threads: {chosen} of 4 cores (trainer.threads=N to choose)"]


def test_the_choice_does_not_depend_on_measured_time(prepared, monkeypatch):
    import time

    monkeypatch.setattr(threads, "available_cpus", lambda: 4)
    for clock in ("perf_counter", "time", "monotonic", "process_time"):
        monkeypatch.setattr(time, clock, lambda: pytest.fail("the choice looks at a clock"))
    task, batch = prepared
    assert set_threads("auto", task, batch, CPU) == 1


def test_waiting_threads_sleep():
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_a_given_number_is_used_without_counting(prepared):
    task, batch = prepared
    task.batch_loss = lambda batch: pytest.fail("a number needs no count")
    for number in (1, 2, 3):
        assert set_threads(number, task, batch, CPU) == number == torch.get_num_threads()


def test_a_model_without_parameters_is_not_counted(prepared):
    task, batch = prepared
    task.batch_loss = lambda batch: pytest.fail("there is nothing to train")
    task.requires_grad_(False)
    assert set_threads("auto", task, batch, CPU) == CORES


def test_a_run_stores_its_number_and_a_resume_keeps_it(small):
    run = small("trainer.threads=1")
    assert run.info["threads"] == 1
    assert run.resume(["trainer.max_epochs=3"]).info["threads"] == 1


def test_another_device_is_not_counted(prepared):
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
