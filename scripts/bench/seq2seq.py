"""Measures the overhead of adlx around a training step: the fit of `adlx train` compared with a bare PyTorch loop.

The bare loop has the same module, loss, fused Adam and gradient clipping, and batches from a list. Ratios come from
alternating blocks of steps within one process (see interleave.py), memory from two separate processes. The `lightning`
cases replace adlx by a minimal Lightning run, without callbacks and loggers: adlx cannot be faster than that.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

EXAMPLES = """examples:
  python scripts/bench/seq2seq.py
  python scripts/bench/seq2seq.py --threads 1 --seconds 30 --only step
  python scripts/bench/seq2seq.py --only memory data.path=prices.csv data.source=csv
"""

WORDS = ["model=seq2seq", "data=crypto", "data.source=simulated", "trainer.accelerator=cpu"]

# Hidden units, batch size, steps of a block, goal. A block logs every 50 steps, or once if it is shorter.
CASES = ((64, 32, 25, 1.10), (64, 1, 50, 1.25), (1000, 1, 4, 1.05))
MEMORY_GOAL = 1.2
BENCHES = ("step", "memory", "loader", "epoch")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="k=v", help="more words for adlx train")
    parser.add_argument("--threads", default="1,2", help="thread counts to measure (default 1,2)")
    parser.add_argument("--repeats", type=int, default=40, help="pairs of blocks a case at most (default 40)")
    parser.add_argument("--steps", type=int, help="steps a block (default: 4 to 50 by the case)")
    parser.add_argument(
        "--seconds", type=float, default=12, help="after which a case begins no other pair (default 12)"
    )
    parser.add_argument("--only", choices=BENCHES, help="one of the benches")
    parser.add_argument("--memory-of", choices=("adlx", "bare"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.memory_of:
        print(json.dumps(memory_of(options.memory_of, options.words)))
        return
    threads = [int(number) for number in options.threads.split(",")]
    for bench in BENCHES:
        if options.only in (None, bench):
            globals()[bench](options, threads)


def report(bench: str, **facts: Any) -> None:
    print(json.dumps({"bench": f"seq2seq {bench}", **facts}), flush=True)


def step(options: argparse.Namespace, threads: list[int]) -> None:
    """Compares steps within one epoch of adlx, and of a minimal Lightning run, with the bare loop."""
    from interleave import compare

    for count in threads:
        for hidden, batch_size, steps, goal in CASES:
            steps = options.steps or steps
            words = [*WORDS, f"model.hidden={hidden}", f"data.batch_size={batch_size}", f"trainer.threads={count}"]
            words += [f"trainer.log_every_n_steps={min(50, steps)}", "data.hours=40000", *options.words]
            case = {"hidden": hidden, "batch_size": batch_size, "threads": count}
            result = compare(words, steps, options.repeats, options.seconds)
            report("step", side="adlx", **case, **result, goal_ratio=goal, met=met(result, goal))
            if hidden == 64:
                result = compare(words, steps, options.repeats, options.seconds / 2, plain=True)
                report("step", side="lightning", **case, **result)


def met(result: dict[str, Any], goal: float) -> bool | None:
    """Whether the goal is met; None if the pairs differ too much, as with two threads on two busy cores."""
    low, high = result["ratio_quartiles"]
    return result["ratio"] <= goal if high - low < 0.25 else None


def memory(options: argparse.Namespace, threads: list[int]) -> None:
    """Peak memory of one epoch, with validation and checkpoints; both processes import all of adlx."""
    for hidden, batch_size in ((64, 32), (1000, 1)):
        words = [
            *options.words,
            f"model.hidden={hidden}",
            f"data.batch_size={batch_size}",
            f"trainer.threads={threads[0]}",
        ]
        peak = {}
        for side in ("adlx", "bare"):
            command = [sys.executable, __file__, "--memory-of", side, *words]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peak[side] = json.loads(done.stdout.splitlines()[-1])
        ratio = peak["adlx"]["peak_mb"] / peak["bare"]["peak_mb"]
        report(
            "memory",
            hidden=hidden,
            batch_size=batch_size,
            ratio=round(ratio, 3),
            peak_mb=peak["adlx"]["peak_mb"],
            bare_peak_mb=peak["bare"]["peak_mb"],
            before_fit_mb=peak["adlx"]["before_mb"],
            same_imports=True,
            goal_ratio=MEMORY_GOAL,
            met=ratio <= MEMORY_GOAL,
        )


def memory_of(side: str, words: list[str]) -> dict[str, float]:
    """Megabytes at the peak of a short fit in this process, and before the fit."""
    from interleave import bare_loop, prepared

    limits = ["trainer.limit_train_batches=60", "trainer.limit_val_batches=20", "trainer.max_epochs=1"]
    with tempfile.TemporaryDirectory() as folder:
        config, data, task, trainer = prepared([*WORDS, *limits, *words], folder)
        before = peak_mb()
        if side == "adlx":
            trainer.fit(task, datamodule=data)
        else:
            del task, trainer
            one = bare_loop(config, data)
            for _ in range(60):
                one()
    return {"peak_mb": round(peak_mb(), 1), "before_mb": round(before, 1)}


def peak_mb() -> float:
    """Peak memory of this process alone; `ru_maxrss` would include the peak of the parent process."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    import torch

    from adlx.runs.progress import peak_memory_mb

    return peak_memory_mb(torch.device("cpu"))


def loader(options: argparse.Namespace, threads: list[int]) -> None:
    """Batches per second of the window loader alone."""
    from interleave import loader_seconds

    for batch_size in (1, 32):
        words = [*WORDS, f"data.batch_size={batch_size}", f"trainer.threads={threads[0]}", *options.words]
        seconds = loader_seconds(words, batches=300, repeats=10)
        report("loader", batch_size=batch_size, batches_per_s=round(1 / seconds), batch_us=round(seconds * 1e6, 1))


def epoch(options: argparse.Namespace, threads: list[int]) -> None:
    """The time of the end of an epoch, which `data.repeat` saves for a data set of one window."""
    from interleave import epoch_end_ms, fit_seconds

    words = [*WORDS, f"trainer.threads={threads[0]}", "callbacks=checkpoint", *options.words]
    report("epoch end", what="one validation batch, best.ckpt, last.ckpt, curves", **epoch_end_ms(words, epochs=8))
    window = [*words, "data.last=101", "data.split=null", "data.batch_size=1"]
    steps, times = 30, []
    for _ in range(4):
        one_epoch = fit_seconds([*window, f"data.repeat={steps}", "trainer.max_epochs=1"])
        one_step_epochs = fit_seconds([*window, "data.repeat=1", f"trainer.max_epochs={steps}"])
        times.append((one_epoch, one_step_epochs))
    report(
        "repeat",
        steps=steps,
        repeat_step_ms=round(statistics.median(one for one, _ in times) / steps * 1e3, 3),
        one_step_epoch_ms=round(statistics.median(many for _, many in times) / steps * 1e3, 3),
        ratio=round(statistics.median(many / one for one, many in times), 2),
    )


if __name__ == "__main__":
    main()
