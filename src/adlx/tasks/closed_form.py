"""Classification by a readout that is solved for: one pass over the batches, then a linear system.

Shapes: B batch, L features, K classes, R readouts, A strengths of a penalty that are tried.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.nn.functional import one_hot

from adlx.metrics.classification import scores
from adlx.models.elm import ELM
from adlx.tasks.classify import Batch, Classify
from adlx.tasks.readouts import Solution, Sums, grid, solve

log = logging.getLogger("adlx")

ROWS = 2048
"""Samples whose features are multiplied at once: a product of fewer leaves cores idle, of more it takes memory."""


class Accumulator:
    """Adds up H^T H and H^T Y of batches as they come, in memory that does not grow with their number.

    Products are of the features' own precision; the sums are float64, since a float32 loses a digit each time the
    number of samples grows by ten.

    Args:
        model: whose features are added up.
        classes: K.
    """

    def __init__(self, model: ELM, classes: int) -> None:
        self.model, self.classes = model, classes
        self.gram: Any = None  # (L, L), numpy on the CPU, a tensor elsewhere
        self.cross: Any = None  # (L, K)
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self.waiting: list[Batch] = []
        self.noise = 0.0

    def add(self, sample: Tensor, label: Tensor) -> None:
        self.waiting.append((sample, label))
        if sum(len(labels) for _, labels in self.waiting) >= ROWS:
            self.flush()

    @torch.no_grad()
    def flush(self) -> None:
        """Multiplies what has been waiting for more to come."""
        if not self.waiting:
            return
        sample, label = (torch.cat(parts) for parts in zip(*self.waiting, strict=True))
        self.waiting.clear()
        with torch.autocast(sample.device.type, enabled=False):
            features = self.model.features(sample)
        target = one_hot(label, self.classes).to(features.dtype)
        self.noise = torch.finfo(features.dtype).eps
        self.counts += target.sum(dim=0).double().cpu()
        if features.device.type == "cpu":
            # NumPy notices that a matrix meets its own transpose and computes half of the product; torch does not.
            with blas_threads():
                rows = features.numpy()
                products = rows.T @ rows, rows.T @ target.numpy()
        else:
            products = (features.T @ features).double(), (features.T @ target).double()
        if self.gram is None:
            self.gram, self.cross = (
                (product.astype(np.float64) if isinstance(product, np.ndarray) else product) for product in products
            )
        else:
            self.gram += products[0]
            self.cross += products[1]

    def sums(self, reduce: Any = None) -> Sums:
        """Of all that was added; with `reduce`, of all processes."""
        self.flush()
        parts = [torch.as_tensor(part) for part in (self.gram, self.cross, self.counts)]
        if reduce is not None:
            parts = [reduce(part) for part in parts]
        gram, cross, counts = (part.cpu().numpy() for part in parts)
        return Sums(gram, cross, counts, int(counts.sum()), self.noise)

    def state(self) -> dict[str, Any]:
        """Plain values and tensors, from which `restore` goes on to the last bit."""
        tensor = torch.as_tensor
        sums = None if self.gram is None else [tensor(self.gram).cpu(), tensor(self.cross).cpu(), self.counts.clone()]
        return {"sums": sums, "waiting": [[part.cpu() for part in batch] for batch in self.waiting]}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        self.waiting = [(sample.to(device), label.to(device)) for sample, label in state["waiting"]]
        if state["sums"] is not None:
            gram, cross, self.counts = state["sums"]
            on_cpu = device.type == "cpu"
            self.gram, self.cross = (part.numpy() if on_cpu else part.to(device) for part in (gram, cross))
            self.noise = torch.finfo(self.model.beta.dtype).eps


class ClosedForm(Classify):
    """Classification by an `ELM`. It validates every strength of every readout, and keeps the best of each.

    Arguments as `Task`; the loss is the mean squared error that the readout is solved for.
    """

    model_kind = ELM
    follows_gradient = False
    model: ELM  # pyright: ignore[reportIncompatibleVariableOverride]
    alphas: Tensor

    def __init__(
        self, model: ELM, loss: Mapping[str, Any], optimizer: Mapping[str, Any], data: Any, seed: int = 0
    ) -> None:
        super().__init__(model, loss, optimizer, data, seed)
        self.automatic_optimization = False
        self.register_buffer("alphas", torch.zeros(len(model.readouts), dtype=torch.float64))
        self.accumulator = Accumulator(model, len(self.classes))
        self.unfinished: dict[str, Any] | None = None  # an accumulator's state, from a checkpoint
        self.candidates: list[list[Solution]] = []  # by readout
        self.stacked: Tensor = torch.empty(0)  # (candidates, L, K)
        self.tried: list[Tensor] = []  # (candidates, 2): squared errors and hits of each validation batch
        self.seen = 0

    def check_loss(self) -> None:
        if not isinstance(self.loss, nn.MSELoss):
            raise ValueError(f"loss: an ELM is solved for the least squares, loss=mse; not {type(self.loss).__name__}")

    def batch_loss(self, batch: Batch) -> Tensor:
        sample, label = batch
        found = self.model(sample)
        return self.loss(found, one_hot(label, len(self.classes)).to(found.dtype))

    def configure_optimizers(self) -> list[Any]:
        return []

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        trainer: Any = self.trainer
        sample, label = batch
        last = batch_idx + 1 == trainer.num_training_batches
        surplus = trainer.train_dataloader.surplus if batch_idx + 1 == len(trainer.train_dataloader) else 0
        self.accumulator.add(sample[: len(sample) - surplus], label[: len(label) - surplus])
        self.steps_done = batch_idx + 1
        if last:
            self.solve()

    def solve(self) -> None:
        """Solves each readout, for each strength that is to be tried."""
        strategy: Any = self.trainer.strategy  # type: ignore[union-attr]
        several = strategy.world_size > 1
        sums = self.accumulator.sums(
            (lambda part: strategy.reduce(part.to(strategy.root_device), reduce_op="sum")) if several else None
        )
        self.candidates = []
        with blas_threads():
            for readout in self.model.readouts:
                alpha, ratio = self.model.alpha, self.model.l1_ratio
                strengths = grid(sums, readout, ratio) if isinstance(alpha, str) else [alpha]
                self.candidates.append(list(solve(sums, readout, strengths, ratio)))
        found = [torch.from_numpy(solution.beta) for solutions in self.candidates for solution in solutions]
        self.stacked = torch.stack(found).to(self.model.beta)
        self.accumulator = Accumulator(self.model, len(self.classes))
        self.keep(self.stacked.new_zeros(len(found), 2))  # a run without validation has its strongest penalties

    def on_train_epoch_end(self) -> None:
        self.trainer.should_stop = True  # type: ignore[union-attr]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if not len(self.stacked):
            return super().validation_step(batch, batch_idx)
        trainer: Any = self.trainer
        sample, label = batch
        surplus = trainer.val_dataloaders.surplus if batch_idx + 1 == len(trainer.val_dataloaders) else 0
        sample, label = sample[: len(sample) - surplus], label[: len(label) - surplus]
        with torch.autocast(sample.device.type, enabled=False):
            features = self.model.features(sample)
        target = one_hot(label, len(self.classes)).to(features.dtype)
        found = []
        for beta in self.stacked:  # one at a time, since a grid of them over a batch takes memory
            output = features @ beta
            found.append([(output - target).square().mean(dim=1).sum(), (output.argmax(dim=1) == label).sum()])
        self.tried.append(torch.tensor(found, dtype=torch.float64))
        self.seen += len(label)
        return None

    def on_validation_epoch_end(self) -> None:
        if not self.tried:
            return super().on_validation_epoch_end()
        strategy: Any = self.trainer.strategy  # type: ignore[union-attr]
        totals = torch.cat([torch.stack(self.tried).sum(dim=0).flatten(), torch.tensor([float(self.seen)])])
        if strategy.world_size > 1:
            totals = strategy.reduce(totals.to(strategy.root_device), reduce_op="sum").cpu()
        self.tried.clear()
        self.seen = 0
        means = (totals[:-1] / totals[-1]).view(-1, 2)
        best = self.keep(means)
        self.stacked = torch.empty(0)
        self.log_validation(
            {"val/loss": means[best, 0].float(), "val/accuracy": means[best, 1].float()}, int(totals[-1])
        )
        return None

    @torch.no_grad()
    def keep(self, means: Tensor) -> int:
        """Gives the model the solution of each readout with the least validation error, and says which is the best.

        Args:
            means: (candidates, 2) squared error and accuracy.

        Returns:
            the place of the best of all.
        """
        first, places = 0, []
        for row, solutions in enumerate(self.candidates):
            place = first + int(means[first : first + len(solutions), 0].argmin())
            places.append(place)
            solution = solutions[place - first]
            self.model.beta[row] = self.stacked[place]
            self.alphas[row] = solution.alpha
            if not solution.converged and means.any():
                log.info(
                    f"{self.model.readouts[row]}, alpha {solution.alpha:.3g}: the descent stopped before its tolerance"
                )
            first += len(solutions)
        chosen = int(means[places, 0].argmin())
        self.model.chosen.fill_(chosen)
        return places[chosen]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.accumulator.gram is not None or self.accumulator.waiting:
            checkpoint["adlx"]["pass"] = self.accumulator.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.unfinished = checkpoint["adlx"].get("pass")

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.unfinished is not None:
            self.accumulator.restore(self.unfinished, self.device)
            self.unfinished = None
        elif self.steps_done:  # resumed after its pass: there is nothing to add
            self.trainer.should_stop = True  # type: ignore[union-attr]

    def facts(self) -> dict[str, float]:
        model = self.model
        counts, alphas = {}, {}
        for row, name in enumerate(model.readouts):
            counts[f"model/nonzeros/{name}"] = int(model.beta[row].count_nonzero())
            alphas[f"model/alpha/{name}"] = float(self.alphas[row])
        chosen = model.readouts[int(model.chosen)]
        facts = super().facts()
        facts["model/parameters"] += model.fixed_weights
        facts["model/nonzeros"] = counts[f"model/nonzeros/{chosen}"]
        return {**facts, **alphas, **(counts if len(counts) > 1 else {})}

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        with torch.autocast(batch[0].device.type, enabled=False):
            features = self.model.features(batch[0])
            self.outputs.append(torch.einsum("bl,rlk->brk", features, self.model.beta.to(features.dtype)).float())

    def on_test_epoch_end(self) -> None:
        outputs = torch.cat(self.outputs).cpu().numpy()  # (N, R, K)
        chosen = int(self.model.chosen)
        self.outputs = [torch.from_numpy(outputs[:, chosen])]
        super().on_test_epoch_end()
        assert self.result is not None
        if len(self.model.readouts) > 1:
            named = {name: outputs[:, row] for row, name in enumerate(self.model.readouts)}
            self.result = replace(self.result, readouts=named)
            self.results = scores(self.result)


def blas_threads() -> Any:
    """Holds NumPy's and SciPy's linear algebra to the number of threads that torch has."""
    return controller().limit(limits=torch.get_num_threads(), user_api="blas")


@cache
def controller() -> ThreadpoolController:
    return ThreadpoolController()
