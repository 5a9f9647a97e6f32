"""Each number, each loss and each device is checked before data are read: one line names the key and the value."""

import math
from functools import cache
from typing import Any

import pytest
from torch import nn
from user_errors import user_error_of

from adlx.config.catalog import options
from adlx.config.check import check_node
from adlx.config.compose import Composition, compose
from adlx.errors import UserError
from adlx.runs.check_settings import check_settings
from adlx.runs.devices import check_trainer
from adlx.runs.groups import GROUPS, checked
from adlx.tasks.losses import require_class_loss, require_difference

SCANNED = ("trainer", "optimizer", "loss", "callbacks", "task", "finetune")
CHOICES = [(group, name) for group in SCANNED for name in options(group)]
CHOICES += [("optimizer/schedule", name) for name in options("optimizer/schedule")]
WRONG = (-1, 0, math.nan, math.inf, "text")


@cache
def composed(*words: str) -> Composition:
    return compose(["model=nlinear", "data=fx", *words])


def numeric_keys(node: Any, where: str) -> list[str]:
    """The dotted keys of a node that hold a number, or a list of numbers."""
    if isinstance(node, dict):
        return [key for name, value in node.items() for key in numeric_keys(value, f"{where}.{name}")]
    values = node if isinstance(node, list) and node else [node]
    return [where] if all(type(value) in (int, float) for value in values) else []


def with_value(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy of a config with another value for a dotted key; the values of a list all change."""
    name, _, rest = key.partition(".")
    old = config[name]
    new = with_value(old, rest, value) if rest else [value] * len(old) if isinstance(old, list) else value
    return {**config, name: new}


def words_of(group: str, name: str) -> list[str]:
    return [f"{group}={name}", *(["finetune.run=base"] if group == "finetune" and name != "none" else [])]


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_a_number_of_a_config_file_is_accepted_or_refused_by_its_key(group, name):
    """Checks only the node itself, because the rest of the config does not belong to it."""
    composition = composed(*words_of(group, name))
    node = group.partition("/")[0]
    for key in numeric_keys(composition.config[node], node):
        for wrong in WRONG:
            config = with_value(composition.config, key, wrong)
            try:
                checked(config, composition.origin)
            except UserError as error:
                assert str(error).startswith(f"{key}="), (key, wrong)
                assert "\n" not in str(error)
            else:
                assert wrong == 0 or key == "trainer.devices", (key, wrong)  # -1: all devices; "0,1": two of them


@pytest.mark.parametrize(
    "word",
    [
        *("trainer.max_epochs=0", "trainer.max_epochs=-1", "trainer.max_steps=0", "trainer.log_every_n_steps=0"),
        *("trainer.accumulate_grad_batches=0", "trainer.gradient_clip_val=-1", "trainer.check_val_every_n_epoch=0"),
        *("trainer.limit_train_batches=0", "trainer.limit_train_batches=1.5", "trainer.limit_test_batches=0"),
        *("trainer.limit_val_batches=-1", "trainer.val_check_interval=0", "trainer.num_sanity_val_steps=-2"),
        *("trainer.threads=0", "trainer.threads=-1", "trainer.threads=few", "trainer.devices=0", "trainer.num_nodes=0"),
        *("optimizer.lr=-1", "optimizer.lr=nan", "optimizer.lr=inf", "optimizer.lr=fast", "optimizer.eps=-1"),
        *(
            "optimizer.betas=[0.9,1]",
            "optimizer.betas=[-0.1,0.9]",
            "optimizer.betas=[0.9]",
            "optimizer.weight_decay=-1",
        ),
        *("optimizer.schedule.warmup=-0.1", "optimizer.schedule.warmup=1.1", "optimizer.schedule.floor=-1"),
        *("callbacks.early_stopping.patience=-1", "callbacks.early_stopping.min_delta=-1"),
        *("seed=-1", "seed=1099511627776", "seed=1.5", "seed=true", "seed=one", "seed=null", "loss.reduction=none"),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_key(word):
    composition = composed(word)
    line = user_error_of(checked, composition.config, composition.origin)
    assert line.startswith(f"{word.partition('=')[0]}=")
    assert f"({word}) must be" in line


def test_the_last_of_equal_words_is_named():
    composition = composed("seed=3", "seed=-1")
    assert "(seed=-1)" in user_error_of(checked, composition.config, composition.origin)


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["loss=quantile", "loss.levels=[0,0.5]"], "loss.levels="),
        (["loss=quantile", "loss.levels=[0.9,0.5]"], "loss.levels="),
        (["loss=huber", "loss.delta=0"], "loss.delta="),
        (["optimizer=sgd", "optimizer.momentum=-1"], "optimizer.momentum="),
        (["optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=true"], "optimizer (SGD): Nesterov momentum"),
        (["optimizer.foreach=true"], "optimizer (Adam): `fused` and `foreach`"),
        (["optimizer.betas=[0.9,0.99,0.999]"], "optimizer.betas="),
        (["callbacks.early_stopping.mode=nonsense"], "callbacks.early_stopping (EarlyStopping): `mode`"),
        (["~callbacks.checkpoint"], "callbacks: a run needs checkpoints"),
        (["trainer.barebones=true"], "unknown key trainer.barebones"),
        (["callbacks=samples"], "callbacks.samples (DrawnSamples): "),
        (["trainer.gradient_clip_algorithm=x"], "trainer.gradient_clip_algorithm=x: "),
        (["trainer.accelerator=cpu", "trainer.devices=x"], "trainer.devices=x: "),
        (["trainer.accelerator=cpu", "trainer.devices=[0,1]"], "trainer.devices=[0, 1]: "),
        (["trainer.accelerator=nonsense"], "trainer.accelerator=nonsense: must be one of auto, cpu"),
        (["trainer.strategy=nonsense"], "trainer.strategy=nonsense: must be one of auto, ddp"),
        (["trainer.strategy=3"], "trainer.strategy="),
        (["trainer.precision=nonsense"], "trainer.precision="),
        (["trainer.precision=transformer-engine"], "trainer.precision=transformer-engine: "),
        (["trainer.accelerator=cpu", "trainer.precision=16-mixed", "optimizer.fused=false"], "trainer.precision=16-mi"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_before_data_are_read(words, start):
    def check() -> None:
        composition = composed(*words)
        check_settings(checked(composition.config, composition.origin))

    assert user_error_of(check).startswith(start)


@pytest.mark.parametrize("words", [["trainer=gpu"], ["trainer=ddp"], ["trainer.accelerator=gpu", "trainer.devices=3"]])
def test_a_missing_gpu_is_reported_in_one_line(words, monkeypatch):
    for kind in ("CUDA", "MPS"):
        monkeypatch.setattr(
            f"pytorch_lightning.accelerators.{kind}Accelerator.is_available", staticmethod(lambda: False)
        )
    line = user_error_of(check_trainer, composed(*words).config["trainer"])
    assert line.startswith("trainer.accelerator=gpu: PyTorch finds none on this machine; it finds cpu.")
    assert "{" not in line


def test_a_share_of_less_than_one_batch_is_refused(small, tmp_path):
    line = user_error_of(small, "trainer.limit_train_batches=0.1")
    assert line == "trainer.limit_train_batches=0.1 leaves none of 4 batches: give at least 0.25"
    assert not (tmp_path / "outputs").exists()


TASKS = {name: composed(f"task={name}").config["task"] for name in options("task")}
FITTING = {
    "forecast": {"mae", "mse", "huber", "quantile"},
    "classify": {"cross_entropy"},
    "closed_form": {"mse"},
    "denoise": {"mae", "mse", "huber"},
    "reconstruct": {"mae", "mse", "huber"},
    "reconstruct_fields": {"mse"},
    "rollout": {"mse"},
}


@pytest.mark.parametrize("loss", options("loss"))
@pytest.mark.parametrize("task", options("task"))
def test_a_loss_is_accepted_or_refused_by_a_task(task, loss):
    kind = check_node(TASKS[task], GROUPS["task"], "task", str).target
    made = check_node(composed(f"loss={loss}").config["loss"], GROUPS["loss"], "loss", str).build()
    if loss in FITTING[task]:
        kind.check_loss(made)
    else:
        with pytest.raises(ValueError, match=rf"^loss: [^\n]*{type(made).__name__}[^\n]*$|^loss: [^\n]*use loss="):
            kind.check_loss(made)


CLASS_LOSSES = [nn.CrossEntropyLoss(), nn.MultiMarginLoss()]
DIFFERENCES = [nn.L1Loss(), nn.MSELoss(), nn.HuberLoss(), nn.SmoothL1Loss(), nn.MSELoss(reduction="sum")]
NEITHER = [
    nn.NLLLoss(),
    nn.KLDivLoss(),
    nn.BCELoss(),
    nn.BCEWithLogitsLoss(),
    nn.GaussianNLLLoss(),
    nn.SoftMarginLoss(),
]
NEITHER += [nn.PoissonNLLLoss(), nn.CosineEmbeddingLoss(), nn.TripletMarginLoss(), nn.L1Loss(reduction="none")]


@pytest.mark.parametrize(
    ("require", "fitting"), [(require_difference, DIFFERENCES), (require_class_loss, CLASS_LOSSES)]
)
def test_losses_of_pytorch_are_accepted_or_refused(require, fitting):
    for loss in fitting:
        require(loss)
    for loss in {*CLASS_LOSSES, *DIFFERENCES, *NEITHER} - set(fitting):
        with pytest.raises(ValueError, match=f"^loss: {type(loss).__name__} "):
            require(loss)


class Own(nn.Module):
    """A loss that works only for two steps, because it has a weight for each."""

    def forward(self, prediction: Any, target: Any) -> Any:
        return ((prediction - target).abs().sum(dim=(0, 2)) @ prediction.new_tensor([1.0, 2.0])).sum()


def test_a_loss_of_the_users_own_is_accepted():
    require_difference(Own())
    require_class_loss(Own())
