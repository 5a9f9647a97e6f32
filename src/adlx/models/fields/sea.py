"""Transformer along time in the latents of physical fields, a stream for each group, with exchange between them.

Esmati et al. (2024), "SEA: State-Exchange Attention for High-Fidelity Physics Based Transformers", figure 2a. A frozen
autoencoder makes latents z_i (T, L) of each group of fields. In a block each group attends to its own past, the groups
exchange information (`adlx.models.fields.exchange`), the numbers of the trajectory c, such as its Reynolds number,
come in (figure 2b), and a perceptron follows,

    h_i = z_i E_i
    h_i = h_i + attention(norm(h_i)),   h_i = h_i + exchange(h),   h_i = h_i + mlp(norm(h_i) (1 + scale(c)) + shift(c))
    z_i(t + 1) = z_i(t) + norm(h_i(t)) O_i

O, scale and shift are zero at the start: an untrained model forecasts that nothing moves. In a rollout a step is fed
with what came out of the one before, and computed alone, from the keys and values of all before it (`Cache`).

Shapes: B batch, T time, k seed frames, C cells, F fields, G groups, L latents of a group, D width, P parameters.
"""

from typing import Literal, Self

import torch
from torch import Tensor, nn

from adlx.models.fields.causal import Cache, once
from adlx.models.fields.exchange import Addition, Exchange, Pooling, StateExchange
from adlx.models.fields.interfaces import FieldAutoencoder, TrainingPart
from adlx.models.fields.sea_block import Attend, Conditioning, Feed, SEABlock, zero
from adlx.models.fields.stepwise import Stepwise, check_stepwise
from adlx.ranges import Count, CountOrZero, NonNegative, Share, Size
from adlx.specs import FieldSpec

Kind = Literal["sea", "addition", "pool", "none"]
FRAMES = 64
"""Frames that go through the autoencoder at once where a whole trajectory is read."""


class SEA(Stepwise):
    """The forecaster.

    To compare exchanges at equal numbers of parameters, set `feedforward`: a unit more of it is 2 D + 1 parameters for
    each group and block.

    Args:
        spec: of the fields, from the data.
        autoencoder: trained, of the same fields; it is frozen.
        width: D, a multiple of 2 heads.
        blocks, heads: how many.
        feedforward: width of the perceptron's inside; None: 4 D.
        exchange: `sea`, state-exchange attention; `addition` or `pool`, of the others at the same time step; `none`.
        ratio: r, by which `sea` narrows hidden states: to D / r, rounded to a multiple of 2 heads.
        order: whether groups exchange all at once, `parallel`, or one after the other, `sequential`.
        conditioning: how parameters come in: `adaln`, as above, or `added` to the hidden states before the perceptron.
        seed_frames: k. The loss is of the frames after them.
        noise, pushforward: against drift, see `Stepwise`; of standardised latents.
        dropout: on attention weights, and on what attention and perceptron add.

    Raises:
        ValueError: values out of range, exchange with one group alone, an autoencoder of other fields.
    """

    latent_mean: Tensor
    latent_std: Tensor
    parameter_mean: Tensor
    parameter_std: Tensor

    def __init__(
        self,
        spec: FieldSpec,
        autoencoder: FieldAutoencoder,
        width: Size = 256,
        blocks: Count = 1,
        heads: Count = 8,
        feedforward: Size | None = None,
        exchange: Kind = "sea",
        ratio: Size = 8,
        order: Literal["parallel", "sequential"] = "parallel",
        conditioning: Conditioning = "adaln",
        seed_frames: Size = 1,
        noise: NonNegative = 0.1,
        pushforward: CountOrZero = 0,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__(spec)
        groups, num_parameters = len(spec.groups), len(spec.parameters)
        sizes = {"blocks": blocks, "heads": heads, "ratio": ratio, "seed_frames": seed_frames}
        check_sizes({**sizes, "feedforward": 1 if feedforward is None else feedforward}, width)
        check_stepwise(noise, pushforward)
        check_fields(spec, autoencoder.spec, exchange)
        self.seed_frames, self.noise, self.pushforward = seed_frames, noise, pushforward
        self.autoencoder = autoencoder.requires_grad_(False).eval()
        latents = autoencoder.latents
        self.register_buffer("latent_mean", torch.zeros(groups, latents))
        self.register_buffer("latent_std", torch.ones(groups, 1))
        self.register_buffer("parameter_mean", torch.zeros(num_parameters))
        self.register_buffer("parameter_std", torch.ones(num_parameters))
        self.embedding = nn.ModuleList(nn.Linear(latents, width) for _ in range(groups))
        self.condition = (
            nn.Sequential(nn.Linear(num_parameters, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
            if num_parameters
            else None
        )
        low = 2 * heads * max(1, round(width / ratio / (2 * heads)))

        def exchanged() -> Exchange | None:
            if exchange == "sea":
                return StateExchange(groups, order == "sequential", width, low, heads, dropout)
            kinds = {"addition": Addition, "pool": Pooling}
            return None if exchange == "none" else kinds[exchange](groups, order == "sequential", width)

        def block() -> SEABlock:
            attention = [Attend(width, heads, dropout) for _ in range(groups)]
            inner, way = feedforward or 4 * width, conditioning if num_parameters else None
            return SEABlock(attention, exchanged(), [Feed(width, inner, way, dropout) for _ in range(groups)])

        self.blocks = nn.ModuleList(block() for _ in range(blocks))
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(groups))
        self.change = nn.ModuleList(zero(nn.Linear(width, latents)) for _ in range(groups))

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.autoencoder.eval()
        return self

    def fit_latents(self, mean: Tensor, std: Tensor) -> None:
        """Takes the mean (G, L) and deviation (G, 1) of the latents of the training part."""
        self.latent_mean.copy_(mean)
        self.latent_std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def fit_parameters(self, parameters: Tensor) -> None:
        """Takes mean and deviation of the parameters (N, P) of the training trajectories; a constant one becomes 0."""
        self.parameter_mean.copy_(parameters.double().mean(dim=0))
        std = parameters.double().std(dim=0, correction=0)
        self.parameter_std.copy_(torch.where(std > 1e-6 * parameters.double().abs().amax(dim=0), std, 1.0))

    @torch.no_grad()
    def solve(self, data: TrainingPart) -> None:
        """Takes the scales of latents and parameters. A group has one deviation, so that in its latents, as the
        autoencoder made them, what matters little stays little."""
        self.fit_parameters(torch.as_tensor(data.training_parameters()))
        count, total, squares = 0, 0.0, 0.0
        for trajectory in data.snapshots():
            for frames in torch.as_tensor(trajectory).to(self.latent_mean).split(FRAMES):
                latents = self.autoencoder.encode(frames).double()  # (T, G, L)
                count += len(latents)
                total, squares = total + latents.sum(dim=0), squares + latents.square().sum(dim=0)
        mean = torch.as_tensor(total / count)
        variance = (torch.as_tensor(squares / count) - mean.square()).clamp(min=0).mean(dim=1, keepdim=True)
        self.fit_latents(mean, variance.sqrt())

    @torch.no_grad()
    def encode(self, fields: Tensor) -> Tensor:
        """Physical fields (B, T, C, F) to standardised latents (B, T, G, L)."""
        latents = self.autoencoder.encode(fields.flatten(0, 1)).unflatten(0, fields.shape[:2])
        return (latents - self.latent_mean) / self.latent_std

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Standardised latents (B, T, G, L) to physical fields (B, T, C, F)."""
        found = self.autoencoder.decode((latents * self.latent_std + self.latent_mean).flatten(0, 1))
        return found.unflatten(0, latents.shape[:2])

    def forward(self, latents: Tensor, parameters: Tensor, cache: Cache | None = None) -> Tensor:
        """The latents that follow each of these, (B, T, G, L) both, from itself and those before it.

        Args:
            latents: standardised.
            parameters: (B, P), as the data give them.
            cache: of the steps before these; is extended.
        """
        condition = None
        if self.condition is not None:
            standardized = (parameters - self.parameter_mean) / self.parameter_std
            condition = once(cache, self.condition, standardized)[:, None]  # (B, 1, D)
        hidden = [layer(part) for layer, part in zip(self.embedding, latents.unbind(2), strict=True)]
        for block in self.blocks:
            hidden = block(hidden, condition, cache)
        if cache is not None:
            cache.steps += latents.shape[1]
        change = [layer(norm(states)) for layer, norm, states in zip(self.change, self.norm, hidden, strict=True)]
        return latents + torch.stack(change, dim=2)

    def prepare(self, window: Tensor) -> Tensor:
        return self.encode(window)

    def prepared_loss(self, prepared: Tensor, parameters: Tensor) -> Tensor:
        return self.step_loss(prepared, parameters)

    def loss(self, window: Tensor, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.step_loss(self.encode(window), parameters, generator)

    def follow(self, states: Tensor, parameters: Tensor) -> Tensor:
        return self(states, parameters)[:, self.seed_frames - 1 :]

    def rollout(self, seed: Tensor, steps: int, parameters: Tensor) -> Tensor:
        return self.decode(self.unroll(self.encode(self.known(seed)), steps, parameters))

    @torch.no_grad()
    def unroll(self, latents: Tensor, steps: int, parameters: Tensor, cached: bool = True) -> Tensor:
        """The standardised latents (B, steps, G, L) that follow these (B, k, G, L). Without the cache each step is
        computed from all before it again: the same numbers, slower."""
        cache = Cache(latents.shape[1] + steps) if cached else None
        found = [latents]
        for _ in range(steps):
            found.append(self(found[-1] if cached else torch.cat(found, dim=1), parameters, cache)[:, -1:])
        return torch.cat(found[1:], dim=1)


def check_sizes(sizes: dict[str, int], width: int) -> None:
    """Raises ValueError where a number is out of range."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"model.{name}={size}: must be at least 1")
    if width % (2 * sizes["heads"]):
        raise ValueError(f"model.width={width} must be a multiple of twice model.heads={sizes['heads']}")


def check_fields(spec: FieldSpec, known: FieldSpec, exchange: Kind) -> None:
    """Raises ValueError where there is nothing to exchange, or the autoencoder knows other fields."""
    groups = len(spec.groups)
    if groups < 2 and exchange != "none":
        raise ValueError(f"model.exchange={exchange} needs two groups of fields, the data have {groups}: use none")
    if (known.fields, known.groups, known.cells) != (spec.fields, spec.groups, spec.cells):
        raise ValueError(
            f"model.autoencoder is of {', '.join(known.fields)} in groups {known.groups} at {known.cells} cells; "
            f"the data have {', '.join(spec.fields)} in {spec.groups} at {spec.cells}"
        )
