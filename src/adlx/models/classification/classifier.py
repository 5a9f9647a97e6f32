"""The interface of every classifier, and the conversion of samples to its input.

Shapes: B batch, P positions (pixels or cells of a code map), D numbers of a position, C codes, K classes.
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

    The first argument of a subclass is the spec; its other arguments are plain numbers and strings.

    Args:
        spec: of images or code maps, from the data.
        input: how samples are converted to numbers, see `Inputs`.
    """

    def __init__(self, spec: ImageSpec | CodeSpec, input: Input = "auto") -> None:
        super().__init__()
        if len(spec.classes) < 2:
            raise ValueError(f"a classifier needs samples of at least two classes; the data have {len(spec.classes)}")
        self.spec = spec
        self.inputs = Inputs(spec, input)

    def fit_inputs(self, samples: SampleBatches, codebook: Tensor | None) -> None:
        """Fits the statistics of the input on the training part, before training.

        Args:
            samples: (N, ...) as stored: bytes or codes.
            codebook: (C, E), the vectors of the codes, if they are known.
        """
        self.inputs.fit(samples, codebook)

    def forward(self, sample: Tensor) -> Tensor:
        """Images (B, channels, height, width) from 0 to 1, or codes (B, height, width), to scores (B, K)."""
        raise NotImplementedError


class Inputs(nn.Module):
    """Converts samples to numbers (B, P, D).

    `standardize` subtracts the mean of the training part from each pixel or code and divides by its standard deviation.
    Codes are categories, not amounts, so they have two more kinds of input: `onehot`, and `embedding`, the vector of a
    code in the codebook, with each dimension standardized. `auto` means `standardize` for images; for codes it means
    `embedding` if the codebook is known, otherwise `onehot`.
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
                raise ValueError(
                    "model.input=embedding needs the codebook, and data.path has codes only: set model.input=onehot"
                )
            self.grid, codes = spec.grid, spec.codebook
            self.width = {"standardize": 1, "onehot": codes, "embedding": spec.dimension or 0}[kind]
        self.kind, self.codes = kind, codes
        positions = self.grid[0] * self.grid[1]
        shape = {"standardize": (positions, self.width), "embedding": (self.width,), "onehot": (0,)}[kind]
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))
        # It is stored also if the input does not use it, because it identifies the codes.
        dimension = spec.dimension if isinstance(spec, CodeSpec) else None
        self.register_buffer("codebook", torch.zeros(codes if dimension else 0, dimension or 0))

    @property
    def positions(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def mean_squared_norm(self) -> float:
        """Mean squared norm of the D numbers of a position, which the scale of random weights depends on."""
        return 1.0 if self.kind == "onehot" else float(self.width)

    @property
    def is_discrete(self) -> bool:
        """Whether each position has one of C vectors (`vectors`)."""
        return self.kind in ("onehot", "embedding")

    def fit(self, samples: SampleBatches, codebook: Tensor | None) -> None:
        """Fits mean and standard deviation of the training samples (N, ...) as stored; a constant gets deviation 1."""
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
            if self.codes == 0:  # stored as bytes; models get values from 0 to 1
                mean, variance = mean / 255, variance / 255**2
        else:
            return
        varies = variance > 1e-12 * (variance + mean.square())  # a smaller variance is a rounding error
        self.mean.copy_(mean.view_as(self.mean))
        self.std.copy_(torch.where(varies, variance.sqrt(), 1.0).view_as(self.std))

    def vectors(self) -> Tensor:
        """The D numbers of a position for each code, (C, D)."""
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
    """Mean and variance over the first axis of (N, ...), flattened with positions before channels, in float64."""
    count = len(samples)

    def rows() -> Iterator[Tensor]:
        return (part.double() for part in samples.split(chunk))

    mean = torch.stack([part.sum(dim=0) for part in rows()]).sum(dim=0) / count
    variance = torch.stack([(part - mean).square().sum(dim=0) for part in rows()]).sum(dim=0) / count
    if mean.dim() == 3:  # channels, height, width
        mean, variance = (statistic.permute(1, 2, 0) for statistic in (mean, variance))
    return mean.flatten(), variance.flatten()
