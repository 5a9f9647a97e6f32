"""The moving average by hand, over what a whole run logs of it."""

import pytest
import torch

import adlx
from adlx.models.diffusion.unet import UNet
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
def test_weights_and_what_normalisations_have_seen_are_averaged(decay, monkeypatch, tmp_path):
    seen = []
    honest = Denoise.on_train_batch_end

    def watched(task, outputs, batch, batch_idx):
        if not seen:
            seen.append({name: value.clone() for name, value in task.ema_weights.items()})  # as it was drawn
        seen.append({name: value.clone() for name, value in task.model.state_dict().items()})
        honest(task, outputs, batch, batch_idx)

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
