"""Measures the speed and memory of diffusion in adlx, a plain transformer, diffusers and denoising-diffusion-pytorch.

Images have 64 x 64 pixels in color, and a batch has 8 images. Each side is a process, and only one works at a time. The
script installs denoising-diffusion-pytorch, by lucidrains, in a virtual environment and keeps it. `ratio` is the time
of a side divided by that of `adlx vit`, the median over rounds. `min_ratio` compares the shortest times, which other
work on the machine disturbs less. `peak_mb` is the peak memory of the process, with its imports.

train    a training step. `adlx vit` and `adlx unet` run the loop of `adlx train`, with loader, Lightning and moving
         average of the weights; `bare loop` trains the same network without them, like the other libraries.
sample   an image in 20 steps, with the sampler of each library; the network of lucidrains with the sampler of adlx.
sampler  a step of the samplers alone, with given noise.
ema      the moving average of the weights, compared with a training step.
memory   the peak memory for 64 images, minus the memory before, for several batch sizes.

adlx vit        width 384, patches of 8, 8 blocks, 12 heads; conditioned on the noise level by AdaLN-zero
adlx unet       widths 32, 64, 96, 128, depth 2
adlx vit input  like adlx vit, with the noise level added to the tokens: as large as the plain ViT
plain ViT       torch.nn.TransformerEncoder of the same size, with the noise level added to the tokens
DiT             DiTTransformer2DModel of diffusers, of the same size
UNet2D          UNet2DModel of diffusers with the widths of adlx unet, with attention at the smallest size
lucidrains      Unet of denoising-diffusion-pytorch, dim 32
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tables
from peers import venvs, workers

import adlx

BATCH, STEPS = 8, 20
PEER = "denoising-diffusion-pytorch"
BARE = ("adlx vit, bare loop", "adlx vit input, bare loop")
SIDES = ("adlx vit", "adlx unet", *BARE, "plain ViT", "DiT", "UNet2D", "lucidrains")
PRECISIONS = ("32-true", "bf16-mixed")
BENCHES = ("train", "sample", "sampler", "ema", "memory")
PLAIN_RATIO, BF16_TIMES, SAMPLER_MS, EMA_SHARE = 1.0, 1.2, 0.15, 0.03

Times = dict[tuple[str, str], list[float]]
"""By side and precision."""

EXAMPLES = """examples:
  python scripts/bench/diffusion.py
  python scripts/bench/diffusion.py --only train,sample --sides adlx,plain --repeats 30
  python scripts/bench/diffusion.py --only sampler,ema
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="of each side (default 1)")
    parser.add_argument("--repeats", type=int, default=15, help="rounds (default 15)")
    parser.add_argument("--sides", default="", metavar="NAMES", help="sides, or what their names begin with")
    parser.add_argument("--only", default=",".join(BENCHES), metavar="BENCHES", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--venvs", type=Path, metavar="FOLDER", help="of the peer (default: in the user's cache)")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(BENCHES):
        parser.error(f"--only {', '.join(sorted(unknown))}: none of {', '.join(BENCHES)}")
    warnings.filterwarnings("ignore")
    if options.venvs is None:
        from platformdirs import user_cache_path

        options.venvs = user_cache_path("adlx") / "bench"
    for bench in chosen:
        if bench in ("train", "sample"):
            by_turns(bench, options)
        else:
            {"sampler": sampler, "ema": ema, "memory": memory}[bench](options)


def report(bench: str, **facts: Any) -> None:
    print(json.dumps({"bench": f"diffusion {bench}", **facts}), flush=True)


def goal(name: str, measured: float, limit: float, at_least: bool = False) -> None:
    report(
        "goal",
        goal=name,
        measured=round(measured, 3),
        limit=limit,
        met=measured >= limit if at_least else measured <= limit,
    )


def command(what: str, side: str, options: argparse.Namespace, *rest: str) -> list[str]:
    python = venvs.python_of(PEER, options.venvs) if side == "lucidrains" else sys.executable
    script, source = Path(__file__).parent / "peers" / "diffusion_worker.py", Path(adlx.__file__).parents[1]
    return [python, "-W", "ignore", str(script), what, side, str(source), str(options.threads), *rest]


def answer(what: str, side: str, options: argparse.Namespace) -> Any:
    """The output of a worker that runs once, without turns."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command(what, side, options), capture_output=True, text=True, env=environment)
    if done.returncode:
        raise workers.WorkerFailed((done.stderr.strip().splitlines() or ["no output"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def by_turns(bench: str, options: argparse.Namespace) -> None:
    """Measures each side in each precision; in bfloat16, together with adlx in float32, which should be slower.

    Times are milliseconds per training step, or per image.
    """
    sizes: dict[str, int] = {}
    wanted = ("adlx vit", *options.sides.split(","))
    names = [side for side in SIDES if side.startswith(wanted) and (bench == "train" or "bare" not in side)]
    scale = 1e3 if bench == "train" else 1e3 * STEPS / BATCH
    for precision in PRECISIONS:
        contenders = [(name, precision) for name in names]
        if precision != PRECISIONS[0]:
            contenders += [(name, PRECISIONS[0]) for name in names if name in ("adlx vit", "adlx unet")]
        times: Times = {}
        peaks: dict[tuple[str, str], float] = {}
        with contextlib.ExitStack() as stack:
            running = {}
            for side in contenders:
                try:
                    sizes.setdefault(side[0], answer("size", side[0], options))
                    running[side] = workers.Worker(command(bench, side[0], options, side[1]), options.threads)
                except (venvs.NoEnvironment, workers.WorkerFailed) as error:
                    report(bench, side=side[0], precision=side[1], error=str(error))
                    continue
                stack.callback(running[side].close)
            for _ in range(options.repeats):
                for side, worker in running.items():
                    times.setdefault(side, []).append(worker.block() * scale)
                    peaks[side] = worker.peak_mb
        if ("adlx vit", precision) in times:
            table(bench, precision, [row(side, times, sizes, peaks, precision) for side in times])
            goals(bench, precision, times)


def row(side: tuple[str, str], times: Times, sizes: dict[str, int], peaks: Any, precision: str) -> dict[str, str]:
    ours, theirs = times["adlx vit", precision], times[side]
    return {
        "side": side[0],
        "precision": side[1],
        "parameters_m": f"{sizes[side[0]] / 1e6:.2f}",
        "ms": digits(statistics.median(theirs)),
        "min_ms": digits(min(theirs)),
        "ratio": f"{ratio(theirs, ours):.2f}",
        "min_ratio": f"{min(theirs) / min(ours):.2f}",
        "peak_mb": f"{peaks[side]:.0f}",
        "rounds": str(len(theirs)),
    }


def digits(number: float) -> str:
    """A number with three significant digits and no exponent."""
    return f"{float(f'{number:.3g}'):g}"


def ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def table(bench: str, precision: str, rows: list[dict[str, str]]) -> None:
    what = "a training step" if bench == "train" else f"an image of {STEPS} steps"
    print(f"\n{what}, {precision}")
    tables.show(list(rows[0]), rows, words=2)
    print(flush=True)


def goals(bench: str, precision: str, times: Times) -> None:
    """Reports each goal with the shortest times."""
    fastest = {side: min(values) for side, values in times.items()}
    plain = fastest.get(("plain ViT", precision)) if bench == "train" else None
    for side in ("adlx vit", *BARE):
        if plain and (side, precision) in fastest:
            goal(f"{bench}, {precision}: {side} over plain ViT", fastest[side, precision] / plain, PLAIN_RATIO)
    for side in ("adlx vit", "adlx unet"):
        if precision != PRECISIONS[0] and (side, precision) in fastest and (side, PRECISIONS[0]) in fastest:
            gain = fastest[side, PRECISIONS[0]] / fastest[side, precision]
            goal(f"{bench}: {side} times faster in bfloat16", gain, BF16_TIMES, at_least=True)


def alternate(sides: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Calls the sides in turn and returns the milliseconds of each call; the first two rounds are for warm-up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats + 2):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: values[2:] for name, values in times.items()}


def sampler(options: argparse.Namespace) -> None:
    """The time of 20 sampler steps without the network, for adlx and, if it is installed, diffusers."""
    import torch

    from adlx.models.diffusion.samplers import DDIM

    torch.set_num_threads(options.threads)
    start, noise = torch.randn(2, BATCH, 3, 64, 64)

    def ours(eta: float) -> None:
        for _ in DDIM(eta).sample(lambda image, variance: noise, start, STEPS):
            pass

    sides: dict[str, Callable[[], Any]] = {"adlx": lambda: ours(0.0), "adlx, eta 1": lambda: ours(1.0)}
    with contextlib.suppress(ImportError):
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler()
        scheduler.set_timesteps(STEPS)

        def theirs(eta: float) -> None:
            image = start
            for step in scheduler.timesteps:
                image = scheduler.step(noise, step, image, eta=eta).prev_sample

        sides |= {"diffusers": lambda: theirs(0.0), "diffusers, eta 1": lambda: theirs(1.0)}
    times = alternate(sides, 10 * options.repeats)
    for name, values in times.items():
        fastest, median = min(values) / STEPS, statistics.median(values) / STEPS
        report("sampler", side=name, step_ms=round(median, 4), min_ms=round(fastest, 4))
    goal("sampler, ms a step", statistics.median(times["adlx"]) / STEPS, SAMPLER_MS)


def ema(options: argparse.Namespace) -> None:
    import interleave
    from peers.diffusion_worker import OURS, prepared

    for net in OURS:
        with tempfile.TemporaryDirectory() as folder:
            config, data, task, _ = prepared([*OURS[net], f"trainer.threads={options.threads}"], folder)
        task.on_fit_start()
        average = partial(task.on_train_batch_end, None, None, 0)
        times = alternate({"step": interleave.bare_loop(config, data), "average": average}, options.repeats)
        share = ratio(times["average"], times["step"])
        facts = {f"{name}_ms": float(digits(statistics.median(values))) for name, values in times.items()}
        report("ema", side=f"adlx {net}", **facts, share=round(share, 4))
        goal(f"moving average, share of a step, adlx {net}", share, EMA_SHARE)


def memory(options: argparse.Namespace) -> None:
    for batch in (8, 64):
        facts = answer("memory", str(batch), options)
        report("memory", images=64, batch_size=batch, **{name: round(value, 1) for name, value in facts.items()})


if __name__ == "__main__":
    main()
