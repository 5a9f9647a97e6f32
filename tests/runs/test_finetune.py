"""Which weights a fine-tuned run copies from its base, which start at random, and which are trained."""

import logging

import pandas as pd
import pytest
import torch
from torch import nn

import adlx
from adlx.cli import train as train_verb
from adlx.config import targets
from adlx.errors import UserError
from adlx.models.forecasting.forecaster import Forecaster
from adlx.models.lora import adapters
from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.restore import restore_model
from adlx.runs.trained import load_trained

INNER = [f"blocks.0.attention.{name}" for name in ("query", "key", "value", "output")] + ["blocks.0.feedforward.0"]
INNER_RANK_2 = 5 * 2 * (8 + 8)
STRATEGIES = ("full", "lora")


@pytest.fixture
def tune(small, encoder, encoder_words):
    """Trains from `encoder`, or from the run of a later word."""
    return lambda *words: small(*encoder_words, f"finetune.run={encoder.path}", *words)


def weights(run) -> dict[str, torch.Tensor]:
    return restore_model(run).model.state_dict()


def scores(run) -> dict[str, float]:
    return {key: value for key, value in run.metrics.items() if key.startswith(("test/", "baseline/"))}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_layers_of_other_dimensions_get_random_weights_and_are_named(strategy, tune, encoder, three, caplog):
    with caplog.at_level(logging.INFO, "adlx"):
        run = tune(f"finetune={strategy}", three, "optimizer.lr=0", "model.zero_init=false")
        assert run.evaluate() == scores(run)
    messages = [message for message in caplog.messages if message.startswith("starting from")]
    assert messages == [  # logged once, and not again when the run is evaluated
        f"starting from {encoder.path}: 7 of 9 layers; new random weights, because the data have other dimensions: "
        "embedding, head"
    ]
    assert run.info["finetune"]["fresh"] == ["embedding", "head"]
    own, base = weights(run), weights(encoder)
    fresh = {f"{name}.{part}" for name in ("embedding", "head") for part in ("weight", "bias")}
    assert {name for name in own if own[name].shape != base[name].shape} == fresh - {"embedding.bias"}
    assert {name for name in own if name not in fresh and torch.equal(own[name], base[name])} == set(own) - fresh
    assert not torch.equal(own["embedding.bias"], base["embedding.bias"])  # a layer is all new or all old


@pytest.mark.parametrize("train_fresh", [True, False])
def test_fresh_layers_are_trained_or_get_low_rank_updates(train_fresh, tune, three):
    """Without `train_fresh` they get updates like the others. The checkpoint contains them, since the base does not."""
    words = ["finetune=lora", "finetune.rank=2", f"finetune.train_fresh={train_fresh}", three, "callbacks=checkpoint"]
    run = tune(*words, "optimizer.lr=0.1")
    fresh, updates = (3 * 8 + 8) + (8 * 3 + 3), 2 * (3 + 8) + 2 * (8 + 3)
    assert run.metrics["model/trainable_parameters"] == INNER_RANK_2 + (fresh if train_fresh else updates)
    adapted = run.info["finetune"]["adapted"]
    assert sorted(adapted) == sorted(INNER if train_fresh else ["embedding", *INNER, "head"])
    stored = load_checkpoint(run.best)["state_dict"]
    own = {name.removeprefix("model.") for name in stored if name.startswith("model.")}
    plain = {f"{name}.{part}" for name in ("embedding", "head") for part in ("weight", "bias")}
    assert own == plain | {f"{name}.{side}" for name in adapted for side in ("lora_A", "lora_B")}
    still = tune(*words, "optimizer.lr=0")
    initial = load_checkpoint(still.best)["state_dict"]
    for name in plain:
        assert torch.equal(stored[f"model.{name}"], initial[f"model.{name}"]) is not train_fresh, name
    torch.manual_seed(99)  # loading draws no new random weights
    first, second = weights(run), weights(run)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert run.evaluate() == scores(run)


class Positioned(Forecaster):
    """A forecaster with a parameter that belongs to no layer, and whose shape depends on the context."""

    def __init__(self, spec) -> None:
        super().__init__(spec)
        self.positions = nn.Parameter(torch.ones(spec.context, 1))
        self.mix = nn.Linear(len(spec.series), len(spec.series))

    def forecast(self, past):
        return self.mix((past * self.positions).mean(dim=1, keepdim=True)).expand(-1, self.spec.horizon, -1)


@pytest.mark.parametrize("train_fresh", [True, False])
def test_a_parameter_outside_of_layers_is_fresh_for_another_context(train_fresh, small, monkeypatch):
    monkeypatch.setattr(targets, "_TRUSTED", {*targets._TRUSTED, __name__})
    own = ["model=naive", f"model._target_={__name__}.Positioned", f"allow=[{__name__}]"]
    base = small(*own)
    words = ["finetune=lora", "finetune.rank=1", f"finetune.train_fresh={train_fresh}", f"finetune.run={base.path}"]
    run = small(*own, *words, "data.context=14")
    assert (run.info["finetune"]["fresh"], run.info["finetune"]["adapted"]) == (["positions"], ["mix"])
    assert run.metrics["model/trainable_parameters"] == 1 * (2 + 2) + (14 if train_fresh else 0)
    assert "model.positions" in load_checkpoint(run.best)["state_dict"]
    assert run.evaluate([f"allow=[{__name__}]"]) == scores(run)


def test_an_additional_series_gets_a_new_map(small, three):
    """The base has no layer for this series."""
    base = small("model.individual=true")
    run = small("model.individual=true", "finetune=full", f"finetune.run={base.path}", three, "optimizer.lr=0")
    assert run.info["finetune"]["fresh"] == ["maps.2"]
    own, before = weights(run), weights(base)
    assert all(torch.equal(own[name], before[name]) for name in before)
    assert own["maps.2.weight"].count_nonzero() == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("before", "after"), [("quantile", "mae"), ("mae", "quantile")])
def test_another_kind_of_loss_needs_another_head(strategy, before, after, small, encoder_words):
    base = small(*encoder_words, f"loss={before}")
    run = small(*encoder_words, f"loss={after}", f"finetune={strategy}", f"finetune.run={base.path}")
    assert run.info["finetune"]["fresh"] == ["head"]
    assert ("test/crps" in run.metrics) is (after == "quantile")
    assert run.evaluate() == scores(run)


def test_a_fine_tuned_run_can_be_a_base(tune):
    one = tune("finetune=lora", "finetune.rank=2", "optimizer.lr=0.01")
    still = tune("finetune=lora", "finetune.rank=1", f"finetune.run={one.path}", "optimizer.lr=0")
    before, after = weights(one), weights(still)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert still.info["finetune"]["run"] == str(one.path)
    assert (still.evaluate(), scores(still)) == (scores(one), scores(one))


def test_only_layers_that_the_target_names_get_updates(tune):
    run = tune("finetune=lora", "finetune.rank=2", "finetune.target=[blocks.*.query,head]")
    assert run.info["finetune"]["adapted"] == ["blocks.0.attention.query", "head"]
    assert run.metrics["model/trainable_parameters"] == 2 * (8 + 8) + 2 * (8 + 2)
    assert not any(adapters(load_trained(run, [], "test").task.model))  # eval and predict work on a plain model
    with pytest.raises(UserError) as caught:
        tune("finetune=lora", "finetune.target=block.*.query")
    assert str(caught.value) == (
        f"finetune.target: 'block.*.query' matches none of the affine layers: embedding, {', '.join(INNER)}, head"
    )


def test_arguments_are_those_of_the_base_unless_the_user_sets_them(small, encoder, caplog):
    rest = [f"finetune.run={encoder.path}", "trainer.max_epochs=1"]
    with caplog.at_level(logging.INFO, "adlx"):
        run = small("model=transformer", "finetune=full", "model.dropout=0.25", *rest)
    assert f"same as in {encoder.path}: model.hidden=8, model.blocks=1, model.heads=2" in caplog.messages
    assert run.config["model"] == {**encoder.config["model"], "dropout": 0.25}
    assert encoder.config["model"]["dropout"] == 0.0


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["model=transformer", "model.hidden=16"],
            "model does not fit finetune.run={path}: blocks.0.attention.key.bias is (8,) there and (16,) here",
        ),
        (
            ["model=transformer", "model.blocks=2"],
            "model does not fit finetune.run={path}: blocks.1.attention.key.bias is absent there and (8,) here",
        ),
        (["model=nlinear"], "finetune.run={path} is a Transformer, and model=NLinear: choose the same model"),
        (
            ["model=transformer", "finetune.run=/gone"],
            "finetune.run=/gone is not there: give the folder of the base run with ",
        ),
    ],
)
def test_a_model_that_does_not_fit_the_base_is_refused(strategy, words, line, small, encoder, tmp_path):
    with pytest.raises(UserError) as caught:
        small(f"finetune={strategy}", f"finetune.run={encoder.path}", *words)
    assert str(caught.value).startswith(line.format(path=encoder.path))
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("finetune.rank=0", "finetune.rank=0 on the command line (finetune.rank=0) must be int (at least 1)"),
        (
            "finetune.alpha=-1",
            "finetune.alpha=-1 on the command line (finetune.alpha=-1) must be float (above 0) or null",
        ),
        (
            "finetune.dropout=1",
            "finetune.dropout=1 on the command line (finetune.dropout=1) must be float (at least 0, below 1)",
        ),
    ],
)
def test_values_out_of_range_are_refused(word, line, tune):
    with pytest.raises(UserError) as caught:
        tune("finetune=lora", word)
    assert str(caught.value) == line


def test_a_base_that_has_not_finished_is_refused(small, copied):
    copied.update(status="interrupted")
    with pytest.raises(UserError) as caught:
        small("finetune=full", f"finetune.run={copied.path}")
    assert str(caught.value) == f"finetune.run={copied.path} is interrupted, not finished: adlx resume {copied.path}"


def test_runs_of_a_sweep_over_ranks_are_labeled_by_rank(
    small_words, encoder_words, encoder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = [*small_words[1:], *encoder_words, "finetune=lora", f"finetune.run={encoder.path}", "output_dir=out"]
    with pytest.raises(SystemExit) as caught:
        train_verb.main(["-m", *words, "finetune.rank=1,2"])
    assert caught.value.code in (0, None)
    (folder,) = (tmp_path / "out" / "multirun").iterdir()
    labels = ["transformer lora rank=1", "transformer lora rank=2"]
    assert sorted(pd.read_csv(folder / "summary.csv")["label"]) == labels
    plain = [run.path for run in map(adlx.open_run, (tmp_path / "out" / "transformer-csv").iterdir())]
    assert sorted(adlx.compare([*plain, encoder.path]).table["label"]) == ["transformer", *labels]
