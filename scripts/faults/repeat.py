"""Trains one command several times and shows whether each run equals the first one, bit for bit.

    python scripts/faults/repeat.py 20 model=seq2seq data=crypto data.source=simulated trainer.max_epochs=3

Four conditions alternate: an idle machine, a busy process on each core, random kills with resumes, and kills on a busy
machine. The script compares the weights and the optimizer state in `last.ckpt`, the weights in `best.ckpt`, the
predictions, the curves, and all metrics except time and memory. The exit code is 1 if a run differs.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adlx.runs.checkpoints import load_checkpoint
from adlx.runs.loggers import read_curves

ADLX = [sys.executable, "-m", "adlx"]
CONDITIONS = ["alone", "busy machine", "killed and resumed", "killed and resumed, busy machine"]
MEASURED = ("fit/", "model/checkpoint")  # seconds and memory differ from run to run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repetitions", type=int)
    parser.add_argument("words", nargs="+", help="what follows `adlx train`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        reference = contents(train(options.words, Path(folder) / "first"))
        seconds = time.monotonic() - began
        differing = 0
        for number in range(options.repetitions):
            condition = CONDITIONS[number % len(CONDITIONS)]
            output = Path(folder) / str(number)
            with busy("busy" in condition):
                if "killed" in condition:
                    run, kills = train_with_kills(options.words, output, seconds)
                    condition += f" ({kills} kills)"
                else:
                    run = train(options.words, output)
            difference = first_difference(reference, contents(run))
            differing += difference is not None
            print(f"{number + 1:3d} {condition}: {difference or 'equal'}", flush=True)
        print(f"{options.repetitions - differing} of {options.repetitions} equal to the first run")
    sys.exit(1 if differing else 0)


@contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """Keeps every core busy with another process."""
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)] if wanted else []
    try:
        yield
    finally:
        for process in others:
            process.kill()
            process.wait()


def train(words: list[str], output: Path) -> Path:
    """Trains a run without a kill; returns its folder."""
    subprocess.run([*ADLX, "train", *words, f"output_dir={output}"], check=True, capture_output=True)
    return only_run(output)


def train_with_kills(words: list[str], output: Path, seconds: float) -> tuple[Path, int]:
    """Trains a run that is killed up to twice, at random moments, and resumed; returns its folder and the kills."""
    command, kills = [*ADLX, "train", *words, f"output_dir={output}"], 0
    while kills < 2:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(random.uniform(0.3, 1.0) * seconds)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        if any(output.glob("*/*/run.json")):
            command = [*ADLX, "resume", str(only_run(output))]
    if kills == 2:
        subprocess.run(command, check=True, capture_output=True)
    return only_run(output), kills


def only_run(output: Path) -> Path:
    (file,) = output.glob("*/*/run.json")
    return file.parent


def contents(run: Path) -> dict[str, Any]:
    """All values that must be equal, by name."""
    last, best = (load_checkpoint(run / "checkpoints" / f"{name}.ckpt") for name in ("last", "best"))
    tensors = dict(flat(last["state_dict"], "last/state_dict")) | dict(flat(best["state_dict"], "best/state_dict"))
    tensors |= dict(flat(last.get("optimizer_states", []), "last/optimizer"))
    with np.load(run / "predictions.npz") as file:
        arrays = {f"predictions/{name}": file[name] for name in file.files}
    metrics = json.loads((run / "metrics.json").read_text())
    scores = {key: value for key, value in metrics.items() if not key.startswith(MEASURED)}
    curves = read_curves(run / "metrics.csv")
    losses = {f"curves/{name}": curves[name].to_numpy() for name in curves if not name.startswith(MEASURED)}
    return tensors | arrays | scores | losses


def flat(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from flat(value, f"{name}/{key}")
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from flat(value, f"{name}/{index}")
    else:
        yield name, tree.numpy() if isinstance(tree, torch.Tensor) else tree


def first_difference(reference: dict[str, Any], other: dict[str, Any]) -> str | None:
    """The name of the first value that differs in any bit; None if all are equal."""
    if reference.keys() != other.keys():
        return f"only one of them has {sorted(reference.keys() ^ other.keys())[:3]}"
    for name, value in reference.items():
        same = np.array(value).tobytes() == np.array(other[name]).tobytes()
        if not (same and np.shape(value) == np.shape(other[name])):
            return f"{name} differs"
    return None


if __name__ == "__main__":
    main()
