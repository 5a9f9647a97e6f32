"""Measures state-exchange attention: rollouts with and without the cache, a training step compared with a plain one,
both compared with a Fourier neural operator, the solver of the flow past a cylinder, and reading windows from HDF5.

The width is 256, there are two groups of fields on 64 x 128 cells, and the batch size is 2. The sides of a comparison
run in turn in one process; `ratio` is the time of the first divided by that of the other, the median of rounds.
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
FNO_WIDTH = 35  # so that it has about as many parameters
SPEC = FieldSpec(("u", "v", "p"), ((0, 1), (2,)), 64 * 128, (64, 128), None, ("reynolds",))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="(default 1)")
    parser.add_argument("--repeats", type=int, default=9, help="rounds of each comparison (default 9)")
    parser.add_argument("--only", choices=BENCHES, help="one of the benches")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in BENCHES if options.only is None else [options.only]:
        globals()[f"bench_{name}"](options.repeats, options.threads)


def report(bench: str, **facts: Any) -> None:
    print(json.dumps({"bench": f"sea {bench}", **facts}), flush=True)


def turns(sides: Sequence[Callable[[], Any]], repeats: int) -> tuple[float, list[float], list[float]]:
    """Ratio of the first side to the second, and median and minimum milliseconds of each; one round is for warm-up."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats + 1):
        for side, values in zip(sides, times, strict=True):
            start = time.perf_counter()
            side()
            values.append((time.perf_counter() - start) * 1e3)
    times = [values[1:] for values in times]
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True)) if len(sides) == 2 else float("nan")
    return ratio, [round(statistics.median(values), 2) for values in times], [round(min(values), 2) for values in times]


def model(exchange: Any = "sea") -> SEA:
    torch.manual_seed(0)
    sea = SEA(SPEC, SEAAutoencoder(SPEC), width=256, exchange=exchange)
    for name, parameter in sea.change.named_parameters():  # with zeros, the latents would not change
        torch.nn.init.normal_(parameter, std=0.01 if "weight" in name else 0.0)
    return sea.eval()


def latents(sea: SEA, batch: int, steps: int) -> torch.Tensor:
    return torch.randn(batch, steps, len(SPEC.groups), sea.autoencoder.latents)


@torch.inference_mode()  # as Lightning has it in validation and test
def bench_rollout(repeats: int, threads: int) -> None:
    """50 and 200 steps from one frame, with the cache and without it."""
    sea, parameters = model(), torch.tensor([[100.0], [200.0]])
    start = latents(sea, 2, 1)
    for steps in (50, 200):
        rounds = repeats if steps == 50 else max(1, repeats // 3)
        sides = [partial(sea.unroll, start, steps, parameters, cached) for cached in (True, False)]
        ratio, median, fastest = turns(sides, rounds)
        facts = {"cached_ms": median[0], "full_ms": median[1], "min_ms": fastest, "ratio": round(ratio, 3)}
        goal = {"goal": ROLLOUT_GOAL, "met": ratio <= ROLLOUT_GOAL} if steps == 50 else {}
        report("rollout", steps=steps, threads=threads, **facts, **goal)


def training_step(module: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    trainable = [p for p in module.parameters() if p.requires_grad]
    fused = not any(p.is_complex() for p in trainable)  # PyTorch has no fused version for complex weights
    optimizer = torch.optim.AdamW(trainable, fused=fused)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in module.parameters() if p.requires_grad)


def bench_step(repeats: int, threads: int) -> None:
    """A training step compared with the plain version, and of each exchange compared with no exchange."""
    parameters = torch.rand(8, 1)
    seas = {exchange: model(exchange).train() for exchange in ("none", "sea", "addition", "pool")}
    window = latents(seas["sea"], 8, 16)
    plain = PlainSEA(window.shape[2], window.shape[3], width=256, low=32, heads=8, num_parameters=1)
    assert count(plain) == count(seas["sea"])
    steps = {name: training_step(sea, partial(sea.step_loss, window, parameters)) for name, sea in seas.items()}
    steps["plain"] = training_step(plain, partial(plain.loss, window, parameters))
    ratio, median, fastest = turns([steps["sea"], steps["plain"]], 3 * repeats)
    facts = {"threads": threads, "ms": median[0], "plain_ms": median[1], "min_ms": fastest, "parameters": count(plain)}
    report("step", against="plain", **facts, ratio=round(ratio, 3), goal=1.0, met=ratio <= 1)
    for exchange in ("sea", "addition", "pool"):
        ratio, median, _ = turns([steps[exchange], steps["none"]], repeats)
        report("step", exchange=exchange, threads=threads, ms=median[0], none_ms=median[1], ratio=round(ratio, 3))


def bench_fno(repeats: int, threads: int) -> None:
    """Training time per forecast frame, and a rollout of 50 steps, compared with a Fourier neural operator of about as
    many parameters.

    SEA trains on windows of latents, which are computed once, and the FNO on pairs of frames.
    """
    try:
        from neuralop.models import FNO  # pyright: ignore[reportMissingImports]
    except ImportError:
        report("fno", neuralop="not installed: pip install 'adlx[fno]'")
        return
    sea, parameters = model().train(), torch.rand(8, 1)
    rows, columns = SPEC.grid or (0, 0)
    torch.manual_seed(0)
    fields, num_parameters = len(SPEC.fields), len(SPEC.parameters)
    fno = FNO(n_modes=(24, 24), in_channels=fields + num_parameters, out_channels=fields, hidden_channels=FNO_WIDTH)
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
    report("fno", what="training", **facts, ms_a_frame=round(ours_ms, 3), fno_ms_a_frame=round(theirs_ms, 3))

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
    report("fno", what="rollout", steps=50, **facts, ms=median[0], fno_ms=median[1], ratio=round(ratio, 3))


def bench_solver(repeats: int, threads: int) -> None:
    """Steps per second of the lattice Boltzmann solver, on the lattice of `data=cylinder`."""
    for flows in (1, 4):
        centres, reynolds = torch.full((flows, 2), 64.0), torch.full((flows,), 200.0)
        flow = CylinderFlow((128, 304), 16.0, centres, reynolds, turn=torch.ones(flows), layer=24)
        _, median, _ = turns([partial(flow.advance, 50)], repeats)
        report("solver", flows=flows, threads=threads, steps_per_s=round(50e3 / median[0], 1))


def bench_windows(repeats: int, threads: int) -> None:
    """Reads windows of 16 steps from a file in the layout of The Well, with adlx and, if installed, with `the_well`."""
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
        ranges = [(n % 4, 4 * (n % 12), 4 * (n % 12) + 16) for n in range(20)]
        sides = [lambda: [frames.read(*range_) for range_ in ranges]]
        try:
            from the_well.data import WellDataset  # type: ignore[import-not-found]
        except ImportError:
            report(
                "windows", the_well="not installed: pip install --no-deps --target FOLDER the_well, PYTHONPATH=FOLDER"
            )
        else:
            other = WellDataset(path=str(path.parent), n_steps_input=16, n_steps_output=0, use_normalization=False)
            sides.append(lambda: [other[number] for number in range(20)])
        ratio, median, _ = turns(sides, repeats)
        rates = {f"{name}_per_s": round(20e3 / ms, 1) for name, ms in zip(("adlx", "the_well"), median, strict=False)}
        report("windows", threads=threads, **rates, **({"ratio": round(ratio, 3)} if len(sides) == 2 else {}))


if __name__ == "__main__":
    main()
