"""Every choice of model that learns, started from its own trained run: in all its weights, or in low-rank updates."""

import hashlib

import pytest
import torch
from demands import (
    checkpoints_are_plain,
    equal_to_the_last_bit,
    evaluates_to_its_own_metrics,
    is_blind_to_the_future,
    is_finished,
    predictions_are_equal,
)
from torch import nn
from workshop import LONGER, forecasters, learners, tiny_words

from adlx.errors import UserError
from adlx.runs.loggers import read_curves
from adlx.runs.restore import restore_model

pytestmark = pytest.mark.usefixtures("unpainted")
RANK = 2
STRATEGIES = {"full": ["finetune=full"], "lora": ["finetune=lora", f"finetune.rank={RANK}"]}


@pytest.fixture(scope="session", params=learners())
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def base(model, trained):
    """A run that is the same, to the last file, after whatever was made of it."""
    run = trained(model)

    def files():
        return {path: hashlib.sha256(path.read_bytes()).digest() for path in run.path.rglob("*") if path.is_file()}

    before = files()
    yield run
    assert files() == before


@pytest.fixture
def words(base, strategy) -> list[str]:
    return [*STRATEGIES[strategy], f"finetune.run={base.path}"]


def test_the_scan_finds_what_learns():
    assert {"transformer", "seq2seq", "nlinear"} <= set(learners()) < set(forecasters())


def test_fit_and_eval(model, strategy, base, words, trained):
    run = trained(model, *words)
    is_finished(run)
    checkpoints_are_plain(run)
    evaluates_to_its_own_metrics(run)
    told, digest = run.info["finetune"], hashlib.sha256(base.best.read_bytes()).hexdigest()
    assert (told["run"], told["sha256"], told["fresh"]) == (str(base.path), digest, [])
    assert run.config["finetune"]["sha256"] == digest
    first, before = (read_curves(r.path / "metrics.csv")["train/loss"].iloc[0] for r in (run, base))
    assert first != before  # it goes on, and does not begin as the base began
    if strategy == "lora":
        holds_only_adapters(run, base)
    else:
        assert "adapted" not in told
        assert run.metrics["model/trainable_parameters"] == run.metrics["model/parameters"]


def holds_only_adapters(run, base) -> None:
    """Of the model only what training changed, and so few numbers as the ranks say; beside it what data fitted."""
    whole = restore_model(base).model
    layers = {name: layer for name, layer in whole.named_modules() if isinstance(layer, nn.Linear)}
    assert run.info["finetune"]["adapted"] == list(layers)
    count = sum(RANK * (layer.in_features + layer.out_features) for layer in layers.values())
    assert run.metrics["model/trainable_parameters"] == count
    assert run.metrics["model/parameters"] == count + sum(p.numel() for p in whole.parameters())
    assert run.metrics["fit/checkpoint_kb"] == pytest.approx(run.best.stat().st_size / 1000)
    wanted = {f"model.{name}.{side}" for name in layers for side in ("lora_A", "lora_B")}
    wanted |= {f"model.{name}" for name in whole.state_dict() if name not in dict(whole.named_parameters())}
    for path in (run.best, run.last):
        held = torch.load(path, weights_only=True)["state_dict"]
        assert {name for name in held if name.startswith("model.")} == wanted
        assert {name.split(".")[0] for name in held} == {"model", "scaler"}
    unchanged = restore_model(run).model
    for name, value in whole.named_parameters():
        adapted = name.removesuffix(".weight") in layers
        assert torch.equal(unchanged.get_parameter(name), value) is not adapted, name


def test_predict(model, base, words, trained, monkeypatch, tmp_path):
    is_blind_to_the_future(trained(model, *words), monkeypatch, tmp_path)


def test_resume(model, base, words, trained, workshop):
    resumed = workshop.copy(trained(model, *words)).resume([f"trainer.max_epochs={LONGER}"])
    equal_to_the_last_bit(resumed, trained(model, *words, epochs=LONGER))


def test_it_starts_as_the_base(model, base, words, workshop):
    """With a learning rate of 0 nothing is added, and every bit of every prediction is the base's."""
    run = workshop.train([*tiny_words(model), *words, "optimizer.lr=0"], epochs=1)
    predictions_are_equal(run.path, base.path)


@pytest.mark.parametrize("name", sorted(set(forecasters()) - set(learners())))
def test_what_does_not_learn(name, trained, workshop):
    """There is nothing to adapt; and all the weights, none, are the base's."""
    base = trained(name)
    with pytest.raises(UserError, match=r"^finetune\.target: the model has no affine layer"):
        workshop.train([*tiny_words(name), "finetune=lora", f"finetune.run={base.path}"])
    run = workshop.train([*tiny_words(name), "finetune=full", f"finetune.run={base.path}"])
    equal_to_the_last_bit(run, base)
