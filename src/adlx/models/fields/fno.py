"""Fourier neural operator: predicts the change of fields from frame to frame by convolutions as wide as the grid.

Li et al. (2021), "Fourier Neural Operator for Parametric Partial Differential Equations", arXiv 2010.08895, in the
implementation of the package `neuraloperator`. A perceptron P computes D channels from the last k frames x, the
parameters c of the trajectory, such as its Reynolds number, and the position of each cell. In a block the lowest
frequencies of the channels are multiplied by complex weights R, different for each frequency; all other operations
act on each cell separately,

    v = P(x_(t-k+1), ..., x_t, c, position)
    h = gelu(F^-1(R F v) + W v),   v = gelu(mlp(h) + g v)
    x_(t+1) = x_t + Q(v)

with F the Fourier transform, W and g a matrix and a gain for each channel, no gelu in the last block, and Q a
perceptron. Its last layer is zero at the start: an untrained model forecasts that nothing moves. F assumes that
the grid is periodic; the operations on single cells must correct the error at its edges.

Shapes: B batch, T time, k seed frames, C cells, F fields, P parameters, D width, N windows of k frames.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from adlx.models.fields.dmd import mean_and_deviation
from adlx.models.fields.interfaces import TrainingPart
from adlx.models.fields.stepwise import Stepwise, check_stepwise
from adlx.ranges import Count, CountOrZero, NonNegative, Size
from adlx.specs import FieldSpec

WINDOWS_AT_ONCE = 8
"""How many windows a CPU computes at once: 120 windows of 64 x 128 cells take 2.5 times as long in one pass."""


class FNO(Stepwise):
    """The forecaster.

    Args:
        spec: of the fields, from the data.
        modes: the highest frequencies kept along rows and columns, in waves per grid; at most half of its cells.
        width: D.
        blocks: number of blocks.
        seed_frames: k; the loss is computed on the frames after them.
        noise, pushforward: for stable rollouts, see `Stepwise`; noise is added to standardized frames.

    Raises:
        ValueError: a value is out of range, the fields have no grid, or `neuraloperator` is not installed.
    """

    mean: Tensor
    std: Tensor
    parameter_mean: Tensor
    parameter_std: Tensor

    def __init__(
        self,
        spec: FieldSpec,
        modes: tuple[Size, Size] = (12, 12),
        width: Size = 32,
        blocks: Count = 4,
        seed_frames: Size = 1,
        noise: NonNegative = 0.0,
        pushforward: CountOrZero = 0,
    ) -> None:
        super().__init__(spec)
        self.grid = checked_grid(spec, modes)
        for name, size in {"width": width, "blocks": blocks, "seed_frames": seed_frames}.items():
            if size < 1:
                raise ValueError(f"model.{name}={size}: must be at least 1")
        check_stepwise(noise, pushforward)
        self.seed_frames, self.noise, self.pushforward = seed_frames, noise, pushforward
        self.window = seed_frames + pushforward + 1
        fields, num_parameters = len(spec.fields), len(spec.parameters)
        self.register_buffer("mean", torch.zeros(fields))
        self.register_buffer("std", torch.ones(fields))
        self.register_buffer("parameter_mean", torch.zeros(num_parameters))
        self.register_buffer("parameter_std", torch.ones(num_parameters))
        self.network = make_network(modes, seed_frames * fields + num_parameters, fields, width, blocks)
        self.register_state_dict_post_hook(remove_metadata)

    @torch.no_grad()
    def fit_closed_form(self, data: TrainingPart) -> None:
        """Fits mean and standard deviation of each field, over all cells and frames, and of each parameter."""
        parts = (torch.as_tensor(values).flatten(0, 1)[:, None] for values in data.snapshots())  # (T C, 1, F)
        parameters = torch.as_tensor(data.training_parameters())[:, None]
        for mean, std, fitted in (
            (self.mean, self.std, mean_and_deviation(parts)),
            (self.parameter_mean, self.parameter_std, mean_and_deviation([parameters])),
        ):
            mean.copy_(fitted[0][0])
            std.copy_(fitted[1])

    def standardize(self, fields: Tensor) -> Tensor:
        """Physical fields (..., F) to mean 0 and standard deviation 1."""
        return (fields - self.mean) / self.std

    def forward(self, frames: Tensor, parameters: Tensor) -> Tensor:
        """Predicts the frame after each k consecutive ones, (B, T - k + 1, C, F), of standardized frames (B, T, C, F).

        It is computed in float32 also under autocast.

        Args:
            frames: T at least k.
            parameters: (B, P), in the units of the data.

        Raises:
            ValueError: the frames have half precision.
        """
        if frames.dtype not in (torch.float32, torch.float64):
            raise ValueError("Fourier transforms of model=fno need trainer.precision=32-true or bf16-mixed")
        windows = frames.unfold(1, self.seed_frames, 1).permute(0, 1, 4, 3, 2)  # (B, T - k + 1, k, F, C)
        count = windows.shape[1]
        channels = windows.flatten(0, 1).flatten(1, 2).unflatten(-1, self.grid)  # (N, k F, rows, columns)
        condition = (parameters - self.parameter_mean) / self.parameter_std
        condition = condition.repeat_interleave(count, dim=0)[:, :, None, None].expand(-1, -1, *self.grid)
        channels = torch.cat([channels, condition], dim=1)
        with torch.autocast(channels.device.type, enabled=False):
            parts = channels.split(WINDOWS_AT_ONCE) if channels.device.type == "cpu" else [channels]
            change = torch.cat([self.network(part) for part in parts])  # (N, F, rows, columns)
        return frames[:, self.seed_frames - 1 :] + change.flatten(2).transpose(1, 2).unflatten(0, (-1, count))

    def next_states(self, states: Tensor, parameters: Tensor) -> Tensor:
        return self(states, parameters)

    def loss(self, window: Tensor, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.step_loss(self.standardize(window), parameters, generator)

    @torch.no_grad()
    def rollout(self, seed: Tensor, steps: int, parameters: Tensor) -> Tensor:
        frames, predictions = self.standardize(self.last_seed_frames(seed)), []
        for _ in range(steps):
            predictions.append(self(frames, parameters))
            frames = torch.cat([frames, predictions[-1]], dim=1)[:, 1:]
        return torch.cat(predictions, dim=1) * self.std + self.mean


def checked_grid(spec: FieldSpec, modes: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the grid. Raises ValueError if there is no grid, or it is too small for the modes."""
    if spec.grid is None:
        raise ValueError(
            "model=fno needs fields on a grid, and the cells of these data form none: use model=sea or model=dmd"
        )
    rows, columns = spec.grid
    if not (1 <= modes[0] <= rows // 2 and 1 <= modes[1] <= columns // 2):
        raise ValueError(
            f"model.modes={list(modes)}: must be from [1,1] to [{rows // 2},{columns // 2}] "
            f"on a grid of {rows} x {columns}"
        )
    return rows, columns


def make_network(modes: tuple[int, int], channels: int, fields: int, width: int, blocks: int) -> nn.Module:
    """The network from channels (N, channels, rows, columns) to (N, fields, rows, columns), zero at the start.

    Raises:
        ValueError: the package is not installed.
    """
    try:
        with warnings.catch_warnings():  # the package changes the filter of the whole process
            from neuralop.models import FNO as Network  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise ValueError("model=fno needs another package: pip install 'adlx[fno]'") from None
    network: Any = Network(
        n_modes=tuple(2 * mode for mode in modes),  # the package also counts negative frequencies
        in_channels=channels,
        out_channels=fields,
        hidden_channels=width,
        n_layers=blocks,
        factorization="ComplexDense",  # stores complex weights as pairs of real numbers, which every optimizer supports
    )
    last = network.projection.fcs[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return network


def remove_metadata(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Removes classes and functions that the package adds to its state: a checkpoint must hold only tensors."""
    state.pop("_metadata", None)
