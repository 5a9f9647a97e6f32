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
    """The data that a forecaster may use before training: the training part, and nothing else."""

    def snapshots(self) -> Iterator[Any]:
        """Arrays (T, C, F), each a trajectory; every call begins anew."""
        ...

    def training_parameters(self) -> Any:
        """(trajectories, P) array: the numbers of each."""
        ...


class FieldAutoencoder(nn.Module):
    """A map from fields to latent numbers, separate for each group, and back.

    A subclass takes the `FieldSpec` first and its own arguments, plain numbers and strings, after it.

    Attributes:
        latents: L.
    """

    mean: Tensor
    std: Tensor
    latents: int

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__()
        listed = sorted(place for group in spec.groups for place in group)
        if listed != list(range(len(spec.fields))):
            raise ValueError(f"groups {spec.groups} must hold each of the {len(spec.fields)} fields once")
        self.spec = spec
        self.register_buffer("mean", torch.zeros(len(spec.fields)))
        self.register_buffer("std", torch.ones(len(spec.fields)))

    def fit_scale(self, mean: Tensor, std: Tensor) -> None:
        """Stores mean and deviation (F,) of each field over the training part; a constant field gets deviation 1."""
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def standardized(self, fields: Tensor) -> Tensor:
        """(..., F) physical to mean 0 and deviation 1."""
        return (fields - self.mean) / self.std

    def physical(self, standardized: Tensor) -> Tensor:
        """(..., F) back to the units of the data."""
        return standardized * self.std + self.mean

    def compress(self, standardized: Tensor) -> Tensor:
        """(B, C, F) to latents (B, G, L)."""
        raise NotImplementedError

    def restore(self, latents: Tensor) -> Tensor:
        """Latents (B, G, L) to standardised fields (B, C, F)."""
        raise NotImplementedError

    def encode(self, fields: Tensor) -> Tensor:
        """Physical fields (B, C, F) to latents (B, G, L)."""
        return self.compress(self.standardized(fields))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, G, L) to physical fields (B, C, F)."""
        return self.physical(self.restore(latents))

    def forward(self, fields: Tensor) -> Tensor:
        """There and back, (B, C, F), physical."""
        return self.decode(self.encode(fields))

    def loss(self, fields: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean squared error in standardised units over the cells outside of bodies.

        Args:
            fields: (B, C, F), physical.
            mask: (B, C) bool, true inside bodies; None: there are none.
        """
        wanted = self.standardized(fields)
        error = (self.restore(self.compress(wanted)) - wanted).square()
        if mask is None:
            return error.mean()
        fluid = (~mask)[..., None].to(error.dtype)
        return (error * fluid).sum() / (fluid.sum() * error.shape[-1])


class FieldForecaster(nn.Module):
    """A model that predicts the frames after its seed frames.

    A subclass takes the `FieldSpec` first and its own arguments after it.

    Attributes:
        seed_frames: k, how many frames it is given.
        window: recommended time steps of a training window; None: most of a trajectory.
    """

    seed_frames: int = 1
    window: int | None = None

    def __init__(self, spec: FieldSpec) -> None:
        super().__init__()
        self.spec = spec

    def solve(self, data: TrainingPart) -> None:
        """Computes, before training, what gradients do not train: the scales, or all weights."""

    def loss(self, window: Tensor, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The training loss of fields (B, T, C, F) with parameters (B, P), for models that train by gradient.

        Args:
            window: physical fields, T above k.
            parameters: as the data give them.
            generator: of what is random in training; None: torch's global one.
        """
        raise NotImplementedError(f"{type(self).__name__} does not train by gradient")

    def prepare(self, window: Tensor) -> Tensor:
        """The input of the loss, (B, T, ...), from fields (B, T, C, F). It does not depend on trained weights, so it is
        computed once and stored."""
        return window

    def prepared_loss(self, prepared: Tensor, parameters: Tensor) -> Tensor:
        """`loss` of the output of `prepare`."""
        return self.loss(prepared, parameters)

    def rollout(self, seed: Tensor, steps: int, parameters: Tensor) -> Tensor:
        """The `steps` frames (B, steps, C, F) after the seed frames (B, k, C, F), all physical, of which the last k
        are looked at, and parameters (B, P)."""
        raise NotImplementedError

    @property
    def learns(self) -> bool:
        """Whether there is anything to train."""
        return any(True for _ in self.parameters())

    def known(self, frames: Tensor) -> Tensor:
        """The last k of frames (B, k or more, ...)."""
        if frames.shape[1] < self.seed_frames:
            raise ValueError(f"model.seed_frames={self.seed_frames} are needed, {frames.shape[1]} are given")
        return frames[:, -self.seed_frames :]
