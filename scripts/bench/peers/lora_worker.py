"""Trains one network with the low-rank adapters of several libraries, and with all weights, in turn in one process.

`lora_worker.py race SRC THREADS BATCH RANK REPEATS SECONDS` prints wall and CPU seconds per step of each side in each
round. `lora_worker.py memory SRC THREADS BATCH RANK SIDE` prints the peak memory of a process that trains only one
side. SRC is the folder that contains adlx. All sides have equal initial weights and batches; alpha equals the rank.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import loralib  # pyright: ignore[reportMissingImports]
import peft  # pyright: ignore[reportMissingImports]
import torch
from torch import nn
from turns import peak_mb

CONTEXT, HORIZON, SERIES = 96, 5, 7
SIDES = ("adlx", "full", "peft", "loralib")
WARM_UP_STEPS, MEMORY_STEPS = 4, 8
BLOCK_SECONDS = 0.2


def network() -> nn.Module:
    from adlx.models.forecasting.transformer import Transformer
    from adlx.specs import SeriesSpec

    torch.manual_seed(0)
    return Transformer(SeriesSpec(tuple("abcdefg"), CONTEXT, HORIZON), blocks=4, head_dim=64)


def adapted(side: str, rank: int) -> nn.Module:
    """The network with every affine layer adapted by `side`, or all of it trainable."""
    model = network()
    names = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    if side == "adlx":
        from adlx.models.lora import add_lora

        add_lora(model, rank)
    elif side == "peft":
        model = peft.get_peft_model(model, peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=names))
    elif side == "loralib":
        for name in names:
            old = model.get_submodule(name)
            new = loralib.Linear(old.in_features, old.out_features, r=rank, lora_alpha=rank)
            new.load_state_dict(old.state_dict(), strict=False)
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, new)
        loralib.mark_only_lora_as_trainable(model)
    return model


class Side:
    """A training loop: forward, backward and a step of fused Adam on what is trainable."""

    def __init__(self, side: str, batch: int, rank: int) -> None:
        self.model = adapted(side, rank).train()
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.trainable = sum(p.numel() for p in parameters)
        self.optimizer = torch.optim.Adam(parameters, fused=True)
        generator = torch.Generator().manual_seed(1)
        self.past = torch.randn(batch, CONTEXT, SERIES, generator=generator)
        self.future = torch.randn(batch, HORIZON, SERIES, generator=generator)
        self.first_loss = self.step()

    def step(self) -> float:
        loss = nn.functional.mse_loss(self.model(self.past, self.future), self.future)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def counts(self) -> dict[str, int]:
        """The numbers of trainable weights and of values in the state of the optimizer."""
        state = [value for values in self.optimizer.state.values() for value in values.values() if value.dim()]
        return {"trainable": self.trainable, "optimizer_numbers": sum(value.numel() for value in state)}


def clocked(step: Callable[[], Any], steps: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps


def race(batch: int, rank: int, repeats: int, seconds: float) -> dict[str, Any]:
    sides = {name: Side(name, batch, rank) for name in SIDES}
    losses = {name: side.first_loss for name, side in sides.items()}
    assert max(losses.values()) - min(losses.values()) < 1e-5, losses
    warm = [clocked(side.step, WARM_UP_STEPS)[0] for side in sides.values()]
    steps = max(1, round(BLOCK_SECONDS / min(warm)))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    until = time.perf_counter() + seconds
    for number in range(repeats):
        if number > 2 and time.perf_counter() > until:
            break
        for name, side in sides.items():
            times[name].append(clocked(side.step, steps))
    return {
        "steps_a_block": steps,
        "times": times,
        "counts": {name: side.counts() for name, side in sides.items()},
    }


def memory(batch: int, rank: int, side: str) -> dict[str, Any]:
    before = peak_mb()
    loop = Side(side, batch, rank)
    for _ in range(MEMORY_STEPS):
        loop.step()
    return {"peak_mb": peak_mb(), "before_mb": before}


def main() -> None:
    what, source, threads, batch, rank, *rest = sys.argv[1:]
    sys.path.insert(0, source)
    torch.set_num_threads(int(threads))
    if what == "race":
        print(json.dumps(race(int(batch), int(rank), int(rest[0]), float(rest[1]))))
    else:
        print(json.dumps(memory(int(batch), int(rank), rest[0])))


main()
