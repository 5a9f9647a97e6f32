"""Learning rates equal their formula."""

import math

import pytest
import torch

from adlx.tasks.schedules import Cosine


def rates(steps: int, **arguments) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    schedule = Cosine(optimizer, total_steps=steps, **arguments)
    seen = []
    for _ in range(steps + 5):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_warm_up_then_half_a_cosine_to_the_floor():
    seen = rates(100, warmup=0.1, floor=0.2)
    assert seen[:10] == pytest.approx([0.2 * step / 10 for step in range(1, 11)], rel=1e-12)
    for step in range(10, 100):
        share = 0.2 + 0.8 * (1 + math.cos(math.pi * (step - 10) / 90)) / 2
        assert seen[step] == pytest.approx(0.2 * share, rel=1e-12)
    assert seen[55] == pytest.approx(0.2 * 0.6, rel=1e-12)  # half-way
    assert seen[100:] == pytest.approx([0.04] * 5, rel=1e-12)


def test_without_warm_up_the_first_step_is_at_the_full_rate():
    seen = rates(50, warmup=0.0)
    assert seen[0] == 0.2
    assert seen[50] == pytest.approx(0.0, abs=1e-12)
    assert seen == sorted(seen, reverse=True)


def test_a_training_of_one_step_has_the_full_rate():
    assert rates(1)[0] == pytest.approx(0.2)
