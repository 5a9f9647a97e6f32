"""Every trainable forecaster, fine-tuned from its own run: all weights, or with LoRA."""

import hashlib

import pytest
import torch
from requirements_of_runs import (
    check_checkpoints,
    check_evaluation_repeats,
    check_finished_forecast,
    check_future_is_unused,
    check_predictions_are_equal,
    check_runs_are_equal,
)
from tiny_models import LONGER, forecasters, tiny_words, trainable_forecasters
from torch import nn

from adlx.errors import UserError
from adlx.runs.loggers import read_curves
from adlx.runs.restore import restore_model

pytestmark = pytest.mark.usefixtures("unpainted")
RANK = 2
STRATEGIES = {"full": ["finetune=full"], "lora": ["finetune=lora", f"finetune.rank={RANK}"]}


@pytest.fixture(scope="session", params=trainable_forecasters())
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def base(model, trained):
    """A base run; checks that fine-tuning changes none of its files."""
    run = trained(model)

    def files():
        return {path: hashlib.sha256(path.read_bytes()).digest() for path in run.path.rglob("*") if path.is_file()}

    before = files()
    yield run
    assert files() == before


@pytest.fixture
def words(base, strategy) -> list[str]:
    return [*STRATEGIES[strategy], f"finetune.run={base.path}"]


def test_the_scan_finds_trainable_forecasters():
    assert {"transformer", "seq2seq", "nlinear"} <= set(trainable_forecasters()) < set(forecasters())


def test_fit_and_eval(model, strategy, base, words, trained):
    run = trained(model, *words)
    check_finished_forecast(run)
    check_checkpoints(run)
    check_evaluation_repeats(run)
    info, digest = run.info["finetune"], hashlib.sha256(base.best.read_bytes()).hexdigest()
    assert (info["run"], info["sha256"], info["fresh"]) == (str(base.path), digest, [])
    assert run.config["finetune"]["sha256"] == digest
    first, before = (read_curves(r.path / "metrics.csv")["train/loss"].iloc[0] for r in (run, base))
    assert first != before  # training starts from the weights of the base
    if strategy == "lora":
        check_only_adapters_are_stored(run, base)
    else:
        assert "adapted" not in info
        assert run.metrics["model/trainable_parameters"] == run.metrics["model/parameters"]


def check_only_adapters_are_stored(run, base) -> None:
    """Checkpoints store the adapters and fitted statistics, and not the frozen weights of the base."""
    whole = restore_model(base).model
    layers = {name: layer for name, layer in whole.named_modules() if isinstance(layer, nn.Linear)}
    assert run.info["finetune"]["adapted"] == list(layers)
    count = sum(RANK * (layer.in_features + layer.out_features) for layer in layers.values())
    assert run.metrics["model/trainable_parameters"] == count
    assert run.metrics["model/parameters"] == count + sum(p.numel() for p in whole.parameters())
    assert run.metrics["fit/checkpoint_kb"] == pytest.approx(run.best.stat().st_size / 1000)
    expected = {f"model.{name}.{side}" for name in layers for side in ("lora_A", "lora_B")}
    expected |= {f"model.{name}" for name in whole.state_dict() if name not in dict(whole.named_parameters())}
    for path in (run.best, run.last):
        stored = torch.load(path, weights_only=True)["state_dict"]
        assert {name for name in stored if name.startswith("model.")} == expected
        assert {name.split(".")[0] for name in stored} == {"model", "scaler"}
    unchanged = restore_model(run).model
    for name, value in whole.named_parameters():
        adapted = name.removesuffix(".weight") in layers
        assert torch.equal(unchanged.get_parameter(name), value) is not adapted, name


def test_predict(model, base, words, trained, monkeypatch, tmp_path):
    check_future_is_unused(trained(model, *words), monkeypatch, tmp_path)


def test_resume(model, base, words, trained, tiny_runs):
    resumed = tiny_runs.copy(trained(model, *words)).resume([f"trainer.max_epochs={LONGER}"])
    check_runs_are_equal(resumed, trained(model, *words, epochs=LONGER))


def test_it_starts_as_the_base(model, base, words, tiny_runs):
    """With a learning rate of 0, predictions are exactly those of the base."""
    run = tiny_runs.train([*tiny_words(model), *words, "optimizer.lr=0"], epochs=1)
    check_predictions_are_equal(run.path, base.path)


@pytest.mark.parametrize("name", sorted(set(forecasters()) - set(trainable_forecasters())))
def test_models_without_weights_refuse_lora_and_equal_their_base(name, trained, tiny_runs):
    base = trained(name)
    with pytest.raises(UserError, match=r"^finetune\.target: the model has no affine layer"):
        tiny_runs.train([*tiny_words(name), "finetune=lora", f"finetune.run={base.path}"])
    run = tiny_runs.train([*tiny_words(name), "finetune=full", f"finetune.run={base.path}"])
    check_runs_are_equal(run, base)
