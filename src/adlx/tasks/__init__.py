"""Objectives: how a kind of model is trained and scored."""

from torch import nn

from adlx.tasks.classify import Classify
from adlx.tasks.closed_form import ClosedForm
from adlx.tasks.denoise import Denoise
from adlx.tasks.forecast import Forecast
from adlx.tasks.reconstruct import Reconstruct
from adlx.tasks.reconstruct_fields import ReconstructFields
from adlx.tasks.rollout import Rollout
from adlx.tasks.task import Task

TASKS: tuple[type[Task], ...] = (Forecast, ClosedForm, Classify, Reconstruct, Denoise, ReconstructFields, Rollout)
"""The first whose kind of model fits is the one."""


def task_for(model: type[nn.Module]) -> type[Task]:
    """The task that trains this kind of model."""
    for task in TASKS:
        if issubclass(model, task.model_kind):
            return task
    kinds = ", ".join(task.model_kind.__name__ for task in TASKS)
    raise TypeError(f"{model.__name__} is none of the kinds that a task can train: {kinds}")
