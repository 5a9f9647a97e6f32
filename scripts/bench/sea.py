"""State-exchange attention: rollouts with and without the cache, a training step against the plain form, both beside a
Fourier neural operator, the solver of the cylinder's flow, and windows out of HDF5.

Width 256, two groups of fields on 64 x 128 cells, batch 2. The sides of a comparison take turns in one process; `ratio`
is the first one's time over the other's, the median of rounds.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers.sea_plain import PlainSEA

from adlx.data.fields.sources.lattice_boltzmann import CylinderFlow
from adlx.data.fields.sources.trajectories import InMemory, Trajectories
from adlx.data.fields.sources.well import read_well, write_well
from adlx.models.fields.sea import SEA
from adlx.models.fields.sea_autoencoder import SEAAutoencoder
from adlx.specs import FieldSpec

EXAMPLES = """examples:
  python scripts/bench/sea.py
  python scripts/bench/sea.py --threads 2 --repeats 5 --only rollout
"""
BENCHES = ("rollout", "step", "fno", "solver", "windows")
ROLLOUT_GOAL = round(1 / 3, 4)
FNO_WIDTH = 35  # gives it about as many parameters
SPEC = FieldSpec(("u", "v", "p"), ((0, 1), (2,)), 64 * 128, (64, 128), None, ("reynolds",))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="(default 1)")
    parser.add_argument("--repeats", type=int, default=9, help="rounds of each comparison (default 9)")
    parser.add_argument("--only", choices=BENCHES, help="one of the benches")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name in BENCHES if given.only is None else [given.only]:
        globals()[f"bench_{name}"](given.repeats, given.threads)


def tell(bench: str, **facts: Any) -> None:
    print(json.dumps({"bench": f"sea {bench}", **facts}), flush=True)


def turns(sides: Sequence[Callable[[], Any]], repeats: int) -> tuple[float, list[float], list[float]]:
    """Ratio of the first side to the second, and the median and least milliseconds of each; one round warms up."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats + 1):
        for side, took in zip(sides, times, strict=True):
            start = time.perf_counter()
            side()
            took.append((time.perf_counter() - start) * 1e3)
    times = [took[1:] for took in times]
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True)) if len(sides) == 2 else float("nan")
    return ratio, [round(statistics.median(took), 2) for took in times], [round(min(took), 2) for took in times]


def model(exchange: Any = "sea") -> SEA:
    torch.manual_seed(0)
    made = SEA(SPEC, SEAAutoencoder(SPEC), width=256, exchange=exchange)
    for name, parameter in made.change.named_parameters():  # else nothing would move
        torch.nn.init.normal_(parameter, std=0.01 if "weight" in name else 0.0)
    return made.eval()


def latents(sea: SEA, batch: int, steps: int) -> torch.Tensor:
    return torch.randn(batch, steps, len(SPEC.groups), sea.autoencoder.latents)


@torch.inference_mode()  # as Lightning has it in validation and test
def bench_rollout(repeats: int, threads: int) -> None:
    """50 and 200 steps from one frame: with the cache, and each step from all before it."""
    sea, parameters = model(), torch.tensor([[100.0], [200.0]])
    start = latents(sea, 2, 1)
    for steps in (50, 200):
        rounds = repeats if steps == 50 else max(1, repeats // 3)
        sides = [partial(sea.unroll, start, steps, parameters, cached) for cached in (True, False)]
        ratio, median, least = turns(sides, rounds)
        facts = {"cached_ms": median[0], "full_ms": median[1], "least_ms": least, "ratio": round(ratio, 3)}
        goal = {"goal": ROLLOUT_GOAL, "met": ratio <= ROLLOUT_GOAL} if steps == 50 else {}
        tell("rollout", steps=steps, threads=threads, **facts, **goal)


def training_step(module: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    learnt = [p for p in module.parameters() if p.requires_grad]
    fused = not any(p.is_complex() for p in learnt)  # PyTorch has none for these
    optimizer = torch.optim.AdamW(learnt, fused=fused)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in module.parameters() if p.requires_grad)


def bench_step(repeats: int, threads: int) -> None:
    """A training step against the plain form of as many parameters, and of each exchange against groups kept apart."""
    parameters = torch.rand(8, 1)
    seas = {exchange: model(exchange).train() for exchange in ("none", "sea", "addition", "pool")}
    window = latents(seas["sea"], 8, 16)
    plain = PlainSEA(window.shape[2], window.shape[3], width=256, low=32, heads=8, told=1)
    assert count(plain) == count(seas["sea"])
    steps = {name: training_step(sea, partial(sea.step_loss, window, parameters)) for name, sea in seas.items()}
    steps["plain"] = training_step(plain, partial(plain.loss, window, parameters))
    ratio, median, least = turns([steps["sea"], steps["plain"]], 3 * repeats)
    facts = {"threads": threads, "ms": median[0], "plain_ms": median[1], "least_ms": least, "parameters": count(plain)}
    tell("step", against="plain", **facts, ratio=round(ratio, 3), goal=1.0, met=ratio <= 1)
    for exchange in ("sea", "addition", "pool"):
        ratio, median, _ = turns([steps[exchange], steps["none"]], repeats)
        tell("step", exchange=exchange, threads=threads, ms=median[0], none_ms=median[1], ratio=round(ratio, 3))


def bench_fno(repeats: int, threads: int) -> None:
    """A training step, for each frame that it forecasts, and 50 steps from fields to fields, beside a Fourier neural
    operator of about as many parameters.

    SEA learns from windows of latents, which are made once; FNO from pairs of frames.
    """
    try:
        from neuralop.models import FNO  # pyright: ignore[reportMissingImports]
    except ImportError:
        tell("fno", neuralop="not installed: pip install 'adlx[fno]'")
        return
    sea, parameters = model().train(), torch.rand(8, 1)
    rows, columns = SPEC.grid or (0, 0)
    torch.manual_seed(0)
    fields, told = len(SPEC.fields), len(SPEC.parameters)
    fno = FNO(n_modes=(24, 24), in_channels=fields + told, out_channels=fields, hidden_channels=FNO_WIDTH)
    pairs = torch.randn(2, 4, fields, rows, columns)

    def forecast(frames: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        numbers = parameters[:, :, None, None].expand(-1, -1, rows, columns)
        return frames + fno(torch.cat([frames, numbers], dim=1))

    def loss() -> torch.Tensor:
        return (forecast(pairs[0], parameters[:4]) - pairs[1]).square().mean()

    ours = training_step(sea, partial(sea.step_loss, latents(sea, 8, 16), parameters))
    _, median, _ = turns([ours, training_step(fno, loss)], repeats)
    ours_ms, theirs_ms = median[0] / (8 * 15), median[1] / 4
    facts = {"threads": threads, "parameters": count(sea), "fno_parameters": count(fno)}
    tell("fno", what="training", **facts, ms_a_frame=round(ours_ms, 3), fno_ms_a_frame=round(theirs_ms, 3))

    @torch.no_grad()
    def unrolled(steps: int) -> None:
        frames = pairs[0, :2]
        for _ in range(steps):
            frames = forecast(frames, parameters[:2])

    sea.eval()
    fno.eval()
    seed = torch.randn(2, 1, SPEC.cells, fields)
    sides = [partial(sea.rollout, seed, 50, parameters[:2]), partial(unrolled, 50)]
    ratio, median, _ = turns(sides, max(1, repeats // 3))
    tell("fno", what="rollout", steps=50, **facts, ms=median[0], fno_ms=median[1], ratio=round(ratio, 3))


def bench_solver(repeats: int, threads: int) -> None:
    """Steps of the lattice Boltzmann solver a second, on the lattice of `data=cylinder`."""
    for flows in (1, 4):
        centres, reynolds = torch.full((flows, 2), 64.0), torch.full((flows,), 200.0)
        flow = CylinderFlow((128, 304), 16.0, centres, reynolds, turn=torch.ones(flows), layer=24)
        _, median, _ = turns([partial(flow.advance, 50)], repeats)
        tell("solver", flows=flows, threads=threads, steps_per_s=round(50e3 / median[0], 1))


def bench_windows(repeats: int, threads: int) -> None:
    """Windows of 16 steps out of a file in the layout of The Well, by us and, where it is installed, by `the_well`."""
    values = np.random.default_rng(0).standard_normal((4, 64, SPEC.cells, 3)).astype(np.float32)
    rows, columns = SPEC.grid or (0, 0)
    y, x = np.mgrid[:rows, :columns]
    data = Trajectories(
        frames=InMemory(values),
        lengths=np.full(4, 64),
        fields=SPEC.fields,
        groups=SPEC.groups,
        grid=SPEC.grid,
        coordinates=np.stack([x.ravel(), y.ravel()], axis=1).astype(float),
        parameters=np.ones((4, 1), np.float32),
        parameter_names=SPEC.parameters,
        mask=None,
        time=np.arange(64.0),
        source="noise",
        detail="noise",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data" / "train" / "noise.hdf5"
        path.parent.mkdir(parents=True)
        write_well(path, data, "noise")
        frames = read_well(path).frames
        places = [(n % 4, 4 * (n % 12), 4 * (n % 12) + 16) for n in range(20)]
        sides = [lambda: [frames.read(*place) for place in places]]
        try:
            from the_well.data import WellDataset  # type: ignore[import-not-found]
        except ImportError:
            tell("windows", the_well="not installed: pip install --no-deps --target FOLDER the_well, PYTHONPATH=FOLDER")
        else:
            other = WellDataset(path=str(path.parent), n_steps_input=16, n_steps_output=0, use_normalization=False)
            sides.append(lambda: [other[number] for number in range(20)])
        ratio, median, _ = turns(sides, repeats)
        rates = {f"{name}_per_s": round(20e3 / ms, 1) for name, ms in zip(("adlx", "the_well"), median, strict=False)}
        tell("windows", threads=threads, **rates, **({"ratio": round(ratio, 3)} if len(sides) == 2 else {}))


if __name__ == "__main__":
    main()
