"""Classification: a model gives each class a score, the highest wins.

Shapes: B batch, K classes, N samples.
"""

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from adlx.atomic import replacing
from adlx.errors import UserError
from adlx.metrics.classification import ClassResult, by_class
from adlx.models.classification.classifier import Classifier
from adlx.specs import CodeSpec, ImageSpec
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task

Batch = tuple[Tensor, Tensor]


class Classify(Task):
    """Arguments as `Task`; which class is the commonest in training becomes part of it and of its checkpoints."""

    model_kind = Classifier
    spec_kind = ImageSpec | CodeSpec
    result_kind = ClassResult
    model: Classifier
    majority: Tensor

    def __init__(
        self, model: Classifier, loss: nn.Module, optimization: Optimization, data: Any, seed: int = 0
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        self.classes = model.spec.classes
        self.check_loss()
        self.register_buffer("majority", torch.tensor(0))
        self.outputs: list[Tensor] = []
        self.result: ClassResult | None = None

    def fit_statistics(self, data: Any) -> None:
        """Notes the commonest class, and fits how the model sees its inputs."""
        self.majority.fill_(data.majority)
        codebook = data.codebook
        self.model.fit_inputs(data.training(), None if codebook is None else torch.from_numpy(codebook))

    def check_loss(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns of shapes before it refuses them
                self.loss(torch.zeros(2, len(self.classes)), torch.zeros(2, dtype=torch.long))
        except (RuntimeError, ValueError, IndexError, TypeError):
            kind = type(self.loss).__name__
            raise ValueError(f"loss: {kind} does not take scores of classes; loss=cross_entropy does") from None

    def batch_loss(self, batch: Batch) -> Tensor:
        sample, label = batch
        return self.loss(self.model(sample), label)

    def batch_scores(self, batch: Batch) -> dict[str, Tensor]:
        sample, label = batch
        found = self.model(sample)
        return {"val/loss": self.loss(found, label), "val/accuracy": (found.argmax(dim=1) == label).float().mean()}

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.outputs.append(self.model(batch[0]).float())

    def on_test_epoch_start(self) -> None:
        self.check_codebook(self.trainer.datamodule)  # type: ignore[attr-defined]

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        label, index = data.actual("test")
        self.result = ClassResult(
            class_scores=torch.cat(self.outputs).cpu().numpy(),
            label=label,
            index=index,
            classes=self.classes,
            majority=int(self.majority),
        )
        self.results = self.result.scores()
        self.outputs.clear()

    def check_codebook(self, data: Any) -> None:
        """Refuses codes whose meaning is not the one the model has learnt."""
        own, given = self.model.inputs.codebook.cpu(), data.codebook
        if given is not None and len(own) and not torch.allclose(own, torch.from_numpy(given).to(own), rtol=1e-4):
            raise UserError(
                f"{data.origin()} was made by another codebook than the one this run was trained with: make the codes "
                "with the same VQ-VAE run"
            )

    def tables(self) -> dict[str, pd.DataFrame]:
        assert self.result is not None
        return {"classes": by_class(self.result)}

    def figures(self, title: str) -> dict[str, Any]:
        from adlx.figures import classification as draw

        assert self.result is not None
        return {
            "confusion": draw.confusion(self.result, title),
            "class_scores": draw.class_scores(self.result, title),
        }

    @torch.inference_mode()
    def predict_into(self, folder: Path, data: Any, title: str) -> pd.DataFrame:
        """Classifies all samples of `data`: `classes.csv` with sample, part, label where known, class and scores.

        The scores of a model that is trained on cross-entropy are probabilities.
        """
        self.check_codebook(data)
        self.eval()
        found = torch.cat([self.model(sample.to(self.device)) for sample, _ in data.everything()]).float().cpu()
        if isinstance(self.loss, torch.nn.CrossEntropyLoss):
            found = found.softmax(dim=1)
        frame = data.listing()
        frame["class"] = [self.classes[place] for place in found.argmax(dim=1).tolist()]
        for name, column in zip(self.classes, found.T.numpy(), strict=True):
            frame[f"score/{name}"] = column
        with replacing(folder / "classes.csv") as file:
            file.write(frame.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode())
        return frame

    def shown(self, product: pd.DataFrame) -> str:
        """How many samples went to each class, and the first of them."""
        counts = product["class"].value_counts()
        told = ", ".join(f"{name} {counts.get(name, 0):,}" for name in self.classes)
        first = product.head(10).drop(columns=[name for name in product if str(name).startswith("score/")])
        return f"{first.to_string(index=False)}\n{len(product):,} samples: {told}"
