"""Measures a training step with low-rank adapters in adlx, PEFT and loralib, and one of full fine-tuning.

The encoder has 549,319 parameters, for seven series, context 96 and horizon 5; every affine layer has an adapter. A
step is forward, backward and fused Adam on the trainable weights. All sides run in turn in one process, in a virtual
environment that the script makes and keeps. `ratio` is the time of adlx divided by that of the other side, the median
of rounds; `cpu_ratio` compares CPU time. Memory is the peak of one process per side, all with the same imports.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from peers.venvs import NoEnvironment, python_of

import adlx

EXAMPLES = """examples:
  python scripts/bench/lora.py
  python scripts/bench/lora.py --threads 1 --batches 1 --ranks 8 --seconds 60
  python scripts/bench/lora.py --only memory
"""

# By the other side and the batch size: the largest ratio of the times, and of the peak memory.
STEP_GOALS = {("peft", 1): round(1 / 1.15, 4), ("peft", 32): 1.0, ("full", 1): 1.05, ("full", 32): 1.05}
MEMORY_GOAL = 1.0
OTHERS = ("peft", "loralib", "full")
BENCHES = ("step", "memory")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", default="1,2", help="thread counts to measure (default 1,2)")
    parser.add_argument("--batches", default="1,32", help="batch sizes (default 1,32)")
    parser.add_argument("--ranks", default="2,8,16", help="ranks (default 2,8,16)")
    parser.add_argument("--repeats", type=int, default=40, help="rounds a case at most (default 40)")
    parser.add_argument("--seconds", type=float, default=25, help="after which a case begins no other (default 25)")
    parser.add_argument("--only", choices=BENCHES, help="one of the benches")
    parser.add_argument("--venvs", type=Path, metavar="FOLDER", help="of the peers (default: in the user's cache)")
    options = parser.parse_args()
    if options.venvs is None:
        from platformdirs import user_cache_path

        options.venvs = user_cache_path("adlx") / "bench"
    try:
        python = python_of("lora", options.venvs)
    except NoEnvironment as error:
        report("step", error=str(error))
        return
    threads, batches, ranks = (
        [int(n) for n in text.split(",")] for text in (options.threads, options.batches, options.ranks)
    )
    cases = [{"batch_size": batch, "rank": rank} for batch in batches for rank in ranks]
    if options.only != "memory":
        for count in threads:
            for case in cases:
                step(python, {"threads": count, **case}, options)
    if options.only != "step":
        for case in cases:
            memory(python, {"threads": threads[0], **case})


def report(bench: str, **facts: Any) -> None:
    print(json.dumps({"bench": f"lora {bench}", **facts}), flush=True)


def worker(python: str, what: str, case: dict[str, int], *rest: Any) -> dict[str, Any]:
    script = Path(__file__).parent / "peers" / "lora_worker.py"
    words = [what, Path(adlx.__file__).parents[1], case["threads"], case["batch_size"], case["rank"], *rest]
    environment = {**os.environ, "OMP_NUM_THREADS": str(case["threads"]), "CUDA_VISIBLE_DEVICES": ""}
    command = [python, "-W", "ignore", str(script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit((done.stderr.strip().splitlines() or ["the worker ended without output"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def step(python: str, case: dict[str, int], options: argparse.Namespace) -> None:
    """Compares all sides once, and reports a line for each side other than adlx."""
    result = worker(python, "race", case, options.repeats, options.seconds)
    times, counts = result["times"], result["counts"]
    for name, count in counts.items():
        assert count["optimizer_numbers"] == 2 * count["trainable"], (name, count)
    assert counts["adlx"] == counts["peft"] == counts["loralib"], counts
    for other in OTHERS:
        wall, cpu = (
            [ours[clock] / theirs[clock] for ours, theirs in zip(times["adlx"], times[other], strict=True)]
            for clock in (0, 1)
        )
        quarters = statistics.quantiles(wall, n=4)
        facts: dict[str, Any] = {
            "ratio": round(statistics.median(wall), 4),
            "ratio_quartiles": [round(quarters[0], 4), round(quarters[2], 4)],
            "cpu_ratio": round(statistics.median(cpu), 4),
            "times_faster": round(1 / statistics.median(wall), 3),
            "step_ms": round(statistics.median(pair[0] for pair in times["adlx"]) * 1e3, 3),
            "peer_step_ms": round(statistics.median(pair[0] for pair in times[other]) * 1e3, 3),
            "rounds": len(wall),
            "steps_a_block": result["steps_a_block"],
            **counts["adlx"],
            "peer_optimizer_numbers": counts[other]["optimizer_numbers"],
        }
        if goal := STEP_GOALS.get((other, case["batch_size"])):
            facts |= {"goal_ratio": goal, "met": met(facts, goal)}
        report("step", peer=other, **case, **facts)


def met(facts: dict[str, Any], goal: float) -> bool | None:
    """Whether the goal is met; None if the rounds differ too much, as with two threads on two busy cores."""
    low, high = facts["ratio_quartiles"]
    return facts["ratio"] <= goal if high - low < 0.25 and not (low <= goal < high and high - low > goal / 10) else None


def memory(python: str, case: dict[str, int]) -> None:
    """Compares the peak memory of a few training steps."""
    sides = {side: worker(python, "memory", case, side) for side in ("adlx", *OTHERS)}
    ours = sides["adlx"]
    for other in OTHERS:
        ratio = ours["peak_mb"] / sides[other]["peak_mb"]
        facts: dict[str, Any] = {
            "ratio": round(ratio, 3),
            "peak_mb": round(ours["peak_mb"], 1),
            "peer_peak_mb": round(sides[other]["peak_mb"], 1),
            "of_imports_mb": round(ours["before_mb"], 1),
            "goal_ratio": MEMORY_GOAL,
            "met": ratio <= MEMORY_GOAL,
        }
        report("memory", peer=other, **case, **facts)


if __name__ == "__main__":
    main()
