"""Measures a training step of the forecasting study in adlx, a bare loop, neuralforecast and Keras.

There are seven simulated series, context 96 and horizon 5. `ratio` is the time of adlx divided by that of the other
side, the median of alternating blocks. `peak_mb` is the peak memory of each process, with its imports. The other
libraries run in virtual environments of their own, which the script makes and keeps. Only one process trains at a time.

bare            the same module, loss, optimizer and clipping in a plain loop, in one process (see interleave.py)
neuralforecast  hidden 64, 32 windows per step, with its own `fit`. Its models are univariate: a window has one series,
                that of adlx has all seven. It cuts all windows of the data at each step, so it is slower for longer
                series; here they are short. adlx has no PatchTST; the most similar model is the Transformer.
keras           the models of the notebooks in TensorFlow with batch size 1: `fit` as in the notebooks (`epochs`, with
                one step each), and one long epoch (`steps`)

The other libraries do not clip gradients, so adlx does not clip in these cases. Validation and saving are not timed.
"""

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from peers.turns import Turns
from peers.venvs import NoEnvironment, python_of
from peers.workers import WorkerFailed, duel

CONTEXT, HORIZON = 96, 5
WORDS = ["data=crypto", "data.source=simulated", f"data.context={CONTEXT}", f"data.horizon={HORIZON}"]
WORDS += ["trainer.accelerator=cpu", "trainer.max_epochs=1", "data.repeat=1000"]  # one epoch is longer than any bench
SHORT = "data.hours=1500"  # 1050 of them to train on

TRANSFORMER = ["model=transformer"]
NOTEBOOK_ENCODER = ["model=transformer", "model.blocks=4", "model.head_dim=64"]

# The overrides for adlx, and the number of steps in a block.
BARE: dict[str, tuple[list[str], int]] = {
    "bare/transformer": (TRANSFORMER, 5),
    "bare/transformer-notebook": (NOTEBOOK_ENCODER, 2),
    "bare/seq2seq": (["model=seq2seq", "model.hidden=64"], 20),
    "bare/nlinear": (["model=nlinear"], 100),
}
BARE_GOAL = 1.05

# The model of the other library, the overrides for adlx, and how similar the two models are.
NEURALFORECAST: dict[str, tuple[str, list[str], str]] = {
    "neuralforecast/lstm": ("LSTM", ["model=seq2seq", "model.hidden=64"], "like for like"),
    "neuralforecast/transformer": ("VanillaTransformer", TRANSFORMER, "like for like"),
    "neuralforecast/patchtst": ("PatchTST", TRANSFORMER, "nearest"),
    "neuralforecast/nlinear": ("NLinear", ["model=nlinear"], "like for like"),
}
NEURALFORECAST_GOAL = 1.0

# The model, the overrides for adlx, and how many times faster adlx should be.
KERAS: dict[str, tuple[str, list[str], float]] = {
    "keras/seq2seq": ("seq2seq", ["model=seq2seq", "model.hidden=1000"], 2.3),
    "keras/encoder": ("encoder", NOTEBOOK_ENCODER, 3.0),
}

CASES = [*BARE, *NEURALFORECAST, *KERAS]
EXAMPLES = f"""cases:
  {", ".join(CASES)}

examples:
  python scripts/bench/forecast.py
  python scripts/bench/forecast.py --threads 1 --only keras
  python scripts/bench/forecast.py --only bare/transformer,neuralforecast/transformer --seconds 60
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", default="1,2", help="thread counts to measure (default 1,2)")
    parser.add_argument("--repeats", type=int, default=40, help="rounds of blocks a case at most (default 40)")
    parser.add_argument("--seconds", type=float, default=15, help="after which a case begins no other (default 15)")
    parser.add_argument("--only", default="", metavar="CASES", help="cases, or what their names begin with")
    parser.add_argument("--venvs", type=Path, metavar="FOLDER", help="of the peers (default: in the user's cache)")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.worker:
        work(options.worker)
        return
    wanted = tuple(options.only.split(","))
    cases = [case for case in CASES if case.startswith(wanted)]
    if not cases:
        parser.error(f"--only {options.only}: none of {', '.join(CASES)}")
    if options.venvs is None:
        from platformdirs import user_cache_path

        options.venvs = user_cache_path("adlx") / "bench"
    for count in map(int, options.threads.split(",")):
        for case in cases:
            if case in BARE:
                bare(case, count, options)
    peers(cases, options)


def report(case: str, **facts: Any) -> None:
    print(json.dumps({"bench": f"forecast {case}", **facts}), flush=True)


def met(result: dict[str, Any], goal: float) -> bool | None:
    """Whether the goal is met; None if the rounds differ too much, as with two threads on two busy cores."""
    low, high = result["ratio_quartiles"]
    spread = high - low
    if spread > result["ratio"] / 2 or (low <= goal < high and spread > goal / 10):
        return None
    return result["ratio"] <= goal


def bare(case: str, threads: int, options: argparse.Namespace) -> None:
    """Compares the training step of adlx with that of the bare loop, in turn in one process."""
    from interleave import compare

    words, steps = BARE[case]
    words = [*WORDS, *words, f"trainer.threads={threads}", f"trainer.log_every_n_steps={min(50, steps)}"]
    result = compare(words, steps, options.repeats, options.seconds)
    report(case, batch_size=32, threads=threads, **result, goal_ratio=BARE_GOAL, met=met(result, BARE_GOAL))


def peers(cases: list[str], options: argparse.Namespace) -> None:
    """Compares the training step of adlx with those of other libraries, in turn, each in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        rows = str(Path(folder) / "rows.npy")
        for peer, of_peer in (("neuralforecast", NEURALFORECAST), ("keras", KERAS)):
            chosen = [case for case in cases if case in of_peer]
            if not chosen:
                continue
            try:
                python = python_of(peer, options.venvs)
            except NoEnvironment as error:
                report(peer, error=str(error))
                continue
            save_rows(rows)
            for threads in map(int, options.threads.split(",")):
                for case in chosen:
                    against(case, python, rows, threads, options)


def against(case: str, python: str, rows: str, threads: int, options: argparse.Namespace) -> None:
    """Reports one case, with a line for each way of using the other library."""
    scripts = Path(__file__).parent / "peers"
    shape = [rows, str(CONTEXT), str(HORIZON), str(threads)]
    if case in KERAS:
        model, words, times = KERAS[case]
        facts: dict[str, Any] = {"peer": f"keras {model}", "twin": "like for like", "batch_size": 1}
        chosen, goal = [*words, "loss=mse"], round(1 / times, 4)
        commands = {
            usage: [python, str(scripts / "keras_worker.py"), model, usage, *shape] for usage in ("epochs", "steps")
        }
    else:
        model, chosen, twin = NEURALFORECAST[case]
        facts, goal = {"peer": model, "twin": twin, "batch_size": 32}, NEURALFORECAST_GOAL
        commands = {"fit": [python, str(scripts / "neuralforecast_worker.py"), model, *shape]}
    words = [*WORDS, SHORT, *chosen, "trainer.gradient_clip_val=null", f"data.batch_size={facts['batch_size']}"]
    ours = [sys.executable, __file__, "--worker", *words, f"trainer.threads={threads}"]
    try:
        results = duel({"adlx": ours, **commands}, threads, options.repeats, options.seconds)
    except WorkerFailed as error:
        report(case, **facts, threads=threads, error=str(error))
        return
    for usage, result in results.items():
        result |= {"goal_ratio": goal, "met": met(result, goal)}
        result["memory_met"] = result["peak_mb"] < result["peer_peak_mb"]
        report(case, **facts, usage=usage, threads=threads, adlx=" ".join(chosen), **result)


def save_rows(path: str) -> None:
    """Writes the scaled rows that adlx trains on in these cases, as training data of the other libraries."""
    import numpy as np
    from interleave import prepared

    with tempfile.TemporaryDirectory() as folder:
        _, data, _, _ = prepared([*WORDS, SHORT, "model=nlinear", "trainer.threads=1"], folder)
    part = data.rows("train")
    np.save(path, data.scaler(data.values)[part.start : part.stop].numpy())


def work(words: list[str]) -> None:
    """The worker of adlx: the fit of `adlx train WORDS...`, block by block."""
    turns = Turns()
    import pytorch_lightning as pl
    from interleave import prepared

    class Step(pl.Callback):
        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            turns.step()

    with tempfile.TemporaryDirectory() as folder:
        _, data, task, trainer = prepared(words, folder)
        trainer.callbacks.append(Step())
        trainer.fit(task, datamodule=data)


if __name__ == "__main__":
    main()
