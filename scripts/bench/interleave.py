"""Two training loops by turns in one process: `adlx train`'s, and a bare PyTorch loop on a module of the same weights.

The bare loop runs inside the trainer's own loader: every `steps` batches the loader stops to take as many bare steps, so
A B A B are fractions of a second apart and what else the machine does weighs on both. What is measured as adlx's is
all from one batch asked for to the next: the loader's gather, Lightning, callbacks, logging.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from adlx.runs.check import check
from adlx.runs.compose import compose
from adlx.runs.folder import Run
from adlx.runs.progress import quiet_lightning
from adlx.runs.train import assemble, build_task, make_trainer


@dataclass
class Pairs:
    """Seconds of the blocks of both sides, in the order they ran; the first pair, which warms up, is left out."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    def summary(self, steps: int) -> dict[str, Any]:
        ratios = [a / b for a, b in zip(self.ours[1:], self.bare[1:], strict=False)]
        quarters = statistics.quantiles(ratios, n=4)
        ours_ms, bare_ms = (statistics.median(times[1:]) / steps * 1e3 for times in (self.ours, self.bare))
        return {
            "ratio": round(statistics.median(ratios), 4),
            "ratio_quartiles": [round(quarters[0], 4), round(quarters[2], 4)],
            "step_ms": round(ours_ms, 4),
            "bare_step_ms": round(bare_ms, 4),
            "overhead_ms": round(ours_ms - bare_ms, 4),
            "steps_per_s": round(1e3 / ours_ms, 1),
            "pairs": len(ratios),
            "steps_a_block": steps,
        }


class Interleaved:
    """A loader that hands out another's batches and takes a block of bare steps after every `steps` of them.

    Lightning finds everything else (`set_epoch`, `state_dict`) on the loader it wraps.
    """

    def __init__(self, loader: Any, bare: Callable[[], None], steps: int, pairs: Pairs) -> None:
        self.loader, self.bare, self.steps, self.pairs = loader, bare, steps, pairs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        start = time.perf_counter()
        for number, batch in enumerate(self.loader):
            if number and number % self.steps == 0:
                middle = time.perf_counter()
                self.pairs.ours.append(middle - start)
                for _ in range(self.steps):
                    self.bare()
                start = time.perf_counter()
                self.pairs.bare.append(start - middle)
            yield batch


def bare_loop(config: dict[str, Any], data: Any) -> Callable[[], None]:
    """One step of the bare loop: no loader at all, the batches lie ready; module, loss, optimizer and clipping as configured."""
    task = build_task(config, data).train()
    batches = [batch for batch, _ in zip(data.train_dataloader(), range(64), strict=False)]
    optimizer = task.configure_optimizers()
    parameters = list(task.parameters())
    clip = config["trainer"].get("gradient_clip_val")
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

    return step


def prepared(words: Sequence[str], folder: str) -> tuple[Any, ...]:
    """A run as `adlx train WORDS...` has it before `trainer.fit`: its config, data, task and trainer."""
    made = compose(words)
    check(made.config, made.origin)
    quiet_lightning()
    data, task = assemble(made.config)
    torch.set_num_threads(made.config["trainer"]["threads"])
    return made.config, data, task, make_trainer(Run(Path(folder), {}), made.config)


def compare(words: Sequence[str], steps: int, repeats: int, plain: bool = False) -> dict[str, Any]:
    """Times `repeats` pairs of blocks within one epoch.

    Args:
        words: of `adlx train`.
        steps: a block.
        repeats: pairs, after one that warms up.
        plain: instead of adlx, the least that Lightning can be: no callback, no logger, the batches ready in a list.
    """
    pairs = Pairs()
    batches = steps * (repeats + 1) + 1
    with tempfile.TemporaryDirectory() as folder:
        limits = [f"trainer.limit_train_batches={batches}", "trainer.limit_val_batches=1", "trainer.max_epochs=1"]
        config, data, task, trainer = prepared([*words, *limits], folder)
        bare = bare_loop(config, data)
        loader = data.train_dataloader()
        if len(loader) < batches:
            raise SystemExit(f"an epoch has {len(loader)} batches and {batches} are needed: lower --steps or --repeats")
        if plain:
            ready = [batch for batch, _ in zip(loader, range(64), strict=False)]
            ready = [ready[number % len(ready)] for number in range(batches)]
            plain_trainer(config).fit(Plain(task), Interleaved(ready, bare, steps, pairs))
        else:
            data.train_dataloader = lambda: Interleaved(loader, bare, steps, pairs)
            trainer.fit(task, datamodule=data)
    return pairs.summary(steps)


class Plain(pl.LightningModule):
    """The same loss and optimizer with nothing of adlx's training step around them."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.task.batch_loss(batch)

    def configure_optimizers(self) -> Any:
        return self.task.configure_optimizers()


def plain_trainer(config: dict[str, Any]) -> pl.Trainer:
    return pl.Trainer(
        accelerator=config["trainer"]["accelerator"],
        max_epochs=1,
        gradient_clip_val=config["trainer"].get("gradient_clip_val"),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def epoch_end_ms(words: Sequence[str], epochs: int) -> dict[str, Any]:
    """What lies between the last step of an epoch and the first of the next: one validation batch, two checkpoints."""
    gaps = Gaps()
    with tempfile.TemporaryDirectory() as folder:
        limits = ["trainer.limit_train_batches=3", "trainer.limit_val_batches=1", f"trainer.max_epochs={epochs + 1}"]
        _, data, task, trainer = prepared([*words, *limits], folder)
        trainer.callbacks.append(gaps)
        trainer.fit(task, datamodule=data)
    return {"epoch_end_ms": round(statistics.median(gaps.seconds[1:]) * 1e3, 3), "epochs": len(gaps.seconds)}


class Gaps(pl.Callback):
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.ended = 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0 and self.ended:
            self.seconds.append(time.perf_counter() - self.ended)

    def on_train_batch_end(self, *_: Any) -> None:
        self.ended = time.perf_counter()


def fit_seconds(words: Sequence[str]) -> float:
    """A whole `trainer.fit` from its first batch on, setup left out."""
    with tempfile.TemporaryDirectory() as folder:
        _, data, task, trainer = prepared(words, str(Path(folder)))
        started: list[float] = []
        loader = data.train_dataloader()
        data.train_dataloader = lambda: Interleaved(loader, lambda: None, len(loader) + 1, Pairs())
        trainer.callbacks.append(_Start(started))
        trainer.fit(task, datamodule=data)
        return time.perf_counter() - started[0]


class _Start(pl.Callback):
    def __init__(self, started: list[float]) -> None:
        self.started = started

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.started.append(time.perf_counter())
