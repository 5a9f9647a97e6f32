"""Classification: the model gives each class a score, and predicts the class with the highest score.

Shapes: B batch, K classes, N samples.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from adlx.atomic import replacing
from adlx.errors import UserError
from adlx.metrics.classification import ClassResult, class_table
from adlx.metrics.tables import DataTable
from adlx.models.classification.classifier import Classifier
from adlx.specs import CodeSpec, ImageSpec
from adlx.tasks.losses import require_class_loss
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task

Batch = tuple[Tensor, Tensor]


class Classify(Task):
    """Arguments as `Task`. The most common class of the training part is stored in the checkpoints."""

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
        self.register_buffer("majority", torch.tensor(0))
        self.outputs: list[Tensor] = []
        self.result: ClassResult | None = None

    def fit_statistics(self, data: Any) -> None:
        """Stores the most common class, and fits the standardization of the model's inputs."""
        self.majority.fill_(data.majority)
        codebook = data.codebook
        self.model.fit_inputs(data.training_samples(), None if codebook is None else torch.from_numpy(codebook))

    @classmethod
    def check_loss(cls, loss: nn.Module) -> None:
        require_class_loss(loss)

    def batch_loss(self, batch: Batch) -> Tensor:
        sample, label = batch
        return self.loss(self.model(sample), label)

    def batch_scores(self, batch: Batch) -> dict[str, Tensor]:
        sample, label = batch
        scores = self.model(sample)
        return {"val/loss": self.loss(scores, label), "val/accuracy": (scores.argmax(dim=1) == label).float().mean()}

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.outputs.append(self.model(batch[0]).float())

    def on_test_epoch_start(self) -> None:
        self.check_codebook(self.trainer.datamodule)  # type: ignore[attr-defined]

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        label, index = data.labels_and_indices("test")
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
        """Raises UserError if the codes come from another codebook than those of the training part."""
        trained, given = self.model.inputs.codebook.cpu(), data.codebook
        if given is None or not len(trained):
            return
        if not torch.allclose(trained, torch.from_numpy(given).to(trained), rtol=1e-4):
            raise UserError(
                f"{data.origin()} was made with another codebook than the data of this run: make the codes with the "
                "same VQ-VAE run"
            )

    def tables(self) -> dict[str, DataTable]:
        assert self.result is not None
        return {"classes": class_table(self.result)}

    def figures(self, title: str) -> dict[str, Any]:
        from adlx.figures import classification as draw

        assert self.result is not None
        return {
            "confusion": draw.confusion(self.result, title),
            "class_scores": draw.class_scores(self.result, title),
        }

    @torch.inference_mode()
    def predict_into(self, folder: Path, data: Any, title: str) -> pd.DataFrame:
        """Classifies all samples of `data`: `classes.csv` with sample, part, label (if known), class and scores.

        If the loss is cross-entropy, the scores are probabilities.
        """
        self.check_codebook(data)
        self.eval()
        scores = torch.cat([self.model(sample.to(self.device)) for sample, _ in data.all_samples()]).float().cpu()
        if isinstance(self.loss, torch.nn.CrossEntropyLoss):
            scores = scores.softmax(dim=1)
        frame = data.listing()
        frame["class"] = [self.classes[index] for index in scores.argmax(dim=1).tolist()]
        columns = [f"score/{name}" for name in self.classes]
        # All columns at once: pandas warns after a hundred single insertions.
        frame = pd.concat([frame, pd.DataFrame(scores.numpy(), index=frame.index, columns=columns)], axis=1)
        with replacing(folder / "classes.csv") as file:
            file.write(frame.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode())
        return frame

    def describe_product(self, product: pd.DataFrame) -> str:
        """The first samples, and the number of samples for each class."""
        counts = product["class"].value_counts()
        summary = ", ".join(f"{name} {counts.get(name, 0):,}" for name in self.classes)
        first = product.head(10).drop(columns=[name for name in product if str(name).startswith("score/")])
        return f"{first.to_string(index=False)}\n{len(product):,} samples: {summary}"
