"""Runs two training loops in turn in one process: that of `adlx train`, and a bare PyTorch loop with the same weights.

The bare loop runs inside the loader of the trainer: after every `steps` batches, the loader runs as many steps of the
bare loop. So the blocks alternate within fractions of a second, and other work on the machine affects both. The time of
adlx includes all from one request for a batch to the next: loader, Lightning, callbacks and logging.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from adlx.config.compose import compose
from adlx.config.nodes import CheckedConfig
from adlx.runs.build import build_data, optimization
from adlx.runs.folder import RunFolder
from adlx.runs.progress import quiet_lightning
from adlx.runs.start import new_task
from adlx.runs.train import prepare
from adlx.runs.trainer import make_trainer


@dataclass
class Pairs:
    """Wall and CPU seconds of the blocks of both sides, in order; the first pair is for warm-up."""

    ours: list[tuple[float, float]] = field(default_factory=list)
    bare: list[tuple[float, float]] = field(default_factory=list)

    def summary(self, steps: int) -> dict[str, Any]:
        pairs = list(zip(self.ours, self.bare, strict=True))[1:]
        wall = [ours[0] / bare[0] for ours, bare in pairs]
        quarters = statistics.quantiles(wall, n=4)
        ours_ms, bare_ms = (statistics.median(pair[side][0] for pair in pairs) / steps * 1e3 for side in (0, 1))
        return {
            "ratio": round(statistics.median(wall), 4),
            "ratio_quartiles": [round(quarters[0], 4), round(quarters[2], 4)],
            # CPU time of the process; other processes disturb it less. It equals wall time for one undisturbed thread.
            "cpu_ratio": round(statistics.median(ours[1] / bare[1] for ours, bare in pairs), 4),
            "step_ms": round(ours_ms, 4),
            "bare_step_ms": round(bare_ms, 4),
            "cpu_overhead_ms": round(statistics.median(ours[1] - bare[1] for ours, bare in pairs) / steps * 1e3, 4),
            "steps_per_s": round(1e3 / ours_ms, 1),
            "pairs": len(pairs),
            "steps_a_block": steps,
        }


class Enough(Exception):
    """All pairs are timed, so the epoch can end."""


class Interleaved:
    """A loader around another one that runs `steps` bare steps after every `steps` batches.

    Everything else that Lightning needs (`set_epoch`, `state_dict`) comes from the inner loader.
    """

    def __init__(
        self, loader: Any, bare: Callable[[], None], steps: int, repeats: int, seconds: float, pairs: Pairs
    ) -> None:
        self.loader, self.bare, self.pairs = loader, bare, pairs
        self.steps, self.repeats, self.seconds = steps, repeats, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        until = time.perf_counter() + self.seconds
        start = _clocks()
        for number, batch in enumerate(self.loader):
            if number and number % self.steps == 0:
                middle = _clocks()
                for _ in range(self.steps):
                    self.bare()
                end = _clocks()
                self.pairs.ours.append((middle[0] - start[0], middle[1] - start[1]))
                self.pairs.bare.append((end[0] - middle[0], end[1] - middle[1]))
                timed = len(self.pairs.ours) - 1
                if timed == self.repeats or (timed > 2 and end[0] > until):
                    raise Enough
                start = _clocks()
            yield batch


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def bare_loop(config: CheckedConfig, data: Any) -> Callable[[], None]:
    """Returns a bare training step: module, loss, optimizer, clipping and schedule as in the config."""
    task = new_task(config, data)
    task.fit_statistics(data)
    task.train()
    batches = [batch for batch, _ in zip(data.train_dataloader(), range(64), strict=False)]
    parameters = list(task.parameters())
    how = optimization(config)
    optimizer = how.make_optimizer(parameters)
    total = len(data.train_dataloader()) * config.trainer.arguments["max_epochs"]
    rate = how.make_schedule(optimizer, total_steps=total) if how.make_schedule else None
    clip = config.trainer.arguments.get("gradient_clip_val")
    at = 0

    def step() -> None:
        nonlocal at
        loss = task.batch_loss(batches[at % len(batches)])
        at += 1
        optimizer.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        if rate is not None:
            rate.step()

    return step


def prepared(words: Sequence[str], folder: str) -> tuple[Any, ...]:
    """Config, data, task and trainer of `adlx train WORDS...` before `trainer.fit`."""
    config = prepare(compose(words))
    quiet_lightning()
    data = build_data(config)
    data.setup("fit")
    task = new_task(config, data)
    task.fit_statistics(data)
    torch.set_num_threads(config.trainer.arguments["threads"])
    return config, data, task, make_trainer(RunFolder(Path(folder), {}), config, task)


def compare(words: Sequence[str], steps: int, repeats: int, seconds: float, plain: bool = False) -> dict[str, Any]:
    """Times `repeats` pairs of blocks within one epoch.

    Args:
        words: the words of `adlx train`.
        steps: number of steps in a block.
        repeats: largest number of pairs, after one for warm-up.
        seconds: time after which no other pair starts.
        plain: instead of adlx, time a minimal Lightning run: no callback, no logger, batches from a list.
    """
    pairs = Pairs()
    with tempfile.TemporaryDirectory() as folder, suppress(Enough):
        config, data, task, trainer = prepared([*words, "trainer.max_epochs=1"], folder)
        bare = bare_loop(config, data)
        loader = data.train_dataloader()
        if plain:
            ready = [batch for batch, _ in zip(loader, range(64), strict=False)] * (len(loader) // 64)
            plain_trainer(config).fit(Plain(task), Interleaved(ready, bare, steps, repeats, seconds, pairs))
        else:
            data.train_dataloader = lambda: Interleaved(loader, bare, steps, repeats, seconds, pairs)
            trainer.fit(task, datamodule=data)
    return pairs.summary(steps)


class Plain(pl.LightningModule):
    """The same loss and optimizer, without the training step of adlx."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.task.batch_loss(batch)

    def configure_optimizers(self) -> Any:
        return self.task.configure_optimizers()


def plain_trainer(config: CheckedConfig) -> pl.Trainer:
    return pl.Trainer(
        accelerator=config.trainer.arguments["accelerator"],
        max_epochs=1,
        gradient_clip_val=config.trainer.arguments.get("gradient_clip_val"),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def epoch_end_ms(words: Sequence[str], epochs: int) -> dict[str, Any]:
    """The time between the last step of an epoch and the first of the next: one validation batch, two checkpoints."""
    gaps = _Gaps()
    with tempfile.TemporaryDirectory() as folder:
        limits = ["trainer.limit_train_batches=3", "trainer.limit_val_batches=1", f"trainer.max_epochs={epochs + 1}"]
        _, data, task, trainer = prepared([*words, *limits], folder)
        trainer.callbacks.append(gaps)
        trainer.fit(task, datamodule=data)
    return {"epoch_end_ms": round(statistics.median(gaps.seconds[1:]) * 1e3, 3), "epochs": len(gaps.seconds)}


class _Gaps(pl.Callback):
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.ended = 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0 and self.ended:
            self.seconds.append(time.perf_counter() - self.ended)

    def on_train_batch_end(self, *_: Any) -> None:
        self.ended = time.perf_counter()


def fit_seconds(words: Sequence[str]) -> float:
    """The time of a whole fit from its first batch, without the preparation."""
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        _, data, task, trainer = prepared(words, folder)
        trainer.callbacks.append(clock)
        trainer.fit(task, datamodule=data)
        return time.perf_counter() - clock.started


class _Clock(pl.Callback):
    started = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.started = time.perf_counter()


def loader_seconds(words: Sequence[str], batches: int, repeats: int) -> float:
    """Seconds per batch of the training loader, the median of several starts."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        _, data, _, _ = prepared(words, folder)
        for _ in range(repeats):
            loader = iter(data.train_dataloader())
            next(loader)  # scales the series and shuffles the windows
            start = time.perf_counter()
            count = sum(1 for _ in zip(range(batches), loader, strict=False))
            times.append((time.perf_counter() - start) / count)
    return statistics.median(times)
