"""Denoising diffusion: a network learns the noise in images, a moving average of its weights draws new ones.

Shapes: B batch, C channels, H x W pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from adlx.atomic import replacing
from adlx.errors import UserError
from adlx.metrics.denoising import DenoisingResult
from adlx.metrics.kid import kid
from adlx.metrics.neighbours import nearest
from adlx.models.diffusion.denoiser import Denoiser
from adlx.models.diffusion.features import Features
from adlx.models.diffusion.process import image_of, noisy, rates
from adlx.models.diffusion.samplers import DDIM, SamplerName, make_sampler
from adlx.specs import ImageSpec
from adlx.tasks import extractors
from adlx.tasks.averaging import Averaged
from adlx.tasks.extractors import KidFeatures
from adlx.tasks.images import as_bytes, from_bytes
from adlx.tasks.lightning_internals import forward_context
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task

Batch = tuple[Tensor, Tensor]
SHOWN, STEPS = 64, 20
"""Images that a test draws to be looked at, and the steps it takes for them."""


class Denoise(Averaged, Task):
    """Arguments as `Task`, and:

    Args:
        ema: decay of the moving average of the weights, which samples are drawn with and scores are of.
        kid_features: whose features the kernel inception distance goes by, see `extractors.KidFeatures`.
        kid_images: how many images of each kind it compares.
        kid_steps: in how many steps they are drawn.
        sampler: how images are drawn, `ddim` or `ancestral`.
    """

    model_kind = Denoiser
    spec_kind = ImageSpec
    result_kind = DenoisingResult
    model: Denoiser
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: Denoiser,
        loss: nn.Module,
        optimization: Optimization,
        data: Any,
        seed: int = 0,
        ema: float = 0.999,
        kid_features: KidFeatures = "auto",
        kid_images: int = 256,
        kid_steps: int = 5,
        sampler: SamplerName = "ddim",
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        if not 0 <= ema < 1:
            raise ValueError(f"task.ema={ema}: from 0, the weights themselves, to below 1")
        if kid_images < 2 or kid_steps < 1:
            raise ValueError(f"task.kid_images={kid_images}, kid_steps={kid_steps}: at least 2 images and 1 step")
        self.decay = ema
        self.kid_images, self.kid_steps = kid_images, kid_steps
        self.sampler_name: SamplerName = sampler
        for name in ("mean", "std"):
            self.register_buffer(name, torch.ones(model.spec.channels, 1, 1))
        self.kid_features: KidFeatures = extractors.resolve_auto(kid_features, len(model.spec.classes))
        self.features: Features | None = None
        if self.kid_features == "inception":
            self.inception = (extractors.inception(),)  # in a tuple, which keeps it out of checkpoints
        else:
            self.features = extractors.untrained(model.spec.channels).requires_grad_(False)
        self.real: dict[str, Tensor] = {}  # features of images that exist, by part
        self.errors: list[Tensor] = []  # (4, B): of noise and image, own and of no noise, and the times
        self.result: DenoisingResult | None = None

    def fit_statistics(self, data: Any) -> None:
        """Fits the brightness of the images, and the network whose features they are compared by."""
        if self.features is not None:
            fitted = extractors.fitted(self.kid_features, self.model.spec.channels, data)
            self.features.load_state_dict(fitted.state_dict())
        self.fit_brightness(data.training())

    def fit_brightness(self, images: Tensor) -> None:
        """Mean and deviation of each channel of the training images (N, C, H, W), bytes."""
        parts = [part.double() / 255 for part in images.split(4096)]
        mean = torch.stack([part.mean(dim=(2, 3)).sum(dim=0) for part in parts]).sum(dim=0) / len(images)
        squares = torch.stack([part.square().mean(dim=(2, 3)).sum(dim=0) for part in parts]).sum(dim=0) / len(images)
        self.mean.copy_(mean[:, None, None])
        self.std.copy_((squares - mean.square()).clamp(min=1e-12).sqrt()[:, None, None])

    def notes(self) -> dict[str, Any]:
        features = extractors.describe(self.kid_features, len(self.model.spec.classes))
        return {"kid": {"features": features, "images": self.kid_images, "steps": self.kid_steps}}

    @torch.no_grad()
    def features_of(self, images: Tensor) -> Tensor:
        """(N, D) features of images (N, C, H, W), bytes."""
        network = self.inception[0].to(self.device) if self.features is None else self.features
        return torch.cat([network(from_bytes(part.to(self.device))) for part in images.split(64)])

    def features_of_part(self, part: str) -> Tensor:
        if part not in self.real:
            data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
            self.real[part] = self.features_of(extractors.some(data, part, self.kid_images)[0])
        return self.real[part]

    def features_drawn(self) -> Tensor:
        """Of images drawn in few steps."""
        return self.features_of(torch.from_numpy(self.draw(self.kid_images, self.kid_steps, seed=1)))

    def standardized(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def diffused(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """Noise, times, rates and noisy images of standardised ones.

        Args:
            images: (B, C, H, W).
            generator: on the CPU, for the same numbers wherever the images are; None: the device's own.
        """
        if generator is None:
            noise, time = torch.randn_like(images), torch.rand_like(images[:, :1, :1, :1])
        else:
            noise = torch.randn(images.shape, generator=generator).to(images)
            time = torch.rand(len(images), 1, 1, 1, generator=generator).to(images)
        signal, rate = rates(time)
        return noise, time, signal, rate, noisy(images, noise, signal, rate)

    def batch_loss(self, batch: Batch) -> Tensor:
        noise, _, _, rate, image = self.diffused(self.standardized(batch[0]))
        return self.loss(self.model(image, rate.square()), noise)

    def batch_errors(self, batch: Batch, seed: int) -> Tensor:
        """(4, B) mean absolute errors of noise and of image, the mean absolute noise, and the time."""
        images = self.standardized(batch[0])
        generator = torch.Generator().manual_seed(seed)
        noise, time, signal, rate, image = self.diffused(images, generator)
        found = self.noise_in(image, rate.square())
        clean = image_of(image, found, signal, rate)
        errors = [(found - noise).abs(), (clean - images).abs(), noise.abs()]
        return torch.stack([*(error.flatten(1).mean(dim=1) for error in errors), time.flatten()])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        with self.averaged():
            noise, image, _, _ = self.batch_errors(batch, batch_idx).mean(dim=1)
        scores = {"val/loss": noise, "val/noise_mae": noise, "val/image_mae": image}
        self.validation_sums.append((scores, self.batch_length(batch)))

    def log_validation(self, means: dict[str, Tensor], count: int) -> None:
        with self.averaged():
            distance = kid(self.features_of_part("val"), self.features_drawn())[0]
        super().log_validation({**means, "val/kid": means["val/loss"].new_tensor(distance)}, count)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.errors.append(self.batch_errors(batch, batch_idx))

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        noise, image, baseline, time = torch.cat(self.errors, dim=1).double().cpu().numpy()
        samples = self.draw(SHOWN, STEPS, seed=0)
        training = data.training()
        places, distance = nearest(torch.from_numpy(samples), training)
        held_out, _ = extractors.some(data, "test", self.kid_images)
        real = self.features_of_part("test")
        chance = torch.randn(held_out.shape, generator=torch.Generator().manual_seed(0)).to(self.mean)
        noise_alone = self.features_of(torch.from_numpy(self.pixels(chance)))
        others = (self.features_drawn(), self.features_of_part("val"), noise_alone)
        self.result = DenoisingResult(
            noise_error=noise,
            image_error=image,
            baseline_error=baseline,
            time=time,
            index=data.actual("test")[1],
            samples=samples,
            neighbours=training[places].numpy(),
            distance=distance.numpy(),
            held_out_distance=nearest(held_out, training)[1].numpy(),
            kid=np.array([kid(real, other) for other in others]),
        )
        self.results = self.result.scores()
        self.errors.clear()

    def noise_in(self, images: Tensor, variance: Tensor) -> Tensor:
        """What the model finds, in the precision of the images whatever it computes in."""
        return self.model(images, variance).to(images.dtype)

    def pixels(self, images: Tensor) -> np.ndarray:
        """Bytes of standardised images."""
        return as_bytes((images * self.std + self.mean).clamp(0, 1))

    @torch.no_grad()
    def draw(
        self,
        count: int,
        steps: int,
        seed: int,
        sampler: DDIM | None = None,
        batch_size: int = 64,
        trajectory: bool = False,
    ) -> np.ndarray:
        """New images (N, C, H, W), bytes; with `trajectory` (steps, N, C, H, W), the image that each step predicts.

        Args:
            count: N.
            steps: of the sampler.
            seed: of the starting noise, and of the sampler's own.
            sampler: None: the task's.
            batch_size: images drawn at once.
            trajectory: keep every step.
        """
        sampler = sampler or make_sampler(self.sampler_name)
        spec = self.model.spec
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(count, spec.channels, *spec.size, generator=generator)
        found = []
        for number, part in enumerate(start.split(batch_size)):
            fresh = torch.Generator().manual_seed(seed * 1_000_003 + number + 1)
            kept = []
            with forward_context(self):
                for _, image in sampler.sample(self.noise_in, part.to(self.mean), steps, fresh):
                    kept = [*kept, self.pixels(image)] if trajectory else [image]
            found.append(np.stack(kept if trajectory else [self.pixels(kept[0])]))
        drawn = np.concatenate(found, axis=1)
        return drawn if trajectory else drawn[0]

    def figures(self, title: str) -> dict[str, Any]:
        from adlx.figures import denoising as draw

        assert self.result is not None
        return {
            "samples": draw.grid(self.result.samples, title),
            "neighbours": draw.neighbours(self.result, title),
            "trajectory": draw.trajectory(self.draw(6, steps=10, seed=0, trajectory=True), title),
            "loss_by_noise": draw.loss_by_noise(self.result, title),
        }

    def predict_into(
        self,
        folder: Path,
        data: Any,
        title: str,
        *,
        n: int = 64,
        steps: int = 20,
        sampler: SamplerName | None = None,
        eta: float | None = None,
        seed: int = 0,
        batch_size: int = 64,
        pictures: bool = False,
    ) -> np.ndarray:
        """Draws n images (N, C, H, W): `samples.npz`, a grid, and with `pictures` a PNG of each.

        `sampler` is the task's where none is given; `eta` is that of `ddim`.

        Raises:
            UserError: an option is out of range.
        """
        for name, count in (("n", n), ("steps", steps), ("batch_size", batch_size)):
            if count < 1:
                raise UserError(f"predict.{name}={count}: must be at least 1")
        try:
            chosen = make_sampler(sampler or self.sampler_name, eta)
        except ValueError as error:
            raise UserError(f"predict.{error}") from None
        from adlx.figures.denoising import grid
        from adlx.figures.style import save

        trainer = self.card["config"]["trainer"]
        kind, precision = trainer.get("accelerator", "auto"), trainer.get("precision", "32-true")
        fabric = Fabric(accelerator=kind, devices=1, precision=precision)
        self.eval().to(fabric.device)
        with fabric.autocast():
            drawn = self.draw(n, steps, seed, chosen, batch_size)
        with replacing(folder / "samples.npz") as file:
            np.savez_compressed(file, allow_pickle=False, samples=drawn)
        save(grid(drawn, f"{title}, {steps} steps"), folder / "samples.png")
        if pictures:
            from PIL import Image

            for number, image in enumerate(drawn):
                pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
                with replacing(folder / "pictures" / f"{number:04d}.png") as file:
                    Image.fromarray(pixels).save(file, format="png")
        return drawn

    def shown(self, product: np.ndarray) -> str:
        count, _, height, width = product.shape
        return f"{count:,} images of {height} x {width}"
