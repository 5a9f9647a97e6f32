"""The Fourier neural operator: inputs of the package, initial forecast, training, rollout and a missing package."""

import copy
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from adlx.models.fields import fno
from adlx.models.fields.fno import FNO
from adlx.specs import FieldSpec

ROWS, COLUMNS = 8, 16
SPEC = FieldSpec(("u", "p"), ((0,), (1,)), ROWS * COLUMNS, grid=(ROWS, COLUMNS), parameters=("speed", "angle"))
SMALL = {"modes": (2, 3), "width": 8, "blocks": 2}
PARAMETERS = torch.tensor([[0.3, 5.0], [0.7, 5.0]])


def make(random_start: bool = True, **arguments) -> FNO:
    """A model with the scales of `Training`; `random_start` replaces the zeros of the last layer by random weights."""
    pytest.importorskip("neuralop.models", reason="needs adlx[fno]")
    torch.manual_seed(0)
    model = FNO(SPEC, **{**SMALL, **arguments})
    if random_start:
        torch.nn.init.normal_(model.get_parameter("network.projection.fcs.1.weight"), std=0.1)
    model.fit_closed_form(Training())
    return model


def travelling(speeds: Tensor, steps: int, phase: float = 0.0) -> Tensor:
    """A wave (B, steps, C, 2) with speeds (B,) in radians per step, in two fields of very different size."""
    time = torch.arange(steps)[:, None, None]
    x, y = 2 * math.pi * torch.arange(COLUMNS) / COLUMNS, 2 * math.pi * torch.arange(ROWS)[:, None] / ROWS
    wave = (x + y - speeds[:, None, None, None] * time + phase).sin()
    return torch.stack([2 + wave, 1000 + 50 * wave.roll(2, dims=3)], dim=-1).flatten(2, 3)


class Training:
    values = (travelling(PARAMETERS[:1, 0], 7)[0], travelling(PARAMETERS[1:, 0], 5, phase=1.0)[0])

    def snapshots(self):
        return iter([part.numpy() for part in self.values])

    def training_parameters(self):
        return PARAMETERS.numpy()


WINDOW = travelling(PARAMETERS[:, 0], 6, phase=0.4)


@pytest.mark.parametrize("frames", [1, 3])
def test_frames_and_parameters_are_input_channels_of_the_package(frames, monkeypatch):
    model = make(seed_frames=frames)
    monkeypatch.setattr(fno, "WINDOWS_AT_ONCE", 3)
    scaled = model.standardize(WINDOW)
    predictions = model(scaled, PARAMETERS)
    assert predictions.shape == (2, 7 - frames, SPEC.cells, 2)
    scaled_parameters = torch.stack([(PARAMETERS[:, 0] - 0.5) / 0.2, torch.zeros(2)], dim=1)  # the angle is constant
    for sample in range(2):
        for last in range(frames - 1, 6):
            inputs = [scaled[sample, step, :, field] for step in range(last - frames + 1, last + 1) for field in (0, 1)]
            channels = [part.view(ROWS, COLUMNS) for part in inputs]
            channels += [number.expand(ROWS, COLUMNS) for number in scaled_parameters[sample]]
            (change,) = model.network(torch.stack(channels)[None])  # (F, rows, columns)
            expected = scaled[sample, last] + torch.stack([part.flatten() for part in change], dim=-1)
            torch.testing.assert_close(predictions[sample, last - frames + 1], expected, rtol=1e-5, atol=1e-5)


def test_the_spectral_layer_keeps_only_frequencies_up_to_the_modes():
    """-m to m - 1 along rows, 0 to m along columns, and the mirror of the frequencies that are 0 along columns."""
    network: Any = make(modes=(2, 3)).network
    layer = network.fno_blocks.convs[0]
    spectrum = torch.fft.rfft2(layer(torch.randn(1, 8, ROWS, COLUMNS)) - layer.bias)[0].abs().amax(dim=0)
    kept = {(row, column) for row, column in (spectrum > 1e-4).nonzero().tolist()}
    assert kept == {(row % ROWS, column) for row in range(-2, 2) for column in range(4)} | {(2, 0)}


def test_scales_are_those_of_the_training_part():
    model = make()
    scaled = model.standardize(torch.cat(Training.values))
    torch.testing.assert_close(scaled.mean(dim=(0, 1)), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(scaled.square().mean(dim=(0, 1)), torch.ones(2), rtol=1e-4, atol=0)
    torch.testing.assert_close(model.parameter_mean, torch.tensor([0.5, 5.0]))
    torch.testing.assert_close(model.parameter_std, torch.tensor([0.2, 1.0]))


def test_an_untrained_model_is_persistence_and_every_weight_gets_a_gradient():
    model = make(random_start=False)
    torch.testing.assert_close(model.rollout(WINDOW[:, :1], 4, PARAMETERS), WINDOW[:, :1].expand(-1, 4, -1, -1))
    for _ in range(2):  # the first step only changes the layer that is zero
        model.zero_grad()
        model.loss(WINDOW, PARAMETERS).backward()
        with torch.no_grad():
            for weight in model.parameters():
                assert weight.grad is not None
                weight -= 0.01 * weight.grad.sign()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_training_learns_the_speed_of_waves():
    """From one frame and the speed, also at speeds between those of the training."""
    model = make(random_start=False, width=16)
    speeds = torch.linspace(0.2, 0.8, 7)
    parameters, window = torch.stack([speeds, torch.full((7,), 5.0)], dim=1), travelling(speeds, 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80)
    for _ in range(80):
        optimizer.zero_grad()
        model.loss(window, parameters).backward()
        optimizer.step()
        schedule.step()
    between = torch.tensor([0.35, 0.65])
    truth = travelling(between, 9, phase=2.0)
    rollout = model.rollout(truth[:, :1], 8, torch.stack([between, torch.full((2,), 5.0)], dim=1))
    error, frozen = ((part - truth[:, 1:]).square().mean() for part in (rollout, truth[:, :1]))
    assert error < 0.01 * frozen


def test_a_rollout_depends_only_on_the_last_seed_frames():
    model = make(seed_frames=2).eval()
    rollout = model.rollout(WINDOW[:, :4], 3, PARAMETERS)
    assert torch.equal(rollout, model.rollout(WINDOW[:, 2:4], 3, PARAMETERS))
    frames = model.standardize(WINDOW[:, 2:4])
    for _ in range(3):
        frames = torch.cat([frames, model(frames[:, -2:], PARAMETERS)], dim=1)
    torch.testing.assert_close(model.standardize(rollout), frames[:, 2:], rtol=1e-3, atol=1e-3)
    assert (rollout - model.rollout(WINDOW[:, :4], 3, PARAMETERS.flip(0))).abs().amin(dim=(1, 2)).min() > 0
    with pytest.raises(ValueError, match=r"model\.seed_frames=2 frames are needed, but there are 1"):
        model.rollout(WINDOW[:, :1], 3, PARAMETERS)


@pytest.mark.parametrize("frames", [1, 2])
def test_the_loss_covers_the_frames_after_the_seed(frames):
    model, scaled = make(seed_frames=frames), make().standardize(WINDOW)
    expected = []
    for step in range(frames, 6):
        prediction = model(scaled[:, step - frames : step], PARAMETERS)[:, 0]
        expected.append((prediction - scaled[:, step]).square().mean())
    torch.testing.assert_close(model.loss(WINDOW, PARAMETERS), torch.stack(expected).mean())
    with pytest.raises(ValueError, match=rf"a window of {frames} frames is too short for model\.seed_frames={frames}"):
        model.loss(WINDOW[:, :frames], PARAMETERS)


def test_noise_is_added_in_training_only_and_follows_the_generator():
    plain, noisy = make(), make(noise=0.1)
    scaled = plain.standardize(WINDOW)
    noise = 0.1 * torch.randn(2, 5, SPEC.cells, 2, generator=torch.Generator().manual_seed(0))
    expected = (noisy(scaled[:, :-1] + noise, PARAMETERS) - scaled[:, 1:]).square().mean()
    torch.testing.assert_close(noisy.loss(WINDOW, PARAMETERS, torch.Generator().manual_seed(0)), expected)
    assert torch.equal(noisy.eval().loss(WINDOW, PARAMETERS), plain.loss(WINDOW, PARAMETERS))


@pytest.mark.parametrize("frames", [1, 2])
def test_pushforward_replaces_frames_by_predictions_in_a_row(frames):
    model = make(seed_frames=frames, pushforward=2)
    scaled = model.standardize(WINDOW)
    pushed = model.push_forward(scaled, PARAMETERS)

    def frame(step: int, rounds: int) -> Tensor:
        if step < frames or not rounds:
            return scaled[:, step]
        before = [frame(step - back, rounds - 1) for back in range(frames, 0, -1)]
        return model(torch.stack(before, dim=1), PARAMETERS)[:, 0]

    for step in range(6):
        torch.testing.assert_close(pushed[:, step], frame(step, 2), rtol=1e-4, atol=1e-4)
    predictions = model(model.push_forward(scaled[:, :-1], PARAMETERS), PARAMETERS)
    torch.testing.assert_close(model.loss(WINDOW, PARAMETERS), (predictions - scaled[:, frames:]).square().mean())


def test_the_state_holds_only_real_tensors_and_loads_again():
    model = make()
    state = model.state_dict()
    assert all(isinstance(value, Tensor) and value.is_floating_point() for value in state.values())
    fresh = FNO(SPEC, **SMALL)
    fresh.load_state_dict(state)
    for other in (fresh, copy.deepcopy(model)):
        assert torch.equal(other.rollout(WINDOW[:, :1], 5, PARAMETERS), model.rollout(WINDOW[:, :1], 5, PARAMETERS))
    assert set(torch.nn.ModuleDict({"model": model}).state_dict()) == {f"model.{name}" for name in state}


def test_autocast_computes_in_float32_and_half_precision_is_refused():
    model = make()
    with torch.autocast("cpu", torch.bfloat16):
        rollout = model.rollout(WINDOW[:, :1], 3, PARAMETERS)
    assert torch.equal(rollout, model.rollout(WINDOW[:, :1], 3, PARAMETERS))
    with pytest.raises(ValueError, match=r"need trainer\.precision=32-true or bf16-mixed"):
        model.bfloat16().loss(WINDOW.bfloat16(), PARAMETERS.bfloat16())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"modes": (5, 3)}, r"model\.modes=\[5, 3\]: must be from \[1,1\] to \[4,8\] on a grid of 8 x 16"),
        ({"modes": (2, 0)}, r"model\.modes=\[2, 0\]"),
        ({"seed_frames": 0}, r"model\.seed_frames=0: must be at least 1"),
        ({"noise": -1.0}, r"model\.noise=-1\.0 and model\.pushforward=0 must be at least 0"),
    ],
)
def test_values_out_of_range_are_refused(arguments, line):
    with pytest.raises(ValueError, match=line):
        FNO(SPEC, **{**SMALL, **arguments})


def test_a_missing_grid_or_package_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="model=fno needs fields on a grid"):
        FNO(FieldSpec(("u",), ((0,),), 3, coordinates=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))))
    monkeypatch.setitem(sys.modules, "neuralop.models", None)
    with pytest.raises(ValueError, match=r"^model=fno needs another package: pip install 'adlx\[fno\]'$"):
        FNO(SPEC, **SMALL)


def test_the_package_is_imported_late_and_does_not_change_filters_of_warnings():
    pytest.importorskip("neuralop", reason="needs adlx[fno]")
    code = """
import sys, warnings
from adlx.models.fields import fno
assert "neuralop" not in sys.modules
before = list(warnings.filters)
fno.make_network((2, 3), 4, 2, 8, 1)
assert "neuralop" in sys.modules and warnings.filters == before
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
