"""How long the commands take that a user waits for before any work begins: real processes, median of several.

One JSON line a command. The commands take turns in rounds, so a busy spell of the machine hits all alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

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


def seconds(words: list[str]) -> float:
    """Wall time of one `adlx WORDS...`, the interpreter's own start included."""
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7, help="processes a command (default 7)")
    repeats = parser.parse_args().repeats
    os.environ.pop("ADLX_DEBUG", None)
    times: dict[str, list[float]] = {command: [] for command in COMMANDS}
    for command in COMMANDS:  # the first of each fills the file cache
        seconds(command.split())
    for _ in range(repeats):
        for command, taken in times.items():
            taken.append(seconds(command.split()))
    for command, (goal, light) in COMMANDS.items():
        median = statistics.median(times[command])
        torch = "torch" in imported(command.split())
        result = {
            "bench": "startup",
            "command": f"adlx {command}",
            "median_s": round(median, 4),
            "min_s": round(min(times[command]), 4),
            "max_s": round(max(times[command]), 4),
            "repeats": repeats,
            "torch_imported": torch,
            "goal_s": goal,
            "met": median < goal and not (light and torch),
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
