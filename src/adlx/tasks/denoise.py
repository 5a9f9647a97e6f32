"""Denoising diffusion: a network learns to predict the noise in images; the average of its weights generates images.

Shapes: B batch, C channels, H x W pixels.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from lightning_fabric import Fabric
from torch import Tensor, nn

from adlx.atomic import replacing
from adlx.errors import UserError
from adlx.figures.failures import reported
from adlx.metrics.denoising import DenoisingResult
from adlx.metrics.kid import kid
from adlx.metrics.neighbours import nearest
from adlx.models.diffusion.denoiser import Denoiser
from adlx.models.diffusion.features import Features
from adlx.models.diffusion.process import add_noise, image_of, rates
from adlx.models.diffusion.samplers import DDIM, SamplerName, make_sampler
from adlx.ranges import PositiveInt, ShareBelowOne
from adlx.specs import ImageSpec, SampleBatches
from adlx.tasks import extractors
from adlx.tasks.averaging import Averaged
from adlx.tasks.extractors import KidFeatures
from adlx.tasks.images import as_bytes, from_bytes
from adlx.tasks.lightning_internals import forward_context
from adlx.tasks.optimization import Optimization
from adlx.tasks.task import Task

Batch = tuple[Tensor, Tensor]
NUM_SAMPLES, SAMPLE_STEPS = 64, 20
"""Number of images that a test generates for the figures, and the steps of the sampler."""


class Denoise(Averaged, Task):
    """Arguments as `Task`, and:

    Args:
        ema: decay of the moving average of the weights, 0 for no average; samples and scores use the average.
        kid_features: the network for the kernel inception distance (KID), see `extractors.KidFeatures`.
        kid_images: number of real and of generated images that KID compares.
        kid_steps: number of sampler steps for the images of KID.
        sampler: `ddim` or `ancestral`.
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
        ema: ShareBelowOne = 0.999,
        kid_features: KidFeatures = "auto",
        kid_images: Annotated[int, Ge(2)] = 256,
        kid_steps: PositiveInt = 5,
        sampler: SamplerName = "ddim",
    ) -> None:
        super().__init__(model, loss, optimization, data, seed)
        self.decay = ema
        self.kid_images, self.kid_steps = kid_images, kid_steps
        self.sampler_name: SamplerName = sampler
        self.register_buffer("mean", torch.ones(model.spec.channels, 1, 1))
        self.register_buffer("std", torch.ones(model.spec.channels, 1, 1))
        self.kid_features: KidFeatures = extractors.resolve_auto(kid_features, len(model.spec.classes))
        self.features: Features | None = None
        if self.kid_features == "inception":
            self.inception = (extractors.inception(),)  # in a tuple, so that checkpoints do not contain it
        else:
            self.features = extractors.make_network(model.spec.channels).requires_grad_(False)
        self.real_features: dict[str, Tensor] = {}  # features of real images, by part
        self.errors: list[Tensor] = []  # (4, B): errors of noise and image, the baseline, and the times
        self.result: DenoisingResult | None = None

    def fit_statistics(self, data: Any) -> None:
        """Fits mean and deviation of the images, and the network that computes the features of KID."""
        if self.features is not None:
            network = extractors.fit_network(self.kid_features, self.model.spec.channels, data)
            self.features.load_state_dict(network.state_dict())
        self.fit_brightness(data.training_samples())

    def fit_brightness(self, images: SampleBatches) -> None:
        """Computes mean and standard deviation of each channel of the training images (N, C, H, W), which are bytes."""
        means, mean_squares = [], []
        for part in images.split(4096):
            pixels = part.double() / 255
            means.append(pixels.mean(dim=(2, 3)).sum(dim=0))
            mean_squares.append(pixels.square().mean(dim=(2, 3)).sum(dim=0))
        mean = torch.stack(means).sum(dim=0) / len(images)
        squares = torch.stack(mean_squares).sum(dim=0) / len(images)
        self.mean.copy_(mean[:, None, None])
        self.std.copy_((squares - mean.square()).clamp(min=1e-12).sqrt()[:, None, None])

    def notes(self) -> dict[str, Any]:
        features = extractors.describe(self.kid_features, len(self.model.spec.classes))
        return {"kid": {"features": features, "images": self.kid_images, "steps": self.kid_steps}}

    @torch.no_grad()
    def features_of(self, images: Tensor) -> Tensor:
        """Features (N, D) of images (N, C, H, W), bytes."""
        network = self.inception[0].to(self.device) if self.features is None else self.features
        return torch.cat([network(from_bytes(part.to(self.device))) for part in images.split(64)])

    def features_of_part(self, part: str) -> Tensor:
        if part not in self.real_features:
            data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
            self.real_features[part] = self.features_of(extractors.sample_images(data, part, self.kid_images)[0])
        return self.real_features[part]

    def features_of_samples(self) -> Tensor:
        """Features of images that are generated in few steps."""
        return self.features_of(torch.from_numpy(self.draw(self.kid_images, self.kid_steps, seed=1)))

    def standardized(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std

    def add_noise(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """Adds noise to standardized images (B, C, H, W); returns noise, time, both rates and noisy images.

        `generator` is on the CPU, so that all devices get the same numbers; None: the generator of the device.
        """
        if generator is None:
            noise, time = torch.randn_like(images), torch.rand_like(images[:, :1, :1, :1])
        else:
            noise = torch.randn(images.shape, generator=generator).to(images)
            time = torch.rand(len(images), 1, 1, 1, generator=generator).to(images)
        signal, rate = rates(time)
        return noise, time, signal, rate, add_noise(images, noise, signal, rate)

    def batch_loss(self, batch: Batch) -> Tensor:
        noise, _, _, rate, image = self.add_noise(self.standardized(batch[0]))
        return self.loss(self.model(image, rate.square()), noise)

    def batch_errors(self, batch: Batch, seed: int) -> Tensor:
        """(4, B): mean absolute errors of the noise and of the image, mean absolute noise, and diffusion time."""
        images = self.standardized(batch[0])
        generator = torch.Generator().manual_seed(seed)
        noise, time, signal, rate, image = self.add_noise(images, generator)
        predicted_noise = self.predict_noise(image, rate.square())
        clean = image_of(image, predicted_noise, signal, rate)
        errors = [(predicted_noise - noise).abs(), (clean - images).abs(), noise.abs()]
        return torch.stack([*(error.flatten(1).mean(dim=1) for error in errors), time.flatten()])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        with self.averaged():
            noise, image, _, _ = self.batch_errors(batch, batch_idx).mean(dim=1)
        scores = {"val/loss": noise, "val/noise_mae": noise, "val/image_mae": image}
        self.validation_sums.append((scores, self.batch_length(batch)))

    def log_validation(self, means: dict[str, Tensor], count: int) -> None:
        with self.averaged():
            distance = kid(self.features_of_part("val"), self.features_of_samples())[0]
        super().log_validation({**means, "val/kid": means["val/loss"].new_tensor(distance)}, count)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.errors.append(self.batch_errors(batch, batch_idx))

    def on_test_epoch_end(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        noise, image, baseline, time = torch.cat(self.errors, dim=1).double().cpu().numpy()
        samples = self.draw(NUM_SAMPLES, SAMPLE_STEPS, seed=0)
        training = data.training_samples()
        neighbours, distance = nearest(torch.from_numpy(samples), training)
        held_out, _ = extractors.sample_images(data, "test", self.kid_images)
        real = self.features_of_part("test")
        random_images = torch.randn(held_out.shape, generator=torch.Generator().manual_seed(0)).to(self.mean)
        noise_features = self.features_of(torch.from_numpy(self.to_bytes(random_images)))
        others = (self.features_of_samples(), self.features_of_part("val"), noise_features)
        self.result = DenoisingResult(
            noise_error=noise,
            image_error=image,
            baseline_error=baseline,
            time=time,
            index=data.indices["test"],
            samples=samples,
            neighbours=training[neighbours].numpy(),
            distance=distance.numpy(),
            held_out_distance=nearest(held_out, training)[1].numpy(),
            kid=np.array([kid(real, other) for other in others]),
        )
        self.results = self.result.scores()
        self.errors.clear()

    def predict_noise(self, images: Tensor, variance: Tensor) -> Tensor:
        """The noise that the model predicts, converted to the precision of the images."""
        return self.model(images, variance).to(images.dtype)

    def to_bytes(self, images: Tensor) -> np.ndarray:
        """Converts standardized images to uint8."""
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
        """Generates images (N, C, H, W), uint8; with `trajectory` the prediction of each step (steps, N, C, H, W).

        Args:
            count: N.
            steps: number of sampler steps.
            seed: seed of the initial noise and of the noise that the sampler adds.
            sampler: None: the sampler of the task.
            batch_size: number of images that are generated at once.
            trajectory: whether to return the images of all steps.
        """
        sampler = sampler or make_sampler(self.sampler_name)
        spec = self.model.spec
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(count, spec.channels, *spec.size, generator=generator)
        batches = []
        for number, part in enumerate(start.split(batch_size)):
            fresh = torch.Generator().manual_seed(seed * 1_000_003 + number + 1)
            shown = []
            with forward_context(self):
                for _, image in sampler.sample(self.predict_noise, part.to(self.mean), steps, fresh):
                    shown = [*shown, self.to_bytes(image)] if trajectory else [image]
            batches.append(np.stack(shown if trajectory else [self.to_bytes(shown[0])]))
        samples = np.concatenate(batches, axis=1)
        return samples if trajectory else samples[0]

    def figures(self, title: str) -> dict[str, Any]:
        from adlx.figures import denoising as draw

        assert self.result is not None
        return {
            "samples": draw.image_grid(self.result.samples, title),
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
        """Generates n images (N, C, H, W): `samples.npz`, a figure, and with `pictures` a PNG file for each image.

        `sampler` defaults to that of the task; `eta` is the noise of `ddim`.

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
        from adlx.figures.denoising import image_grid
        from adlx.figures.style import save

        trainer = self.card["config"]["trainer"]
        kind, precision = trainer.get("accelerator", "auto"), trainer.get("precision", "32-true")
        fabric = Fabric(accelerator=kind, devices=1, precision=precision)
        self.eval().to(fabric.device)
        with fabric.autocast():
            samples = self.draw(n, steps, seed, chosen, batch_size)
        with replacing(folder / "samples.npz") as file:
            np.savez_compressed(file, allow_pickle=False, samples=samples)
        with reported("the figure samples"):
            save(image_grid(samples, f"{title}, {steps} steps"), folder / "samples.png")
        if pictures:
            from PIL import Image

            for number, image in enumerate(samples):
                pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
                with replacing(folder / "pictures" / f"{number:04d}.png") as file:
                    Image.fromarray(pixels).save(file, format="png")
        return samples

    def describe_product(self, product: np.ndarray) -> str:
        count, _, height, width = product.shape
        return f"{count:,} images of {height} x {width}"
