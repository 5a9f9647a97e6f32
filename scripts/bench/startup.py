"""Measures how long a user waits for commands without training, and for a first result.

Prints one JSON line per command, with the median of several real processes. For commands without training it measures
wall time, in rounds, so that other work on the machine affects all alike. For the first table of a run and a comparison
of 50 runs it measures CPU seconds, which a busy machine changes less.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = """examples:
  python scripts/bench/startup.py
  python scripts/bench/startup.py --repeats 20
"""

# The goal in seconds, and whether the command must do without torch.
COMMANDS: dict[str, tuple[float, bool]] = {
    "--help": (0.3, True),
    "list": (0.3, True),
    "completion bash": (0.3, True),
    "train model=seq2seq data=crypto --cfg job": (1.5, False),
}
FIRST_TABLE, FIRST_TABLE_GOAL = "train model=naive data=fx", 3.0
RUNS, COMPARE_GOAL = 50, 1.5


def seconds(words: list[str]) -> float:
    """Wall time of one `adlx WORDS...`, with the start of the interpreter."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "adlx", *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def imported(words: list[str]) -> set[str]:
    """Top-level packages that a command has imported when it exits."""
    code = (
        "import sys; from adlx.cli.main import run; run(sys.argv[1:]);"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True, text=True)
    return set(done.stderr.split())


def cpu_seconds(words: list[str], line: str) -> float:
    """CPU seconds that `adlx WORDS...` has used when it prints a line that starts with `line`."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "adlx", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        used = float("nan")
        for printed in process.stdout:
            if printed.startswith(line) and used != used:
                fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def report(command: str, values: list[float], goal: float, **more: object) -> None:
    median = statistics.median(values)
    result = {
        "bench": "startup",
        "command": f"adlx {command}",
        "median_s": round(median, 4),
        "min_s": round(min(values), 4),
        "max_s": round(max(values), 4),
        "repeats": len(values),
        "goal_s": goal,
        "met": median < goal,
    }
    print(json.dumps({**result, **more}), flush=True)


def copies(folder: Path) -> list[str]:
    """Makes `RUNS` run folders that differ in their seed: one run and copies of it."""
    words = [*FIRST_TABLE.split(), f"output_dir={folder}", "logger=none"]
    subprocess.run([sys.executable, "-m", "adlx", *words], check=True, stdout=subprocess.DEVNULL)
    first = next(folder.glob("*/*"))
    for number in range(1, RUNS):
        copy = shutil.copytree(first, first.with_name(f"copy_{number}"))
        config = copy / "config.yaml"
        config.write_text(config.read_text().replace("\nseed: 0\n", f"\nseed: {number}\n"))
    return [str(path) for path in sorted(first.parent.iterdir())]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7, help="processes a command (default 7)")
    repeats = parser.parse_args().repeats
    os.environ.pop("ADLX_DEBUG", None)
    times: dict[str, list[float]] = {command: [] for command in COMMANDS}
    for command in COMMANDS:  # the first process of each command fills the file cache
        seconds(command.split())
    for _ in range(repeats):
        for command, values in times.items():
            values.append(seconds(command.split()))
    for command, (goal, light) in COMMANDS.items():
        torch = "torch" in imported(command.split())
        report(command, times[command], goal, torch_imported=torch, light=not (light and torch))
    with tempfile.TemporaryDirectory() as folder:
        words = [*FIRST_TABLE.split(), f"output_dir={folder}/first"]
        report(
            f"{FIRST_TABLE}, CPU to the first table",
            [cpu_seconds(words, "skill") for _ in range(repeats + 1)][1:],
            FIRST_TABLE_GOAL,
        )
        runs = copies(Path(folder) / "runs")
        report(
            f"compare of {RUNS} runs, CPU",
            [cpu_seconds(["compare", *runs], "└") for _ in range(repeats + 1)][1:],
            COMPARE_GOAL,
        )


if __name__ == "__main__":
    main()
