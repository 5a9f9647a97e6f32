"""Classification by a readout that is solved for: one pass over the batches, then a linear system.

Shapes: B batch, L features, K classes, R readouts, A strengths of a penalty that are tried.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from adlx.errors import UserError
from adlx.models.classification.elm import ELM
from adlx.tasks.accumulate import Accumulator, blas_threads
from adlx.tasks.classify import Batch, Classify
from adlx.tasks.optimization import Optimization
from adlx.tasks.readouts import Solution, grid, solve

log = logging.getLogger("adlx")


class ClosedForm(Classify):
    """Classification by an `ELM`. It validates every strength of every readout, and keeps the best of each.

    Arguments as `Task`, of which the loss is the mean squared error that the readout is solved for, and:

    Args:
        alpha: strength of the penalty as in scikit-learn (there is none in `none`); `auto`: the best in validation.
        l1_ratio: of `elasticnet`, as in scikit-learn.
    """

    model_kind = ELM
    follows_gradient = False
    model: ELM  # pyright: ignore[reportIncompatibleVariableOverride]
    alphas: Tensor

    def __init__(
        self,
        model: ELM,
        loss: nn.Module,
        optimization: Optimization,
        data: Any,
        seed: int = 0,
        alpha: float | Literal["auto"] = "auto",
        l1_ratio: float = 0.5,
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        if alpha != "auto" and alpha <= 0:
            raise ValueError(f"task.alpha={alpha}: above 0, or auto; without a penalty it is model.readout=none")
        if not 0 < l1_ratio <= 1:
            raise ValueError(f"task.l1_ratio={l1_ratio}: above 0 and at most 1")
        self.alpha, self.l1_ratio = alpha, l1_ratio
        self.automatic_optimization = False
        self.register_buffer("alphas", torch.zeros(len(model.readouts), dtype=torch.float64))
        self.accumulator = Accumulator(model, len(self.classes))
        self.unfinished: dict[str, Any] | None = None  # an accumulator's state, from a checkpoint
        self.settled = False  # the readouts are chosen
        self.candidates: list[list[Solution]] = []  # by readout
        self.stacked: Tensor = torch.empty(0)  # (candidates, L, K)
        self.tried: list[Tensor] = []  # (candidates, 2): squared errors and hits of each validation batch
        self.seen = 0

    def check_loss(self) -> None:
        if not isinstance(self.loss, nn.MSELoss):
            raise ValueError(f"loss: an ELM is solved for the least squares, loss=mse; not {type(self.loss).__name__}")

    @classmethod
    def check_trainer(cls, trainer: Mapping[str, Any]) -> None:
        """Refuses what a pass and a solution cannot follow."""
        for key, fine, why in (
            ("accumulate_grad_batches", (None, 1), "there are no gradients"),
            ("val_check_interval", (None, 1, 1.0), "there is no readout before the end of the pass"),
            ("check_val_every_n_epoch", (None, 1), "there is one epoch, and its readout is chosen in validation"),
        ):
            if trainer.get(key) not in fine:
                raise ValueError(f"trainer.{key}={trainer[key]}: {why}; leave it out for a readout that is solved for")
        if (precision := str(trainer.get("precision"))) in ("bf16-true", "16-true"):
            raise ValueError(f"trainer.precision={precision} is too coarse for sums: 32-true, 64-true or bf16-mixed")

    def batch_scores(self, batch: Batch) -> dict[str, Tensor]:
        hits = self.model(batch[0]).argmax(dim=1) == batch[1]
        return {"val/loss": self.batch_loss(batch), "val/accuracy": hits.float().mean()}

    def batch_loss(self, batch: Batch) -> Tensor:
        sample, label = batch
        found = self.model(sample)
        return self.loss(found, one_hot(label, len(self.classes)).to(found.dtype))

    def configure_optimizers(self) -> list[Any]:
        return []

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self.candidates:  # resumed after the last batch, and Lightning begins an epoch that only has to validate
            return
        sample, label = own_share(batch, batch_idx, self.trainer.train_dataloader)  # type: ignore[union-attr]
        if len(label):
            self.accumulator.add(sample, label)
        self.steps_done = batch_idx + 1

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if not self.candidates and batch_idx + 1 == self.trainer.num_training_batches:  # type: ignore[union-attr]
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
                alpha, ratio = self.alpha, self.l1_ratio
                strengths = grid(sums, readout, ratio) if isinstance(alpha, str) else [alpha]
                self.candidates.append(list(solve(sums, readout, strengths, ratio)))
        found = [torch.from_numpy(solution.beta) for solutions in self.candidates for solution in solutions]
        self.stacked = torch.stack(found).to(self.model.beta)

    def on_train_epoch_end(self) -> None:
        if not self.settled:  # there was no validation
            if any(len(solutions) > 1 for solutions in self.candidates):
                raise UserError("task.alpha=auto is chosen in validation, and there is none: set task.alpha")
            self.keep(torch.zeros(len(self.stacked), 2))
        self.trainer.should_stop = True  # type: ignore[union-attr]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if not len(self.stacked):
            return super().validation_step(batch, batch_idx)
        sample, label = own_share(batch, batch_idx, self.trainer.val_dataloaders)  # type: ignore[union-attr]
        found = []
        with torch.autocast(sample.device.type, enabled=False):
            features = self.model.features(sample)
            target = one_hot(label, len(self.classes)).to(features.dtype)
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
        self.settled, self.candidates, self.stacked = True, [], torch.empty(0)
        self.accumulator = Accumulator(self.model, len(self.classes))
        return places[chosen]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if not self.settled:
            checkpoint["adlx"]["pass"] = self.accumulator.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.unfinished = checkpoint["adlx"].get("pass")
        self.settled = self.unfinished is None

    def on_train_start(self) -> None:
        super().on_train_start()
        trainer: Any = self.trainer
        if self.settled:  # resumed after its pass: there is nothing to add
            trainer.should_stop = True
        elif self.unfinished is not None:
            self.accumulator.restore(self.unfinished, self.device)
            self.unfinished = None
            if self.steps_done >= trainer.num_training_batches:  # Lightning goes on with the validation
                self.solve()

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
            self.results = self.result.scores()


def own_share(batch: Batch, batch_idx: int, loader: Any) -> Batch:
    """A batch without what its loader added to make the shares of several processes equal."""
    surplus = loader.surplus if batch_idx + 1 == len(loader) else 0
    sample, label = batch
    return sample[: len(sample) - surplus], label[: len(label) - surplus]
