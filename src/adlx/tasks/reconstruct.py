"""Reconstruction: images are encoded to maps of codes and decoded again; `adlx predict` writes the codes.

Shapes: B batch, C channels, H x W pixels, h x w cells.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adlx.figures.failures import reported
from adlx.metrics.reconstruction import ReconstructionResult
from adlx.models.classification.autoencoder import Autoencoder, Reconstruction
from adlx.specs import ImageSpec, SampleBatches
from adlx.tasks.images import as_bytes
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task

Batch = tuple[Tensor, Tensor]
NUM_EXAMPLES = 64
"""Number of test images that are stored with their reconstructions."""


class Reconstruct(Task):
    """Arguments as `Task`. The checkpoints store the mean image and the mean and deviation of the training pixels."""

    model_kind = Autoencoder
    spec_kind = ImageSpec
    result_kind = ReconstructionResult
    model: Autoencoder
    mean: Tensor
    std: Tensor
    mean_image: Tensor

    def __init__(
        self, model: Autoencoder, loss: nn.Module, optimization: Optimization, data: Any, seed: int = 0
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        spec = model.spec
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(1.0))
        self.register_buffer("mean_image", torch.zeros(spec.channels, *spec.size))
        self.errors: list[Tensor] = []  # (2, B): of the reconstruction and of the mean image
        self.codes: list[Tensor] = []
        self.images: list[Tensor] = []
        self.result: ReconstructionResult | None = None

    def fit_statistics(self, data: Any) -> None:
        self.fit_brightness(data.training_samples())

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.trainer.world_size > 1:  # type: ignore[union-attr]
            self.model.share_codebook()

    def fit_brightness(self, images: SampleBatches) -> None:
        """Computes the mean image, and mean and deviation of all pixels; the training images (N, C, H, W) are bytes."""
        total = torch.zeros(self.mean_image.shape, dtype=torch.float64)
        squares = torch.zeros((), dtype=torch.float64)
        for part in images.split(4096):
            pixels = part.double() / 255
            total += pixels.sum(dim=0)
            squares += pixels.square().mean() * len(part)
        squares, image = squares / len(images), total / len(images)
        self.mean_image.copy_(image)
        self.mean.copy_(image.mean())
        self.std.copy_((squares - image.mean().square()).clamp(min=1e-12).sqrt())

    def standardized(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def reconstruct(self, images: Tensor) -> Reconstruction:
        """Reconstructs images (B, C, H, W); input and output are from 0 to 1."""
        output = self.model(self.standardized(images))
        return output._replace(image=(output.image.to(images.dtype) * self.std + self.mean).clamp(0, 1))

    def batch_loss(self, batch: Batch) -> Tensor:
        images = self.standardized(batch[0])
        output = self.model(images)
        return self.loss(output.image, images) + output.penalty

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        images = batch[0]
        output = self.reconstruct(images)
        predictions = torch.stack([output.image, self.mean_image.expand_as(images)])
        self.errors.append((predictions - images).square().flatten(2).double().mean(dim=2))
        self.codes.append(output.codes)
        if sum(map(len, self.images[::2])) < NUM_EXAMPLES:
            self.images += [images, output.image]

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        error, baseline = torch.cat(self.errors, dim=1).cpu().numpy()
        examples = [as_bytes(torch.cat(self.images[which::2])[:NUM_EXAMPLES]) for which in (0, 1)]
        self.result = ReconstructionResult(
            error=error,
            baseline_error=baseline,
            codes=torch.cat(self.codes).cpu().numpy(),
            codebook=len(self.model.codebook),
            index=data.indices["test"],
            originals=examples[0],
            reconstructions=examples[1],
        )
        self.results = self.result.scores()
        for collected in (self.errors, self.codes, self.images):
            collected.clear()

    def figures(self, title: str) -> dict[str, Any]:
        from adlx.figures import reconstruction as draw

        assert self.result is not None
        return {
            "reconstructions": draw.pairs(self.result.originals, self.result.reconstructions, title),
            "code_usage": draw.code_usage(self.result.codes, self.result.codebook, title),
        }

    @torch.inference_mode()
    def predict_into(self, folder: Path, data: Any, title: str) -> tuple[Tensor, Tensor]:
        """Codes (N, h, w) of all images and the codebook (codes, D): `codes.npz`, with labels and parts, and a figure.

        `data=codes data.path=RUN` reads this file and keeps its split, so that training images stay training samples.
        """
        from adlx.figures.reconstruction import pairs
        from adlx.figures.style import save

        self.eval()
        codes_of_batches, examples = [], []
        for images, _ in data.all_samples():
            codes_of_batches.append(self.model.encode(self.standardized(images.to(self.device))).cpu())
            if not examples:
                examples = [as_bytes(part[:NUM_EXAMPLES]) for part in (images, self.reconstruct(images).image)]
        codes, codebook = torch.cat(codes_of_batches), self.model.codebook.float().cpu()
        data.write_codes(folder / "codes.npz", codes.to(torch.int16).numpy(), codebook.numpy())
        with reported("the figure reconstructions"):
            save(pairs(examples[0], examples[1], title), folder / "reconstructions.png")
        return codes, codebook

    def describe_product(self, product: tuple[Tensor, Tensor]) -> str:
        codes, codebook = product
        return (
            f"{len(codes):,} code maps of {codes.shape[1]} x {codes.shape[2]}, {len(codebook)} codes of dimension "
            f"{codebook.shape[1]}"
        )
