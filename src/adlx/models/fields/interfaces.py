"""The interfaces of autoencoders and of forecasters of physical fields.

Shapes: B batch, T time, k seed frames, C cells, F fields, G groups of fields, L latent numbers of a group, P
parameters.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from adlx.specs import FieldSpec


class TrainingPart(Protocol):
    """The data that a forecaster may use before training: only the training part."""

    def snapshots(self) -> Iterator[Any]:
        """Arrays (T, C, F), one for each trajectory; each call starts from the first."""
        ...

    def training_parameters(self) -> Any:
        """Array (trajectories, P): the parameters of each trajectory."""
        ...


class FieldAutoencoder(nn.Module):
    """A map from fields to latent numbers and back; each group of fields has its own latent numbers.

    The first argument of a subclass is the `FieldSpec`; its other arguments are plain numbers and strings.

    Attributes:
        latents: L.
    """

    mean: Tensor
    std: Tensor
    latents: int

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__()
        indices = sorted(index for group in spec.groups for index in group)
        if indices != list(range(len(spec.fields))):
            raise ValueError(f"groups {spec.groups} must hold each of the {len(spec.fields)} fields once")
        self.spec = spec
        self.register_buffer("mean", torch.zeros(len(spec.fields)))
        self.register_buffer("std", torch.ones(len(spec.fields)))

    def fit_scale(self, mean: Tensor, std: Tensor) -> None:
        """Stores mean and standard deviation (F,) of each field over the training part; 1 for a constant field."""
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def standardize(self, fields: Tensor) -> Tensor:
        """Physical fields (..., F) to mean 0 and standard deviation 1."""
        return (fields - self.mean) / self.std

    def to_physical(self, standardized: Tensor) -> Tensor:
        """Standardized fields (..., F) to the units of the data."""
        return standardized * self.std + self.mean

    def compress(self, standardized: Tensor) -> Tensor:
        """Standardized fields (B, C, F) to latents (B, G, L)."""
        raise NotImplementedError

    def restore(self, latents: Tensor) -> Tensor:
        """Latents (B, G, L) to standardized fields (B, C, F)."""
        raise NotImplementedError

    def encode(self, fields: Tensor) -> Tensor:
        """Physical fields (B, C, F) to latents (B, G, L)."""
        return self.compress(self.standardize(fields))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, G, L) to physical fields (B, C, F)."""
        return self.to_physical(self.restore(latents))

    def forward(self, fields: Tensor) -> Tensor:
        """Encodes and decodes physical fields (B, C, F)."""
        return self.decode(self.encode(fields))

    def loss(self, fields: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean squared error in standardized units over the cells outside of bodies.

        Args:
            fields: (B, C, F), physical.
            mask: (B, C) bool, true inside bodies; None: no bodies.
        """
        target = self.standardize(fields)
        error = (self.restore(self.compress(target)) - target).square()
        if mask is None:
            return error.mean()
        fluid = (~mask)[..., None].to(error.dtype)
        return (error * fluid).sum() / (fluid.sum() * error.shape[-1])


class FieldForecaster(nn.Module):
    """A model that predicts the frames after its seed frames.

    The first argument of a subclass is the `FieldSpec`; its own arguments follow.

    Attributes:
        seed_frames: k, the number of frames that a forecast starts from.
        window: recommended number of time steps of a training window; None: most of a trajectory.
    """

    seed_frames: int = 1
    window: int | None = None

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__()
        self.spec = spec

    def fit_closed_form(self, data: TrainingPart) -> None:
        """Fits, before training, what is not trained by gradients: the scales, or all weights of the model."""

    def loss(self, window: Tensor, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The training loss of fields (B, T, C, F) with parameters (B, P), for models that are trained by gradients.

        Args:
            window: physical fields, T above k.
            parameters: in the units of the data.
            generator: all random numbers of training; None: torch's global generator.
        """
        raise NotImplementedError(f"{type(self).__name__} is not trained by gradients")

    def prepare(self, window: Tensor) -> Tensor:
        """Computes the input of `prepared_loss`, (B, T, ...), from fields (B, T, C, F).

        It must not depend on trained weights, because it is computed once and stored.
        """
        return window

    def prepared_loss(self, prepared: Tensor, parameters: Tensor) -> Tensor:
        """The training loss, given the output of `prepare`."""
        return self.loss(prepared, parameters)

    def rollout(self, seed: Tensor, steps: int, parameters: Tensor) -> Tensor:
        """Predicts the `steps` frames (B, steps, C, F) after the seed frames (B, k or more, C, F), all physical.

        Only the last k seed frames are used. Parameters are (B, P).
        """
        raise NotImplementedError

    @property
    def is_trainable(self) -> bool:
        """Whether the model has parameters that gradients train."""
        return any(True for _ in self.parameters())

    def last_seed_frames(self, frames: Tensor) -> Tensor:
        """The last k of frames (B, k or more, ...)."""
        if frames.shape[1] < self.seed_frames:
            raise ValueError(f"model.seed_frames={self.seed_frames} frames are needed, but there are {frames.shape[1]}")
        return frames[:, -self.seed_frames :]
