"""The result of a check: classes instead of their names, and arguments of the types of their annotations."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.profilers import SimpleProfiler
from torch import nn
from user_errors import user_error_of

from adlx.config.catalog import options
from adlx.config.check import check, check_node
from adlx.config.compose import compose
from adlx.config.nodes import CheckedConfig, Group, Node, Part
from adlx.config.paths import with_absolute_paths
from adlx.data.series.fx import FX
from adlx.models.fields.interfaces import FieldAutoencoder
from adlx.models.fields.sea import SEA
from adlx.models.fields.sea_autoencoder import SEAAutoencoder
from adlx.models.forecasting.seq2seq import Seq2Seq
from adlx.runs.checkpoints import Checkpoint
from adlx.runs.finetune import LoRA
from adlx.runs.groups import GROUPS, checked
from adlx.tasks.forecast import Forecast
from adlx.tasks.quantiles import Pinball
from adlx.tasks.schedules import Cosine


def nowhere(key: str) -> str:
    return f"at {key}"


def config_of(*words: str) -> CheckedConfig:
    composition = compose(words or ["model=seq2seq", "data=fx"])
    return check(composition.config, GROUPS, composition.origin)


@pytest.fixture(scope="module")
def config() -> CheckedConfig:
    return config_of("model=seq2seq", "data=fx", "loss=quantile", "finetune=lora", "finetune.run=base", "seed=7")


def test_every_node_has_its_class(config):
    singles = (config.model, config.data, config.task, config.loss, config.optimizer, config.finetune, config.trainer)
    assert [node.target for node in singles] == [Seq2Seq, FX, Forecast, Pinball, torch.optim.Adam, LoRA, pl.Trainer]
    assert {name: node.target for name, node in config.callbacks.items()} == {
        "checkpoint": Checkpoint,
        "early_stopping": EarlyStopping,
    }
    assert list(config.logger) == ["tensorboard"]
    assert [node.where for node in singles][:2] == ["model", "data"]
    assert config.callbacks["checkpoint"].where == "callbacks.checkpoint"
    assert config.seed == 7
    assert config.parts == {}


def test_arguments_are_those_of_the_config_without_its_target(config):
    plain = {key: value for key, value in config.plain["model"].items() if key != "_target_"}
    assert config.model.arguments == plain
    assert {"spec", *plain} == config.model.accepts
    composed = compose(["model=seq2seq", "data=fx", "loss=quantile", "finetune=lora", "finetune.run=base", "seed=7"])
    assert config.plain == with_absolute_paths(composed.config)


@pytest.mark.parametrize(
    ("words", "node", "key", "expected"),
    [
        (["data.split=[0.8,0.1,0.1]"], "data", "split", (0.8, 0.1, 0.1)),
        (["data.split=[1,1,2]"], "data", "split", (1.0, 1.0, 2.0)),
        (["data.split=null"], "data", "split", None),
        (["model.dropout=1"], "model", "dropout", 1.0),
        (["model.hidden=8"], "model", "hidden", 8),
        (["optimizer.lr=1"], "optimizer", "lr", 1.0),
        (["optimizer.betas=[0,0.5]"], "optimizer", "betas", (0.0, 0.5)),
        (["loss=quantile", "loss.levels=[0.1,0.5,0.9]"], "loss", "levels", [0.1, 0.5, 0.9]),
        (["trainer.threads=2"], "trainer", "threads", 2),
        (["trainer.gradient_clip_val=2"], "trainer", "gradient_clip_val", 2),
        (["data=digits", "data.digits=[1,2]"], "data", "digits", [1, 2]),
    ],
)
def test_an_argument_has_the_type_of_its_annotation(words, node, key, expected):
    value = getattr(config_of("model=seq2seq", "data=fx", *words), node).arguments[key]
    assert value == expected
    assert repr(value) == repr(expected)  # 1.0 and not 1, a tuple and not a list


def test_the_plain_config_is_not_converted():
    """It is stored in `config.yaml` as the user wrote it, with lists instead of tuples and 1 instead of 1.0."""
    config = config_of("model=seq2seq", "data=fx", "data.split=[0.8,0.1,0.1]", "model.dropout=1")
    assert repr(config.plain["data"]["split"]) == "[0.8, 0.1, 0.1]"
    assert repr(config.plain["model"]["dropout"]) == "1"


def test_a_schedule_is_a_nested_node(config):
    schedule = config.optimizer.arguments["schedule"]
    assert (schedule.where, schedule.target) == ("optimizer.schedule", Cosine)
    assert schedule.arguments == {"warmup": 0.02, "floor": 0.0}
    assert "schedule" not in config.optimizer.without("schedule").arguments
    constant = config_of("model=seq2seq", "data=fx", "optimizer/schedule=constant")
    assert constant.optimizer.arguments.get("schedule") is None


def test_a_profiler_is_a_node_and_its_name_is_not():
    profiler = "++trainer.profiler={_target_:pytorch_lightning.profilers.SimpleProfiler,extended:false}"
    node = config_of("model=seq2seq", "data=fx", profiler).trainer.arguments["profiler"]
    assert (node.where, node.target, node.arguments) == ("trainer.profiler", SimpleProfiler, {"extended": False})
    assert isinstance(node.build(), SimpleProfiler)
    assert config_of("model=seq2seq", "data=fx", "trainer.profiler=simple").trainer.arguments["profiler"] == "simple"


AUTOENCODER = {"_target_": "adlx.models.fields.sea_autoencoder.SEAAutoencoder", "dimension": 4, "patches": [2, 2]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, Part(FieldAutoencoder, "")),
        ("outputs/a", Part(FieldAutoencoder, "outputs/a")),
    ],
)
def test_the_model_of_another_run_is_a_part(value, expected):
    node = check_node(
        {"_target_": "adlx.models.fields.sea.SEA", "autoencoder": value}, GROUPS["model"], "model", nowhere
    )
    assert node.target is SEA
    assert node.arguments == {"autoencoder": expected}


def test_a_part_that_was_read_holds_its_model():
    read = {"run": "outputs/a", "sha256": "0f", "model": AUTOENCODER}
    plain = {**compose(["model=sea", "data=cylinder"]).config}
    plain["model"] = {**plain["model"], "autoencoder": read}
    part = checked(plain, nowhere).parts["autoencoder"]
    assert (part.kind, part.run, part.sha256) == (FieldAutoencoder, "outputs/a", "0f")
    assert part.model is not None
    assert (part.model.target, part.model.arguments) == (SEAAutoencoder, {"dimension": 4, "patches": (2, 2)})


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (3, "model.autoencoder=3 at model.autoencoder must be the folder of a run"),
        (
            {"run": "a"},
            'model.autoencoder={"run": "a"} at model.autoencoder must be the folder of a run',
        ),
        (
            {"run": "a", "sha256": "0f", "model": {**AUTOENCODER, "dimensions": 4}},
            "unknown key model.autoencoder.dimensions at model.autoencoder.dimensions; did you mean dimension?",
        ),
        (
            {"run": "a", "sha256": "0f", "model": {**AUTOENCODER, "spec": 4}},
            "unknown key model.autoencoder.spec at model.autoencoder.spec",
        ),
        (
            {"run": "a", "sha256": "0f", "model": {"_target_": "os.system"}},
            "model.autoencoder._target_=os.system is refused: os is not trusted here; if it is yours, "
            "add 'allow=[os]' to the command once",
        ),
    ],
)
def test_a_value_that_is_no_part_is_refused(value, line):
    node = {"_target_": "adlx.models.fields.sea.SEA", "autoencoder": value}
    assert user_error_of(check_node, node, GROUPS["model"], "model", nowhere) == line


class Inner(nn.Module):
    def __init__(self, spec: object, width: int, rate: float = 0.5, pair: tuple[int, int] = (1, 2)) -> None:
        super().__init__()
        self.spec, self.width, self.rate, self.pair = spec, width, rate, pair


def test_a_node_builds_its_class():
    node = Node("model", Inner, {"width": 3}, frozenset({"spec", "width", "rate", "pair"}))
    built = node.build("spec", rate=0.25)
    assert (built.spec, built.width, built.rate, built.pair) == ("spec", 3, 0.25, (1, 2))
    assert node.build("spec", width=4).width == 4  # a given argument wins
    offered = node.build_with(spec=1, width=9, rate=0.75, unknown=2)
    assert (offered.width, offered.rate) == (3, 0.75)  # the config wins, and unknown arguments are dropped
    assert node.without("width").arguments == {}
    assert node.arguments == {"width": 3}


def test_given_offered_and_forbidden_arguments_of_a_group(monkeypatch):
    from adlx.config import targets

    monkeypatch.setattr(targets, "_TRUSTED", {*targets._TRUSTED, __name__})
    target = {"_target_": f"{__name__}.Inner"}
    given = Group(nn.Module, given=frozenset({"spec"}))
    assert (
        user_error_of(check_node, target, given, "model", nowhere) == "model.width is required: add model.width=VALUE"
    )
    assert user_error_of(check_node, {**target, "spec": 1, "width": 1}, given, "model", nowhere) == (
        "unknown key model.spec at model.spec"
    )
    offered = Group(nn.Module, offered=frozenset({"spec", "width"}))
    assert check_node(target, offered, "model", nowhere).arguments == {}
    spec = {"_target_": target["_target_"], "width": 1, "pair": [3, 4], "spec": 5}
    assert check_node(spec, offered, "model", nowhere).arguments == {"width": 1, "pair": (3, 4), "spec": 5}
    forbidden = Group(nn.Module, given=frozenset({"spec"}), forbidden=frozenset({"rate"}))
    assert user_error_of(check_node, {**target, "width": 1, "rate": 0.1}, forbidden, "model", nowhere) == (
        "unknown key model.rate at model.rate"
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda c: c["model"].update(hiden=3), "unknown key model.hiden at model.hiden; did you mean hidden?"),
        (
            lambda c: c["data"].update(split=[1]),
            "data.split=[1] at data.split must be tuple[float, float, float] or null",
        ),
        (lambda c: c["data"].update(context=True), "data.context=true at data.context must be int"),
        (lambda c: c["task"].update(data=3), "unknown key task.data at task.data; did you mean data?"),
        (lambda c: c["optimizer"].update(params=[]), "unknown key optimizer.params at optimizer.params"),
        (
            lambda c: c["optimizer"]["schedule"].update(total_steps=9),
            "unknown key optimizer.schedule.total_steps at optimizer.schedule.total_steps",
        ),
        (
            lambda c: c.update(loss=3),
            f"loss at loss is 3: it must be keys with values; write loss=NAME for one of {', '.join(options('loss'))}",
        ),
        (
            lambda c: c.update(task={"_target_": "adlx.models.forecasting.baselines.Naive"}),
            "task._target_=adlx.models.forecasting.baselines.Naive is refused: task must be a Task",
        ),
        (
            lambda c: c["callbacks"].update(mine={"patience": 3}),
            "callbacks.mine at callbacks.mine has no _target_",
        ),
        (
            lambda c: c.update(finetune={"run": "x"}),
            "finetune.run at finetune.run needs finetune=full or finetune=lora",
        ),
    ],
)
def test_a_mistake_in_a_plain_config_is_refused(change, line):
    plain = compose(["model=seq2seq", "data=fx"]).config
    change(plain)
    assert user_error_of(check, plain, GROUPS, nowhere) == line
