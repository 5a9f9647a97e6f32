"""What `trainer.threads=auto` costs beside other work, against the best fixed number of threads.

    python scripts/bench/threads.py --rounds 5

Trains a few models beside a number of busy processes, with each number of threads in turns, so that all meet the same
load. Prints one line of JSON for each model and load: the median seconds of each, and the ratio of `auto` to the best.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CASES = {
    "seq2seq": ["model=seq2seq", "data=crypto", "data.source=simulated", "data.hours=4000", "trainer.max_epochs=2"],
    "transformer": [
        "model=transformer",
        "data=crypto",
        "data.source=simulated",
        "data.hours=2000",
        "trainer.max_epochs=2",
    ],
    "mlp": ["model=mlp", "data=digits", "data.source=sklearn", "trainer.max_epochs=2"],
    "unet": ["model=unet", "data=digits", "data.source=sklearn", "trainer.max_epochs=1", "task.kid_images=8"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="*", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    for name in options.models:
        for others in (0, 1, cores):
            seconds: dict[str, list[float]] = {"auto": [], **{str(count): [] for count in sorted({1, cores})}}
            with busy(others):
                for _ in range(options.rounds):
                    for threads, measured in seconds.items():
                        measured.append(fit_seconds([*CASES[name], f"trainer.threads={threads}"]))
            medians = {threads: round(statistics.median(measured), 2) for threads, measured in seconds.items()}
            ratio = medians["auto"] / min(value for threads, value in medians.items() if threads != "auto")
            print(json.dumps({"model": name, "busy": others, "seconds": medians, "ratio": round(ratio, 2)}), flush=True)


def fit_seconds(words: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "adlx", "train", *words, f"output_dir={folder}", "logger=none"]
        subprocess.run(command, check=True, capture_output=True)
        (metrics,) = Path(folder).glob("*/*/metrics.json")
        return json.loads(metrics.read_text())["fit/seconds"]


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Beside so many processes that never rest."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in others:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
