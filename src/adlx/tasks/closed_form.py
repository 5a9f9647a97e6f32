"""Classification with a closed-form readout: one pass over the batches, then the solution of a linear system.

Shapes: B batch, N samples, L features, K classes, R readouts. A candidate is one readout with one penalty strength.
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
from adlx.ranges import Positive, ShareAboveZero
from adlx.tasks.accumulate import Accumulator, blas_threads
from adlx.tasks.classify import Batch, Classify
from adlx.tasks.losses import require_squared_error
from adlx.tasks.optimization import Optimization
from adlx.tasks.readouts import Solution, penalty_grid, solve_readout

log = logging.getLogger("adlx")


class ClosedForm(Classify):
    """Classification by an `ELM`. Validates each readout with each penalty strength, and keeps the best strength.

    Arguments as `Task`, where the loss must be the mean squared error, and:

    Args:
        alpha: penalty strength, as in scikit-learn (the readout `none` has no penalty); `auto`: the one with the lowest
            validation error.
        l1_ratio: L1 share of the penalty of `elasticnet`, as in scikit-learn.
    """

    model_kind = ELM
    uses_gradient_descent = False
    model: ELM  # pyright: ignore[reportIncompatibleVariableOverride]
    alphas: Tensor

    def __init__(
        self,
        model: ELM,
        loss: nn.Module,
        optimization: Optimization,
        data: Any,
        seed: int = 0,
        alpha: Positive | Literal["auto"] = "auto",
        l1_ratio: ShareAboveZero = 0.5,
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        self.alpha, self.l1_ratio = alpha, l1_ratio
        self.automatic_optimization = False
        self.register_buffer("alphas", torch.zeros(len(model.readouts), dtype=torch.float64))
        self.accumulator = Accumulator(model, len(self.classes))
        self.restored_sums: dict[str, Any] | None = None  # state of the accumulator from a checkpoint
        self.has_readouts = False  # whether the final readouts are in the model
        self.candidates: list[list[Solution]] = []  # by readout
        self.candidate_betas: Tensor = torch.empty(0)  # (candidates, L, K)
        self.candidate_scores: list[Tensor] = []  # (candidates, 2): squared errors and hits of each validation batch
        self.num_validated = 0

    @classmethod
    def check_loss(cls, loss: nn.Module) -> None:
        require_squared_error(loss, "a closed-form readout minimizes")

    @classmethod
    def check_trainer(cls, trainer: Mapping[str, Any]) -> None:
        """Raises ValueError for settings of the trainer that make no sense for a closed-form solution."""
        for key, allowed, why in (
            ("accumulate_grad_batches", (None, 1), "there are no gradients"),
            ("val_check_interval", (None, 1, 1.0), "the readout exists only after all batches"),
            ("check_val_every_n_epoch", (None, 1), "there is one epoch, and its validation chooses the readout"),
        ):
            if trainer.get(key) not in allowed:
                raise ValueError(f"trainer.{key}={trainer[key]}: {why}; remove this setting for a closed-form readout")
        if (precision := str(trainer.get("precision"))) in ("bf16-true", "16-true"):
            raise ValueError(
                f"trainer.precision={precision} is too low for the sums; use 32-true, 64-true or bf16-mixed"
            )

    def batch_scores(self, batch: Batch) -> dict[str, Tensor]:
        hits = self.model(batch[0]).argmax(dim=1) == batch[1]
        return {"val/loss": self.batch_loss(batch), "val/accuracy": hits.float().mean()}

    def batch_loss(self, batch: Batch) -> Tensor:
        sample, label = batch
        scores = self.model(sample)
        return self.loss(scores, one_hot(label, len(self.classes)).to(scores.dtype))

    def configure_optimizers(self) -> list[Any]:
        return []

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self.candidates:  # a run that was resumed after the last batch needs the validation only
            return
        sample, label = without_surplus(batch, batch_idx, self.trainer.train_dataloader)  # type: ignore[union-attr]
        if len(label):
            self.accumulator.add(sample, label)
        self.steps_done = batch_idx + 1

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if not self.candidates and batch_idx + 1 == self.trainer.num_training_batches:  # type: ignore[union-attr]
            self.fit_readouts()

    def fit_readouts(self) -> None:
        """Computes each readout for each penalty strength, as candidates for the validation."""
        strategy: Any = self.trainer.strategy  # type: ignore[union-attr]
        is_distributed = strategy.world_size > 1
        sums = self.accumulator.sums(
            (lambda part: strategy.reduce(part.to(strategy.root_device), reduce_op="sum")) if is_distributed else None
        )
        self.candidates = []
        with blas_threads():
            for readout in self.model.readouts:
                alpha, ratio = self.alpha, self.l1_ratio
                strengths = penalty_grid(sums, readout, ratio) if isinstance(alpha, str) else [alpha]
                self.candidates.append(list(solve_readout(sums, readout, strengths, ratio)))
        betas = [torch.from_numpy(solution.beta) for solutions in self.candidates for solution in solutions]
        self.candidate_betas = torch.stack(betas).to(self.model.beta)

    def on_train_epoch_end(self) -> None:
        if not self.has_readouts:  # there is no validation
            if any(len(solutions) > 1 for solutions in self.candidates):
                raise UserError("task.alpha=auto needs a validation, and there is none: set task.alpha to a number")
            self.select_readouts(torch.zeros(len(self.candidate_betas), 2))
        self.trainer.should_stop = True  # type: ignore[union-attr]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        if not len(self.candidate_betas):
            return super().validation_step(batch, batch_idx)
        sample, label = without_surplus(batch, batch_idx, self.trainer.val_dataloaders)  # type: ignore[union-attr]
        scores = []
        with torch.autocast(sample.device.type, enabled=False):
            features = self.model.features(sample)
            target = one_hot(label, len(self.classes)).to(features.dtype)
            for beta in self.candidate_betas:  # one at a time, to save memory
                output = features @ beta
                scores.append([(output - target).square().mean(dim=1).sum(), (output.argmax(dim=1) == label).sum()])
        self.candidate_scores.append(torch.tensor(scores, dtype=torch.float64))
        self.num_validated += len(label)
        return None

    def on_validation_epoch_end(self) -> None:
        if not self.candidate_scores:
            return super().on_validation_epoch_end()
        strategy: Any = self.trainer.strategy  # type: ignore[union-attr]
        totals = torch.cat(
            [torch.stack(self.candidate_scores).sum(dim=0).flatten(), torch.tensor([float(self.num_validated)])]
        )
        if strategy.world_size > 1:
            totals = strategy.reduce(totals.to(strategy.root_device), reduce_op="sum").cpu()
        self.candidate_scores.clear()
        self.num_validated = 0
        means = (totals[:-1] / totals[-1]).view(-1, 2)
        best = self.select_readouts(means)
        self.log_validation(
            {"val/loss": means[best, 0].float(), "val/accuracy": means[best, 1].float()}, int(totals[-1])
        )
        return None

    @torch.no_grad()
    def select_readouts(self, means: Tensor) -> int:
        """Stores in the model, for each readout, the candidate with the lowest validation error.

        Args:
            means: (candidates, 2) squared error and accuracy.

        Returns:
            the index of the best candidate of all readouts.
        """
        first, selected = 0, []
        for row, solutions in enumerate(self.candidates):
            index = first + int(means[first : first + len(solutions), 0].argmin())
            selected.append(index)
            solution = solutions[index - first]
            self.model.beta[row] = self.candidate_betas[index]
            self.alphas[row] = solution.alpha
            if not solution.converged and means.any():
                log.info(
                    f"{self.model.readouts[row]}, alpha {solution.alpha:.3g}: the solver stopped before it converged"
                )
            first += len(solutions)
        chosen = int(means[selected, 0].argmin())
        self.model.chosen.fill_(chosen)
        self.has_readouts, self.candidates, self.candidate_betas = True, [], torch.empty(0)
        self.accumulator = Accumulator(self.model, len(self.classes))
        return selected[chosen]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if not self.has_readouts:
            checkpoint["adlx"]["pass"] = self.accumulator.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.restored_sums = checkpoint["adlx"].get("pass")
        self.has_readouts = self.restored_sums is None

    def on_train_start(self) -> None:
        super().on_train_start()
        trainer: Any = self.trainer
        if self.has_readouts:  # a run that was resumed after its solution: no batches remain
            trainer.should_stop = True
        elif self.restored_sums is not None:
            self.accumulator.restore(self.restored_sums, self.device)
            self.restored_sums = None
            if self.steps_done >= trainer.num_training_batches:  # only the validation remains
                self.fit_readouts()

    def facts(self) -> dict[str, float]:
        model = self.model
        counts, alphas = {}, {}
        for row, name in enumerate(model.readouts):
            counts[f"model/nonzeros/{name}"] = int(model.beta[row].count_nonzero())
            alphas[f"model/alpha/{name}"] = float(self.alphas[row])
        chosen = model.readouts[int(model.chosen)]
        facts = super().facts()
        facts["model/parameters"] += model.num_fixed_weights
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
            by_name = {name: outputs[:, row] for row, name in enumerate(self.model.readouts)}
            self.result = replace(self.result, readouts=by_name)
            self.results = self.result.scores()


def without_surplus(batch: Batch, batch_idx: int, loader: Any) -> Batch:
    """Removes the samples that the loader repeats in the last batch, so that all processes have equally many."""
    surplus = loader.surplus if batch_idx + 1 == len(loader) else 0
    sample, label = batch
    return sample[: len(sample) - surplus], label[: len(label) - surplus]
