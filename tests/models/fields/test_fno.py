"""The Fourier neural operator: what the package is given, its start, what it learns, and that it may be missing."""

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
TOLD = torch.tensor([[0.3, 5.0], [0.7, 5.0]])


def make(opened: bool = True, **arguments) -> FNO:
    """With the layer that starts at zero drawn at random, unless it is to stay; scales are those of `Training`."""
    pytest.importorskip("neuralop.models", reason="needs adlx[fno]")
    torch.manual_seed(0)
    model = FNO(SPEC, **{**SMALL, **arguments})
    if opened:
        torch.nn.init.normal_(model.get_parameter("network.projection.fcs.1.weight"), std=0.1)
    model.solve(Training())
    return model


def travelling(speeds: Tensor, steps: int, phase: float = 0.0) -> Tensor:
    """(B, steps, C, 2): a wave that passes with (B,) speed radians a step, in fields of very different size."""
    time = torch.arange(steps)[:, None, None]
    x, y = 2 * math.pi * torch.arange(COLUMNS) / COLUMNS, 2 * math.pi * torch.arange(ROWS)[:, None] / ROWS
    wave = (x + y - speeds[:, None, None, None] * time + phase).sin()
    return torch.stack([2 + wave, 1000 + 50 * wave.roll(2, dims=3)], dim=-1).flatten(2, 3)


class Training:
    values = (travelling(TOLD[:1, 0], 7)[0], travelling(TOLD[1:, 0], 5, phase=1.0)[0])

    def snapshots(self):
        return iter([part.numpy() for part in self.values])

    def training_parameters(self):
        return TOLD.numpy()


WINDOW = travelling(TOLD[:, 0], 6, phase=0.4)


@pytest.mark.parametrize("frames", [1, 3])
def test_the_package_is_given_frames_and_parameters_as_channels(frames, monkeypatch):
    model = make(seed_frames=frames)
    monkeypatch.setattr(fno, "TOGETHER", 3)
    scaled = model.standardized(WINDOW)
    found = model(scaled, TOLD)
    assert found.shape == (2, 7 - frames, SPEC.cells, 2)
    told = torch.stack([(TOLD[:, 0] - 0.5) / 0.2, torch.zeros(2)], dim=1)  # the angle is always the same
    for sample in range(2):
        for last in range(frames - 1, 6):
            seen = [scaled[sample, step, :, field] for step in range(last - frames + 1, last + 1) for field in (0, 1)]
            channels = [part.view(ROWS, COLUMNS) for part in seen]
            channels += [number.expand(ROWS, COLUMNS) for number in told[sample]]
            (change,) = model.network(torch.stack(channels)[None])  # (F, rows, columns)
            expected = scaled[sample, last] + torch.stack([part.flatten() for part in change], dim=-1)
            torch.testing.assert_close(found[sample, last - frames + 1], expected, rtol=1e-5, atol=1e-5)


def test_frequencies_up_to_the_modes_pass_the_spectral_layer():
    """-m to m - 1 along rows, 0 to m along columns, and no other but the mirror of what has none along columns."""
    network: Any = make(modes=(2, 3)).network
    layer = network.fno_blocks.convs[0]
    spectrum = torch.fft.rfft2(layer(torch.randn(1, 8, ROWS, COLUMNS)) - layer.bias)[0].abs().amax(dim=0)
    passed = {(row, column) for row, column in (spectrum > 1e-4).nonzero().tolist()}
    assert passed == {(row % ROWS, column) for row in range(-2, 2) for column in range(4)} | {(2, 0)}


def test_scales_come_from_the_training_part():
    model = make()
    scaled = model.standardized(torch.cat(Training.values))
    torch.testing.assert_close(scaled.mean(dim=(0, 1)), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(scaled.square().mean(dim=(0, 1)), torch.ones(2), rtol=1e-4, atol=0)
    torch.testing.assert_close(model.parameter_mean, torch.tensor([0.5, 5.0]))
    torch.testing.assert_close(model.parameter_std, torch.tensor([0.2, 1.0]))


def test_it_begins_as_persistence_and_learns_from_everything():
    model = make(opened=False)
    torch.testing.assert_close(model.rollout(WINDOW[:, :1], 4, TOLD), WINDOW[:, :1].expand(-1, 4, -1, -1))
    for _ in range(2):  # the layer that is zero opens first
        model.zero_grad()
        model.loss(WINDOW, TOLD).backward()
        with torch.no_grad():
            for weight in model.parameters():
                assert weight.grad is not None
                weight -= 0.01 * weight.grad.sign()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_it_learns_how_fast_waves_travel():
    """From one frame and the speed alone, at speeds between those of training."""
    model = make(opened=False, width=16)
    speeds = torch.linspace(0.2, 0.8, 7)
    told, window = torch.stack([speeds, torch.full((7,), 5.0)], dim=1), travelling(speeds, 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 80)
    for _ in range(80):
        optimizer.zero_grad()
        model.loss(window, told).backward()
        optimizer.step()
        schedule.step()
    between = torch.tensor([0.35, 0.65])
    truth = travelling(between, 9, phase=2.0)
    found = model.rollout(truth[:, :1], 8, torch.stack([between, torch.full((2,), 5.0)], dim=1))
    error, frozen = ((part - truth[:, 1:]).square().mean() for part in (found, truth[:, :1]))
    assert error < 0.01 * frozen


def test_a_rollout_sees_the_seed_alone():
    model = make(seed_frames=2).eval()
    found = model.rollout(WINDOW[:, :4], 3, TOLD)
    assert torch.equal(found, model.rollout(WINDOW[:, 2:4], 3, TOLD))
    known = model.standardized(WINDOW[:, 2:4])
    for _ in range(3):
        known = torch.cat([known, model(known[:, -2:], TOLD)], dim=1)
    torch.testing.assert_close(model.standardized(found), known[:, 2:], rtol=1e-3, atol=1e-3)
    assert (found - model.rollout(WINDOW[:, :4], 3, TOLD.flip(0))).abs().amin(dim=(1, 2)).min() > 0
    with pytest.raises(ValueError, match=r"model\.seed_frames=2 are needed, 1 are given"):
        model.rollout(WINDOW[:, :1], 3, TOLD)


@pytest.mark.parametrize("frames", [1, 2])
def test_the_loss_is_of_the_frames_after_the_seed(frames):
    model, scaled = make(seed_frames=frames), make().standardized(WINDOW)
    expected = []
    for step in range(frames, 6):
        found = model(scaled[:, step - frames : step], TOLD)[:, 0]
        expected.append((found - scaled[:, step]).square().mean())
    torch.testing.assert_close(model.loss(WINDOW, TOLD), torch.stack(expected).mean())
    with pytest.raises(ValueError, match=rf"a window of {frames} frames ends with model\.seed_frames={frames}"):
        model.loss(WINDOW[:, :frames], TOLD)


def test_noise_is_of_training_alone_and_of_its_generator():
    plain, noisy = make(), make(noise=0.1)
    scaled = plain.standardized(WINDOW)
    noise = 0.1 * torch.randn(2, 5, SPEC.cells, 2, generator=torch.Generator().manual_seed(0))
    expected = (noisy(scaled[:, :-1] + noise, TOLD) - scaled[:, 1:]).square().mean()
    torch.testing.assert_close(noisy.loss(WINDOW, TOLD, torch.Generator().manual_seed(0)), expected)
    assert torch.equal(noisy.eval().loss(WINDOW, TOLD), plain.loss(WINDOW, TOLD))


@pytest.mark.parametrize("frames", [1, 2])
def test_pushforward_is_steps_of_its_own_from_the_truth(frames):
    model = make(seed_frames=frames, pushforward=2)
    scaled = model.standardized(WINDOW)
    pushed = model.pushed(scaled, TOLD)

    def frame(step: int, rounds: int) -> Tensor:
        if step < frames or not rounds:
            return scaled[:, step]
        before = [frame(step - back, rounds - 1) for back in range(frames, 0, -1)]
        return model(torch.stack(before, dim=1), TOLD)[:, 0]

    for step in range(6):
        torch.testing.assert_close(pushed[:, step], frame(step, 2), rtol=1e-4, atol=1e-4)
    seen = model(model.pushed(scaled[:, :-1], TOLD), TOLD)
    torch.testing.assert_close(model.loss(WINDOW, TOLD), (seen - scaled[:, frames:]).square().mean())


def test_what_is_stored_is_real_numbers_alone():
    model = make()
    state = model.state_dict()
    assert all(isinstance(value, Tensor) and value.is_floating_point() for value in state.values())
    fresh = FNO(SPEC, **SMALL)
    fresh.load_state_dict(state)
    for other in (fresh, copy.deepcopy(model)):
        assert torch.equal(other.rollout(WINDOW[:, :1], 5, TOLD), model.rollout(WINDOW[:, :1], 5, TOLD))
    assert set(torch.nn.ModuleDict({"model": model}).state_dict()) == {f"model.{name}" for name in state}


def test_it_computes_in_float32_or_not_at_all():
    model = make()
    with torch.autocast("cpu", torch.bfloat16):
        found = model.rollout(WINDOW[:, :1], 3, TOLD)
    assert torch.equal(found, model.rollout(WINDOW[:, :1], 3, TOLD))
    with pytest.raises(ValueError, match=r"need trainer\.precision=32-true or bf16-mixed"):
        model.bfloat16().loss(WINDOW.bfloat16(), TOLD.bfloat16())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"modes": (5, 3)}, r"model\.modes=\[5, 3\]: on a grid of 8 x 16 from \[1,1\] to \[4,8\]"),
        ({"modes": (2, 0)}, r"model\.modes=\[2, 0\]"),
        ({"seed_frames": 0}, r"model\.seed_frames=0: must be at least 1"),
        ({"noise": -1.0}, r"model\.noise=-1\.0 and model\.pushforward=0 must be at least 0"),
    ],
)
def test_what_is_out_of_range(arguments, line):
    with pytest.raises(ValueError, match=line):
        FNO(SPEC, **{**SMALL, **arguments})


def test_it_needs_a_grid_and_its_package(monkeypatch):
    with pytest.raises(ValueError, match="model=fno needs fields on a grid"):
        FNO(FieldSpec(("u",), ((0,),), 3, coordinates=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))))
    monkeypatch.setitem(sys.modules, "neuralop.models", None)
    with pytest.raises(ValueError, match=r"^model=fno needs a package more: pip install 'adlx\[fno\]'$"):
        FNO(SPEC, **SMALL)


def test_the_package_is_imported_when_a_model_is_built_and_sets_no_filter_of_warnings():
    pytest.importorskip("neuralop", reason="needs adlx[fno]")
    code = """
import sys, warnings
from adlx.models.fields import fno
assert "neuralop" not in sys.modules
before = list(warnings.filters)
fno.operator((2, 3), 4, 2, 8, 1)
assert "neuralop" in sys.modules and warnings.filters == before
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
