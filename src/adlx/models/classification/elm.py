"""Extreme learning machine: a fixed random hidden layer, and a readout with a closed-form solution.

Huang, Zhu, Siew (2006), "Extreme learning machine: theory and applications", equations 3 to 7: with N samples x,

    H = g(x W + b)   (N, L), W and b random,      beta = argmin ||H beta - Y||   (L, K), Y one-hot

van Heeswijk, Miche (2015), "Binary/ternary extreme learning machines": W and b in {-1, +1}.
Huang et al. (2015), "Local receptive fields based extreme learning machine": each hidden
unit is connected to a square of the input.

If each position of the input has one of C vectors v, x W is a sum of rows of the table v W, one for each position, so
no large matrix product is needed. `adlx.tasks.closed_form` fits the readout.

Shapes: B batch, P positions, D numbers of a position, F side of a square, S squares, U units of a square, L hidden
units (at most S U), R readouts, K classes, C codes.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from adlx.models.classification.classifier import Classifier, Input
from adlx.ranges import Positive, Size
from adlx.specs import CodeSpec, ImageSpec, SampleBatches

Weights = Literal["gaussian", "binary"]
Activation = Literal["tanh", "sigmoid", "relu"]
Regularization = Literal["none", "ridge", "lasso", "elasticnet"]


class ELM(Classifier):
    """The classifier; its scores are 0 before its readout is fitted.

    Args:
        spec: of images or code maps, from the data.
        hidden: L, units of the random layer.
        weights: `gaussian`, or `binary`, -1 or +1, stored as one bit each.
        activation: g.
        scale: standard deviation of x W and of b; weights are divided by the square root of the fan-in and multiplied
            by this.
        field: F, the side of the square of positions that a unit is connected to; None: all positions; `auto`: a
            quarter of the shorter side of the input.
        readout: how beta is fitted: `none`, least squares of minimum norm, `ridge`, `lasso` or `elasticnet`. All
            readouts of a list are fitted in one pass, and the best in validation is used.
        input: how samples are converted to numbers, see `Inputs`.
    """

    fields: Tensor
    weight: Tensor
    offset: Tensor
    chosen: Tensor
    projection: Tensor

    def __init__(
        self,
        spec: ImageSpec | CodeSpec,
        hidden: Size = 1500,
        weights: Weights = "gaussian",
        activation: Activation = "tanh",
        scale: Positive = 1.0,
        field: Size | Literal["auto"] | None = "auto",
        readout: Regularization | list[Regularization] = "ridge",
        input: Input = "auto",
    ) -> None:
        super().__init__(spec, input)
        self.readouts: list[Regularization] = [readout] if isinstance(readout, str) else list(readout)
        if not self.readouts or len(set(self.readouts)) < len(self.readouts):
            raise ValueError(f"model.readout={self.readouts}: must have at least one readout, and each only once")
        if hidden < 1 or scale <= 0:
            raise ValueError(f"model.hidden={hidden} and model.scale={scale} must be above 0")
        shorter = min(self.inputs.grid)
        side = max(1, shorter // 4) if field == "auto" else field
        if side is not None and not 1 <= side <= shorter:
            raise ValueError(f"model.field={field}: must be from 1 to {shorter}, or null for the whole input")
        self.hidden, self.weights = hidden, weights
        self.activate = {"tanh": torch.tanh_, "sigmoid": torch.sigmoid_, "relu": torch.relu_}[activation]
        self.register_buffer("fields", square_positions(self.inputs.grid, side), persistent=False)  # (S, F F)
        squares, size = map(int, self.fields.shape)
        self.units = -(-hidden // squares)  # the last squares have one unit fewer if S does not divide L
        self.shape = shape = (squares, size, self.inputs.width, self.units)
        self.deviation = scale / math.sqrt(size * self.inputs.mean_squared_norm)
        random_weight, offset = torch.randn(shape), torch.randn(hidden)
        is_binary = weights == "binary"
        self.register_buffer("weight", pack(random_weight) if is_binary else random_weight)
        self.register_buffer("offset", scale * (offset.sign() if is_binary else offset))
        self.register_buffer("chosen", torch.tensor(0))
        self.register_buffer("projection", torch.empty(0), persistent=False)
        self.beta = nn.Parameter(torch.zeros(len(self.readouts), hidden, len(spec.classes)))
        self.register_load_state_dict_post_hook(lambda module, _: module.project())

    @property
    def num_fixed_weights(self) -> int:
        """Number of random weights, which are not fitted."""
        return math.prod(self.shape) + self.hidden

    def fit_inputs(self, samples: SampleBatches, codebook: Tensor | None) -> None:
        super().fit_inputs(samples, codebook)
        self.project()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Moves the model to another device or precision, and computes the projection again there."""
        super()._apply(fn, recurse)
        if self.projection.numel():
            self.project()
        return self

    @torch.no_grad()
    def project(self) -> None:
        """Computes the projection from weights and statistics: a table of codes, or a matrix."""
        weight = unpack(self.weight, self.shape) if self.weights == "binary" else self.weight
        weight = weight.to(self.inputs.mean.dtype) * self.deviation
        squares, size, width, units = self.shape
        if self.inputs.is_discrete:
            table = weight if self.inputs.kind == "onehot" else torch.matmul(self.inputs.vectors(), weight)
            self.projection = table.reshape(-1, units)  # (S F F C, U)
        else:
            matrix = weight.new_zeros(self.inputs.positions, width, squares, units)
            matrix[self.fields.flatten(), :, torch.arange(squares).repeat_interleave(size)] = weight.flatten(0, 1)
            self.projection = matrix.view(self.inputs.positions * width, squares * units)  # (P D, S U)

    def features(self, sample: Tensor) -> Tensor:
        """Hidden features H (B, L) of images or codes."""
        if self.inputs.is_discrete:
            squares, size, _, units = self.shape
            codes = sample.flatten(1)[:, self.fields]  # (B, S, F F)
            rows = torch.arange(squares * size, device=sample.device).view(squares, size) * self.inputs.codes
            summed = embedding_bag((codes + rows).flatten(0, 1), self.projection, mode="sum")
            summed = summed.view(len(sample), squares, units)
        else:
            summed = (self.inputs(sample).flatten(1) @ self.projection).view(len(sample), -1, self.units)
        # The first units of all squares come first, so that the S U - L surplus units belong to different squares.
        summed = summed.transpose(1, 2).flatten(1)[:, : self.hidden]
        return self.activate(summed + self.offset)

    def forward(self, sample: Tensor) -> Tensor:
        return self.features(sample) @ self.beta[self.chosen]


def square_positions(grid: tuple[int, int], side: int | None) -> Tensor:
    """The positions of every square of a grid, (S, F F); without a side, all positions, (1, P)."""
    positions = torch.arange(grid[0] * grid[1]).view(grid)
    if side is None:
        return positions.view(1, -1)
    return positions.unfold(0, side, 1).unfold(1, side, 1).reshape(-1, side * side)


BITS = 2 ** torch.arange(8, dtype=torch.uint8)


def pack(signs: Tensor) -> Tensor:
    """Stores the signs of up to 8 n numbers as bits of n bytes; a positive number is 1."""
    bits = (signs.flatten() > 0).to(torch.uint8)
    bits = torch.cat([bits, bits.new_zeros(-len(bits) % 8)]).view(-1, 8)
    return (bits * BITS).sum(dim=1, dtype=torch.uint8)


def unpack(packed: Tensor, shape: Sequence[int]) -> Tensor:
    """Signs, -1 and +1, of the given shape from the bytes of `pack`."""
    bits = packed[:, None].bitwise_and(BITS.to(packed.device)).ne(0)
    return (bits.flatten()[: math.prod(shape)].view(*shape) * 2 - 1).to(torch.int8)
