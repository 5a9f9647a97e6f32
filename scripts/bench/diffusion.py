"""The price of diffusion: adlx against a plain transformer, diffusers and lucidrains' denoising-diffusion-pytorch.

64 x 64 pixels in colour, 8 images a batch. Each side is a process, lucidrains' in a virtual environment made here by
pip and kept; they work by turns, one at a time. `ratio` is the side's time over that of `adlx vit`, the median over
rounds; `least` that of the least times, which the machine's other work disturbs less. `peak_mb` is the process's, with
its imports.

train    a step. `adlx vit` and `adlx unet` are the fit of `adlx train`: loader, Lightning, the moving average of the
         weights; `bare loop` the same network without them, as the peers train.
sample   an image of 20 steps, by each library's own sampler; lucidrains' network by adlx's.
sampler  a step of the samplers alone, with noise that lies ready.
ema      the moving average of the weights, beside the training step that it follows.
memory   the peak of drawing 64 images above what is resident before, by the images a batch.

adlx vit        width 384, patches of 8, 8 blocks, 12 heads; told the noise level by AdaLN-zero
adlx unet       widths 32, 64, 96, 128, depth 2
told by input   the same with the noise level added to the tokens, and so of the plain ViT's size
plain ViT       torch.nn.TransformerEncoder of the same size, the noise level added to the tokens
DiT             diffusers' DiTTransformer2DModel of the same size
UNet2D          diffusers' UNet2DModel of adlx unet's widths, with attention at the smallest size
lucidrains      its Unet, dim 32
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
BARE = ("adlx vit, bare loop", "adlx vit told by input, bare loop")
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
    given = parser.parse_args()
    chosen = given.only.split(",")
    if unknown := set(chosen) - set(BENCHES):
        parser.error(f"--only {', '.join(sorted(unknown))}: none of {', '.join(BENCHES)}")
    warnings.filterwarnings("ignore")
    if given.venvs is None:
        from platformdirs import user_cache_path

        given.venvs = user_cache_path("adlx") / "bench"
    for bench in chosen:
        if bench in ("train", "sample"):
            by_turns(bench, given)
        else:
            {"sampler": sampler, "ema": ema, "memory": memory}[bench](given)


def tell(bench: str, **facts: Any) -> None:
    print(json.dumps({"bench": f"diffusion {bench}", **facts}), flush=True)


def goal(told: str, found: float, limit: float, at_least: bool = False) -> None:
    tell("goal", goal=told, found=round(found, 3), limit=limit, met=found >= limit if at_least else found <= limit)


def command(what: str, side: str, given: argparse.Namespace, *rest: str) -> list[str]:
    python = venvs.python_of(PEER, given.venvs) if side == "lucidrains" else sys.executable
    script, source = Path(__file__).parent / "peers" / "diffusion_worker.py", Path(adlx.__file__).parents[1]
    return [python, "-W", "ignore", str(script), what, side, str(source), str(given.threads), *rest]


def answer(what: str, side: str, given: argparse.Namespace) -> Any:
    """What a worker says that takes no turns."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command(what, side, given), capture_output=True, text=True, env=environment)
    if done.returncode:
        raise workers.WorkerFailed((done.stderr.strip().splitlines() or ["no word"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def by_turns(bench: str, given: argparse.Namespace) -> None:
    """Each side in each precision; those of bfloat16 run beside the float32 of adlx, which they are to be faster than.

    Times are milliseconds of a training step, or of an image.
    """
    sizes: dict[str, int] = {}
    wanted = ("adlx vit", *given.sides.split(","))
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
                    sizes.setdefault(side[0], answer("size", side[0], given))
                    running[side] = workers.Worker(command(bench, side[0], given, side[1]), given.threads)
                except (venvs.NoEnvironment, workers.WorkerFailed) as error:
                    tell(bench, side=side[0], precision=side[1], error=str(error))
                    continue
                stack.callback(running[side].close)
            for _ in range(given.repeats):
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
        "least_ms": digits(min(theirs)),
        "ratio": f"{ratio(theirs, ours):.2f}",
        "least": f"{min(theirs) / min(ours):.2f}",
        "peak_mb": f"{peaks[side]:.0f}",
        "rounds": str(len(theirs)),
    }


def digits(number: float) -> str:
    """Three that count, and no exponent."""
    return f"{float(f'{number:.3g}'):g}"


def ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def table(bench: str, precision: str, rows: list[dict[str, str]]) -> None:
    what = "a training step" if bench == "train" else f"an image of {STEPS} steps"
    print(f"\n{what}, {precision}")
    tables.show(list(rows[0]), rows, words=2)
    print(flush=True)


def goals(bench: str, precision: str, times: Times) -> None:
    """By the least times."""
    least = {side: min(taken) for side, taken in times.items()}
    plain = least.get(("plain ViT", precision)) if bench == "train" else None
    for side in ("adlx vit", *BARE):
        if plain and (side, precision) in least:
            goal(f"{bench}, {precision}: {side} over plain ViT", least[side, precision] / plain, PLAIN_RATIO)
    for side in ("adlx vit", "adlx unet"):
        if precision != PRECISIONS[0] and (side, precision) in least and (side, PRECISIONS[0]) in least:
            gain = least[side, PRECISIONS[0]] / least[side, precision]
            goal(f"{bench}: {side} times faster in bfloat16", gain, BF16_TIMES, at_least=True)


def alternate(sides: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each, by turns; the first two rounds warm up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats + 2):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: taken[2:] for name, taken in times.items()}


def sampler(given: argparse.Namespace) -> None:
    """What 20 steps cost beside the network, for adlx and, where it is installed, diffusers."""
    import torch

    from adlx.models.diffusion.samplers import DDIM

    torch.set_num_threads(given.threads)
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
    times = alternate(sides, 10 * given.repeats)
    for name, taken in times.items():
        least, median = min(taken) / STEPS, statistics.median(taken) / STEPS
        tell("sampler", side=name, step_ms=round(median, 4), least_ms=round(least, 4))
    goal("sampler, ms a step", statistics.median(times["adlx"]) / STEPS, SAMPLER_MS)


def ema(given: argparse.Namespace) -> None:
    import interleave
    from peers.diffusion_worker import OURS, prepared

    for net in OURS:
        with tempfile.TemporaryDirectory() as folder:
            config, data, task, _ = prepared([*OURS[net], f"trainer.threads={given.threads}"], folder)
        task.on_fit_start()
        average = partial(task.on_train_batch_end, None, None, 0)
        times = alternate({"step": interleave.bare_loop(config, data), "average": average}, given.repeats)
        share = ratio(times["average"], times["step"])
        facts = {f"{name}_ms": float(digits(statistics.median(taken))) for name, taken in times.items()}
        tell("ema", side=f"adlx {net}", **facts, share=round(share, 4))
        goal(f"moving average, share of a step, adlx {net}", share, EMA_SHARE)


def memory(given: argparse.Namespace) -> None:
    for batch in (8, 64):
        facts = answer("memory", str(batch), given)
        tell("memory", images=64, batch_size=batch, **{name: round(value, 1) for name, value in facts.items()})


if __name__ == "__main__":
    main()
