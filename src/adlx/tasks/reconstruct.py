"""Reconstruction: images go through a map of codes and back; the product is the codes.

Shapes: B batch, C channels, H x W pixels, h x w cells.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adlx.metrics.reconstruction import ReconstructionResult
from adlx.models.classification.autoencoder import Autoencoder, Reconstruction
from adlx.specs import ImageSpec
from adlx.tasks.images import as_bytes
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task

Batch = tuple[Tensor, Tensor]
SHOWN = 64
"""Test images kept beside their reconstructions."""


class Reconstruct(Task):
    """Arguments as `Task`; mean image and brightness of the training part become part of it and of its checkpoints."""

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
        self.check_loss()
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(1.0))
        self.register_buffer("mean_image", torch.zeros(spec.channels, *spec.size))
        self.errors: list[Tensor] = []  # (2, B): own, and that of the mean image
        self.codes: list[Tensor] = []
        self.images: list[Tensor] = []
        self.result: ReconstructionResult | None = None

    def fit_statistics(self, data: Any) -> None:
        self.fit_brightness(data.training())

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.trainer.world_size > 1:  # type: ignore[union-attr]
            self.model.share_codebook()

    def check_loss(self) -> None:
        none, some = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
        try:
            fits = bool(self.loss(none, none) == 0 < self.loss(some, none))
        except (RuntimeError, ValueError, IndexError, TypeError):
            fits = False
        if not fits:
            raise ValueError(f"loss: {type(self.loss).__name__} does not tell images apart; loss=mse or mae does")

    def fit_brightness(self, images: Tensor) -> None:
        """Mean image, mean and deviation over all pixels of the training images (N, C, H, W), bytes."""
        parts = [part.double() / 255 for part in images.split(4096)]
        total = sum(part.sum(dim=0) for part in parts)
        squares = sum(part.square().mean() * len(part) for part in parts) / len(images)
        assert isinstance(total, Tensor)
        image = total / len(images)
        self.mean_image.copy_(image)
        self.mean.copy_(image.mean())
        self.std.copy_((squares - image.mean().square()).clamp(min=1e-12).sqrt())

    def standardized(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def reconstruct(self, images: Tensor) -> Reconstruction:
        """Of images (B, C, H, W) from 0 to 1, and so is what comes back."""
        found = self.model(self.standardized(images))
        return found._replace(image=(found.image.to(images.dtype) * self.std + self.mean).clamp(0, 1))

    def batch_loss(self, batch: Batch) -> Tensor:
        images = self.standardized(batch[0])
        found = self.model(images)
        return self.loss(found.image, images) + found.penalty

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        images = batch[0]
        found = self.reconstruct(images)
        rivals = torch.stack([found.image, self.mean_image.expand_as(images)])
        self.errors.append((rivals - images).square().flatten(2).double().mean(dim=2))
        self.codes.append(found.codes)
        if sum(map(len, self.images[::2])) < SHOWN:
            self.images += [images, found.image]

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        own, baseline = torch.cat(self.errors, dim=1).cpu().numpy()
        shown = [as_bytes(torch.cat(self.images[which::2])[:SHOWN]) for which in (0, 1)]
        self.result = ReconstructionResult(
            error=own,
            baseline_error=baseline,
            codes=torch.cat(self.codes).cpu().numpy(),
            codebook=len(self.model.codebook),
            index=data.actual("test")[1],
            originals=shown[0],
            reconstructions=shown[1],
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
        """Codes (N, h, w) of all images and the codebook (codes, D): `codes.npz`, with labels and parts, and a picture.

        `data=codes data.path=RUN` reads it, and keeps the split: what the codebook was trained on stays training data.
        """
        from adlx.figures.reconstruction import pairs
        from adlx.figures.style import save

        self.eval()
        found, shown = [], []
        for images, _ in data.everything():
            found.append(self.model.encode(self.standardized(images.to(self.device))).cpu())
            if not shown:
                shown = [as_bytes(part[:SHOWN]) for part in (images, self.reconstruct(images).image)]
        codes, codebook = torch.cat(found), self.model.codebook.float().cpu()
        data.write_codes(folder / "codes.npz", codes.to(torch.int16).numpy(), codebook.numpy())
        save(pairs(shown[0], shown[1], title), folder / "reconstructions.png")
        return codes, codebook

    def shown(self, product: tuple[Tensor, Tensor]) -> str:
        codes, codebook = product
        return (
            f"{len(codes):,} code maps of {codes.shape[1]} x {codes.shape[2]}, {len(codebook)} codes of dimension "
            f"{codebook.shape[1]}"
        )
