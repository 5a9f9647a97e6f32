"""The interface of every classifier, and how it sees what it classifies.

Shapes: B batch, P positions (pixels or cells of a code map), D numbers a position, C codes, K classes.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from adlx.specs import CodeSpec, ImageSpec, SampleBatches

Input = Literal["auto", "standardize", "onehot", "embedding"]


class Classifier(nn.Module):
    """A map from images or code maps to a score for each class.

    A subclass takes the spec first and its own arguments, plain numbers and strings, after it.

    Args:
        spec: of images or code maps, from the data.
        input: how a sample becomes numbers, see `Inputs`.
    """

    def __init__(self, spec: ImageSpec | CodeSpec, input: Input = "auto") -> None:
        super().__init__()
        if len(spec.classes) < 2:
            raise ValueError(f"a classifier needs samples of two classes at least; the data have {len(spec.classes)}")
        self.spec = spec
        self.inputs = Inputs(spec, input)

    def fit_inputs(self, samples: SampleBatches, codebook: Tensor | None) -> None:
        """Takes statistics of the training part, before training.

        Args:
            samples: (N, ...) as they are stored, bytes or codes.
            codebook: (C, E) the vectors of the codes, if they are known.
        """
        self.inputs.fit(samples, codebook)

    def forward(self, sample: Tensor) -> Tensor:
        """Images (B, channels, height, width) from 0 to 1, or codes (B, height, width), to scores (B, K)."""
        raise NotImplementedError


class Inputs(nn.Module):
    """From a sample to numbers (B, P, D).

    `standardize` takes each pixel or code as a number, less its mean and divided by its deviation over the training
    part. Codes are names, not amounts, so there are two more ways for them: `onehot`, and `embedding`, the vector of
    the codebook that a code names, standardised in each of its dimensions. `auto` is `embedding` where the codebook
    is known, else `onehot`; of images, `standardize`.
    """

    mean: Tensor
    std: Tensor
    codebook: Tensor

    def __init__(self, spec: ImageSpec | CodeSpec, kind: Input) -> None:
        super().__init__()
        if isinstance(spec, ImageSpec):
            if kind not in ("auto", "standardize"):
                raise ValueError(f"model.input={kind} is for code maps (data=codes); images are standardized")
            kind = "standardize"
            self.grid, self.width, codes = spec.size, spec.channels, 0
        else:
            if kind == "auto":
                kind = "onehot" if spec.dimension is None else "embedding"
            if kind == "embedding" and spec.dimension is None:
                raise ValueError("model.input=embedding needs the codebook, and data.path holds codes alone: onehot")
            self.grid, codes = spec.grid, spec.codebook
            self.width = {"standardize": 1, "onehot": codes, "embedding": spec.dimension or 0}[kind]
        self.kind, self.codes = kind, codes
        positions = self.grid[0] * self.grid[1]
        shape = {"standardize": (positions, self.width), "embedding": (self.width,), "onehot": (0,)}[kind]
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))
        # Where it is not looked into, it still says which codes these are.
        dimension = spec.dimension if isinstance(spec, CodeSpec) else None
        self.register_buffer("codebook", torch.zeros(codes if dimension else 0, dimension or 0))

    @property
    def positions(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def energy(self) -> float:
        """Mean of the squared numbers of a position, summed over D: how much goes into a weighted sum."""
        return 1.0 if self.kind == "onehot" else float(self.width)

    @property
    def discrete(self) -> bool:
        """Whether a position takes one of C vectors (`vectors`) alone."""
        return self.kind in ("onehot", "embedding")

    def fit(self, samples: SampleBatches, codebook: Tensor | None) -> None:
        """Takes mean and deviation over the training samples (N, ...), as they are stored; constants are left as 1."""
        if codebook is not None and len(self.codebook):
            self.codebook.copy_(codebook)
        if self.kind == "embedding":
            assert codebook is not None
            codebook = codebook.double()
            counts = [torch.bincount(part.flatten().long(), minlength=self.codes) for part in samples.split(4096)]
            share = torch.stack(counts).sum(dim=0).double()
            share = (share / share.sum())[:, None]
            mean = (share * codebook).sum(dim=0)
            variance = (share * (codebook - mean).square()).sum(dim=0)
        elif self.kind == "standardize":
            mean, variance = mean_and_variance(samples)
            if self.codes == 0:  # bytes, which models see from 0 to 1
                mean, variance = mean / 255, variance / 255**2
        else:
            return
        varies = variance > 1e-12 * (variance + mean.square())  # else it is rounding
        self.mean.copy_(mean.view_as(self.mean))
        self.std.copy_(torch.where(varies, variance.sqrt(), 1.0).view_as(self.std))

    def vectors(self) -> Tensor:
        """(C, D) what a position becomes for each code."""
        if self.kind == "onehot":
            return torch.eye(self.codes, device=self.mean.device, dtype=self.mean.dtype)
        return (self.codebook - self.mean) / self.std

    def forward(self, sample: Tensor) -> Tensor:
        """Images (B, channels, height, width) from 0 to 1, or codes (B, height, width), to (B, P, D)."""
        if self.kind == "onehot":
            return one_hot(sample.flatten(1), self.codes).to(self.mean.dtype)
        if self.kind == "embedding":
            return self.vectors()[sample.flatten(1)]
        if self.codes == 0:
            sample = sample.flatten(2).transpose(1, 2)
        return (sample.to(self.mean.dtype).view(len(sample), self.positions, self.width) - self.mean) / self.std


def mean_and_variance(samples: SampleBatches, chunk: int = 4096) -> tuple[Tensor, Tensor]:
    """Mean and variance over the first axis of (N, ...), flat, with positions before channels; float64, by chunks."""
    count = len(samples)

    def rows() -> Iterator[Tensor]:
        return (part.double() for part in samples.split(chunk))

    mean = torch.stack([part.sum(dim=0) for part in rows()]).sum(dim=0) / count
    variance = torch.stack([(part - mean).square().sum(dim=0) for part in rows()]).sum(dim=0) / count
    if mean.dim() == 3:  # channels, height, width
        mean, variance = (statistic.permute(1, 2, 0) for statistic in (mean, variance))
    return mean.flatten(), variance.flatten()
