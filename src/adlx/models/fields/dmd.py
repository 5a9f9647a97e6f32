"""Dynamic mode decomposition: the best linear map of a few modes of the fields from one time step to the next.

Schmid (2010), "Dynamic mode decomposition of numerical and experimental data"; Tu et al. (2014), "On dynamic mode
decomposition: theory and applications". The map is fitted by least squares to all pairs of successive snapshots. U
are the leading r modes (POD) of the fields x minus their mean m, in units of the standard deviation of each field,

    y_t = U^T (x_t - m),   s_t = (1, y_t, y_(t-1), ..., y_(t-k+1)),   K = argmin sum over pairs |s_(t+1) - K s_t|^2

The 1 in the state lets the map add a constant, which data minus their mean need (Hirsh et al., 2020, "Centering data
improves the dynamic mode decomposition"). k time steps in the state distinguish frames that look the same but move
differently, as in a standing wave (Arbabi, Mezic, 2017, "Ergodic theory, dynamic mode decomposition, and computation
of spectral properties of the Koopman operator"). Both snapshots of a pair are from the same trajectory. All
trajectories have the same map, also if their parameters differ.

Shapes: B batch, T time, k seed frames, C cells, F fields, r modes, n = 1 + k r numbers of a state.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from adlx.models.fields.interfaces import FieldForecaster, TrainingPart
from adlx.ranges import Size
from adlx.specs import FieldSpec

NOISE = 1e-6
"""Singular values below this share of the largest are rounding errors."""
FRAMES = 256
"""How many snapshots are decomposed at once."""


class DMD(FieldForecaster):
    """The forecaster; its forecast is zero before `fit_closed_form`.

    Args:
        spec: of the fields, from the data.
        rank: r; if the data have fewer modes, the others stay zero.
        seed_frames: k, how many time steps make a state.
        stable: move eigenvalues of K outside of the unit circle onto it, so that no rollout grows without limit.
    """

    mean: Tensor
    std: Tensor
    modes: Tensor
    operator: Tensor

    def __init__(self, spec: FieldSpec, rank: Size = 32, seed_frames: Size = 1, stable: bool = True) -> None:
        super().__init__(spec)
        if rank < 1 or seed_frames < 1:
            raise ValueError(f"model.rank={rank} and model.seed_frames={seed_frames} must be at least 1")
        self.rank, self.seed_frames, self.stable = rank, seed_frames, stable
        size, states = spec.cells * len(spec.fields), 1 + seed_frames * rank
        self.register_buffer("mean", torch.zeros(spec.cells, len(spec.fields)))
        self.register_buffer("std", torch.ones(len(spec.fields)))
        self.register_buffer("modes", torch.zeros(rank, size))
        self.register_buffer("operator", torch.zeros(states, states))

    @torch.no_grad()
    def fit_closed_form(self, data: TrainingPart) -> None:
        """Fits the mean, the modes and the map; each reads all training trajectories once, one at a time.

        Raises:
            ValueError: no trajectory has more than k steps.
        """

        def trajectories() -> Iterator[Tensor]:
            return (torch.as_tensor(values).to(self.mean) for values in data.snapshots())

        mean, std = mean_and_deviation(trajectories())
        self.mean.copy_(mean)
        self.std.copy_(std)
        modes = leading_modes(trajectories(), self.mean, self.std, self.rank)
        self.modes.zero_()[: len(modes)] = modes
        reduced = [self.reduce(frames)[:, : len(modes)].double() for frames in trajectories()]
        fitted = fit_operator(reduced, self.seed_frames, self.stable)
        steps = torch.arange(self.seed_frames)[:, None] * self.rank
        used = torch.cat([torch.zeros(1), (1 + steps + torch.arange(len(modes))).flatten()]).long().to(self.mean.device)
        self.operator.zero_()[used[:, None], used] = fitted.to(self.operator)

    def reduce(self, frames: Tensor) -> Tensor:
        """y (..., r) of physical frames (..., C, F)."""
        return ((frames - self.mean) / self.std).flatten(-2) @ self.modes.T

    def rollout(self, seed: Tensor, steps: int, parameters: Tensor) -> Tensor:
        state = states(self.reduce(self.last_seed_frames(seed)), self.seed_frames)[:, -1]  # (B, n)
        predictions = []
        for _ in range(steps):
            state = state @ self.operator.T
            predictions.append(state[:, 1 : 1 + self.rank])
        fluctuation = (torch.stack(predictions, dim=1) @ self.modes).unflatten(-1, self.mean.shape)
        return fluctuation * self.std + self.mean


def mean_and_deviation(trajectories: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean (C, F) over time, and standard deviation (F,) of each field; 1 if a field is constant."""
    count, total, squares = 0, 0.0, 0.0
    for frames in trajectories:
        wide = frames.double()
        count += len(wide)
        total, squares = total + wide.sum(dim=0), squares + wide.square().sum(dim=0)
    mean, power = torch.as_tensor(total / count), torch.as_tensor(squares / count)
    variance = (power - mean.square()).clamp(min=0).mean(dim=0)
    return mean, torch.where(variance > 1e-12 * power.mean(dim=0), variance.sqrt(), 1.0)


def leading_modes(trajectories: Iterable[Tensor], mean: Tensor, std: Tensor, rank: int) -> Tensor:
    """(r or fewer, C F) orthonormal rows, the leading right singular vectors of all snapshots.

    Snapshots are read in parts. After each part the 4 r leading singular vectors are kept, each scaled by its singular
    value, and decomposed together with the next part. The result is approximate if the data have more modes than that.
    """
    kept = torch.zeros(0, mean.numel(), dtype=torch.float64, device=mean.device)
    for frames in trajectories:
        for part in ((frames - mean) / std).flatten(1).split(FRAMES):
            rows = torch.cat([kept, part.double()])
            _, vectors = torch.linalg.eigh(rows @ rows.T)  # in ascending order
            kept = vectors.flip(1)[:, : 4 * rank].T @ rows
    sizes = kept.norm(dim=1)
    chosen = sizes[:rank] > NOISE * sizes.max()
    return kept[:rank][chosen] / sizes[:rank][chosen, None]


def states(reduced: Tensor, delays: int) -> Tensor:
    """s (..., T - k + 1, 1 + k r) of y (..., T, r)."""
    windows = reduced.unfold(-2, delays, 1).flip(-1).transpose(-1, -2).flatten(-2)  # newest first
    return torch.cat([torch.ones_like(windows[..., :1]), windows], dim=-1)


def fit_operator(reduced: Sequence[Tensor], delays: int, stable: bool) -> Tensor:
    """The least-squares K (n, n), float64, of trajectories y (T, r)."""
    pairs = [states(part, delays) for part in reduced if len(part) > delays]
    if not pairs:
        raise ValueError(f"no training trajectory has more than model.seed_frames={delays} steps")
    before, after = (torch.cat([part[span] for part in pairs]) for span in (slice(-1), slice(1, None)))
    scale = before.square().mean(dim=0).sqrt()  # weak modes must not fall below the limit NOISE
    scale = torch.where(scale > 0, scale, 1.0)
    matrix = after.T / scale[:, None] @ torch.linalg.pinv((before / scale).T, rtol=NOISE)
    if stable:
        matrix = stabilize(matrix)
    return matrix * scale[:, None] / scale


def stabilize(matrix: Tensor) -> Tensor:
    """Replaces each eigenvalue l of the matrix with |l| above 1 by l / |l|; the eigenvectors stay.

    If eigenvectors are too close to parallel for that, the matrix is divided by its largest |l|.
    """
    values, vectors = torch.linalg.eig(matrix)
    sizes = values.abs()
    if sizes.max() <= 1:
        return matrix
    inverse = torch.linalg.pinv(vectors)
    if ((vectors * values) @ inverse - matrix).abs().max() > NOISE * matrix.abs().max():
        return matrix / sizes.max()
    return ((vectors * (values / sizes.clamp(min=1))) @ inverse).real
