"""The moving average of the weights equals its formula in a whole run."""

from contextlib import nullcontext

import pytest
import torch

import adlx
from adlx.config.compose import compose
from adlx.models.diffusion.unet import UNet
from adlx.runs.build import build_data
from adlx.runs.start import new_task
from adlx.runs.train import prepare
from adlx.tasks.denoise import Denoise

WORDS = [
    "model=unet",
    "model.widths=[4,8]",
    "model.depth=1",
    "task.kid_images=8",
    "task.kid_steps=1",
]
WORDS += ["data=digits", "data.source=sklearn", "data.size=8", "data.batch_size=512", "optimizer.lr=0.01"]
WORDS += ["logger=none", "trainer.accelerator=cpu", "trainer.threads=1", "trainer.max_epochs=2"]


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_weights_and_statistics_of_normalization_layers_are_averaged(decay, monkeypatch, tmp_path):
    seen = []
    original = Denoise.on_train_batch_end

    def watched(task, outputs, batch, batch_idx):
        if not seen:
            seen.append({name: value.clone() for name, value in task.ema_weights.items()})  # the initial weights
        seen.append({name: value.clone() for name, value in task.model.state_dict().items()})
        original(task, outputs, batch, batch_idx)

    monkeypatch.setattr(Denoise, "on_train_batch_end", watched)
    run = adlx.train([*WORDS, f"task.ema={decay}", f"output_dir={tmp_path}"])
    average, steps = seen[0], seen[1:]
    assert len(steps) == 6
    for number, weights in enumerate(steps):
        share = min(decay, (1 + number) / (10 + number))
        average = {name: share * value + (1 - share) * weights[name] for name, value in average.items()}
    state = torch.load(run.last, weights_only=True)["state_dict"]
    for name, value in average.items():
        torch.testing.assert_close(state[f"model.{name}"], value, rtol=1e-4, atol=1e-6)
    assert any("running_var" in name for name in average)
    assert {name for name, _ in UNet(run_spec(), widths=[4, 8], depth=1).named_parameters()} <= set(average)


def run_spec():
    from adlx.specs import ImageSpec

    return ImageSpec(1, (8, 8))


@pytest.fixture
def training():
    """A task in training, whose averages differ from its weights."""
    config = prepare(compose([*WORDS, "task.ema=0.9"]))
    data = build_data(config)
    data.setup("fit")
    task = new_task(config, data)
    task.ema_weights = {name: value.data + 1 for name, value in task.raw_weights().items()}
    return task


def weights_of(task) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in task.raw_weights().items()}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_within_averaged_the_model_holds_the_averages(training):
    raw, averages = weights_of(training), {name: value.clone() for name, value in training.ema_weights.items()}
    with training.averaged():
        assert_equal(weights_of(training), averages)
        with training.averaged():  # a nested context changes nothing
            assert_equal(weights_of(training), averages)
        assert_equal(weights_of(training), averages)
    assert_equal(weights_of(training), raw)
    assert_equal(training.ema_weights, averages)
    with pytest.raises(OSError, match="gone"), training.averaged():
        raise OSError("the disk is gone")
    assert_equal(weights_of(training), raw)


def test_the_optimizer_updates_the_raw_weights(training):
    optimizer = torch.optim.SGD(training.model.parameters(), lr=1.0)
    raw = weights_of(training)
    with training.averaged():
        pass
    for parameter in training.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for name, parameter in training.model.named_parameters():
        torch.testing.assert_close(parameter, raw[name] - 1)


def test_a_checkpoint_is_the_same_inside_and_outside_of_averaged(training, monkeypatch):
    monkeypatch.setattr("adlx.tasks.task.Task.on_save_checkpoint", lambda task, checkpoint: checkpoint.update(adlx={}))
    saved = []
    for is_averaged in (False, True):
        with training.averaged() if is_averaged else nullcontext():
            checkpoint = {"state_dict": training.state_dict()}
            training.on_save_checkpoint(checkpoint)
        saved.append(checkpoint)
    for part in ("state_dict", "adlx"):
        weights = [one[part] if part == "state_dict" else one[part]["raw_weights"] for one in saved]
        names = {f"model.{name}" for name in training.raw_weights()} if part == "state_dict" else weights[0].keys()
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in names)
