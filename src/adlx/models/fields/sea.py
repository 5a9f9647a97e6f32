"""Transformer along time on latents of physical fields; groups of fields exchange information in each block.

Esmati et al. (2024), "SEA: State-Exchange Attention for High-Fidelity Physics Based Transformers", figure 2a. A frozen
autoencoder computes latents z_i (T, L) of each group of fields. In a block each group attends to its own past, the
groups exchange information (`adlx.models.fields.exchange`), and a perceptron follows, which is conditioned on the
parameters c of the trajectory, such as its Reynolds number (figure 2b),

    h_i = z_i E_i
    h_i = h_i + attention(norm(h_i)),   h_i = h_i + exchange(h),   h_i = h_i + mlp(norm(h_i) (1 + scale(c)) + shift(c))
    z_i(t + 1) = z_i(t) + norm(h_i(t)) O_i

O, scale and shift are zero at the start: an untrained model forecasts that nothing moves. In a rollout the input of a
step is the prediction of the step before. A `Cache` stores the keys and values of earlier steps, so that only the new
step is computed.

Shapes: B batch, T time, k seed frames, C cells, F fields, G groups, L latents of a group, D width, P parameters.
"""

from typing import Literal, Self

import torch
from torch import Tensor, nn

from adlx.models.fields.causal import Cache, compute_once
from adlx.models.fields.exchange import Addition, Exchange, Pooling, StateExchange
from adlx.models.fields.interfaces import FieldAutoencoder, TrainingPart
from adlx.models.fields.sea_block import AttentionLayer, Conditioning, FeedForward, SEABlock, zero_init
from adlx.models.fields.stepwise import Stepwise, check_stepwise
from adlx.ranges import Count, CountOrZero, NonNegative, Share, Size
from adlx.specs import FieldSpec

ExchangeName = Literal["sea", "addition", "pool", "none"]
FRAMES = 64
"""How many frames the autoencoder encodes at once when a whole trajectory is read."""


class SEA(Stepwise):
    """The forecaster.

    To compare exchanges with equal numbers of parameters, change `feedforward`: one more unit adds 2 D + 1 parameters
    to each group and block.

    Args:
        spec: of the fields, from the data.
        autoencoder: trained on the same fields; its weights stay frozen.
        width: D, a multiple of 2 heads.
        blocks, heads: their numbers.
        feedforward: hidden units of the perceptron; None: 4 D.
        exchange: `sea`, state-exchange attention; `addition` or `pool` of the hidden states of all groups at the same
            time step; `none`.
        ratio: r; `sea` projects hidden states to width D / r, rounded to a multiple of 2 heads.
        order: `parallel`, all groups exchange at once; `sequential`, one group after the other.
        conditioning: how parameters are used: `adaln`, scale and shift as above; `added`, added to the hidden states
            before the perceptron.
        seed_frames: k; the loss is computed on the frames after them.
        noise, pushforward: for stable rollouts, see `Stepwise`; noise is added to standardized latents.
        dropout: on attention weights and on the outputs of attention and perceptron.

    Raises:
        ValueError: a value is out of range, there is an exchange but only one group, or the autoencoder was trained on
            other fields.
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
        exchange: ExchangeName = "sea",
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

        def make_exchange() -> Exchange | None:
            if exchange == "sea":
                return StateExchange(groups, order == "sequential", width, low, heads, dropout)
            classes = {"addition": Addition, "pool": Pooling}
            return None if exchange == "none" else classes[exchange](groups, order == "sequential", width)

        def make_block() -> SEABlock:
            attention = [AttentionLayer(width, heads, dropout) for _ in range(groups)]
            units, kind = feedforward or 4 * width, conditioning if num_parameters else None
            return SEABlock(
                attention, make_exchange(), [FeedForward(width, units, kind, dropout) for _ in range(groups)]
            )

        self.blocks = nn.ModuleList(make_block() for _ in range(blocks))
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(groups))
        self.change = nn.ModuleList(zero_init(nn.Linear(width, latents)) for _ in range(groups))

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.autoencoder.eval()
        return self

    def fit_latents(self, mean: Tensor, std: Tensor) -> None:
        """Stores mean (G, L) and standard deviation (G, 1) of the latents of the training part."""
        self.latent_mean.copy_(mean)
        self.latent_std.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def fit_parameters(self, parameters: Tensor) -> None:
        """Stores mean and standard deviation of the parameters (N, P) of the training trajectories.

        A constant parameter becomes 0, because its deviation is stored as 1.
        """
        self.parameter_mean.copy_(parameters.double().mean(dim=0))
        std = parameters.double().std(dim=0, correction=0)
        self.parameter_std.copy_(torch.where(std > 1e-6 * parameters.double().abs().amax(dim=0), std, 1.0))

    @torch.no_grad()
    def fit_closed_form(self, data: TrainingPart) -> None:
        """Fits the scales of latents and parameters.

        All latents of a group have the same scale, so that unimportant latents stay small.
        """
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
        """Physical fields (B, T, C, F) to standardized latents (B, T, G, L)."""
        latents = self.autoencoder.encode(fields.flatten(0, 1)).unflatten(0, fields.shape[:2])
        return (latents - self.latent_mean) / self.latent_std

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Standardised latents (B, T, G, L) to physical fields (B, T, C, F)."""
        fields = self.autoencoder.decode((latents * self.latent_std + self.latent_mean).flatten(0, 1))
        return fields.unflatten(0, latents.shape[:2])

    def forward(self, latents: Tensor, parameters: Tensor, cache: Cache | None = None) -> Tensor:
        """Predicts the next latents after each of the latents (B, T, G, L), from it and the ones before it.

        Args:
            latents: standardized.
            parameters: (B, P), in the units of the data.
            cache: of the steps before these latents; is extended.
        """
        condition = None
        if self.condition is not None:
            standardized = (parameters - self.parameter_mean) / self.parameter_std
            condition = compute_once(cache, self.condition, standardized)[:, None]  # (B, 1, D)
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

    def next_states(self, states: Tensor, parameters: Tensor) -> Tensor:
        return self(states, parameters)[:, self.seed_frames - 1 :]

    def rollout(self, seed: Tensor, steps: int, parameters: Tensor) -> Tensor:
        return self.decode(self.unroll(self.encode(self.last_seed_frames(seed)), steps, parameters))

    @torch.no_grad()
    def unroll(self, latents: Tensor, steps: int, parameters: Tensor, cached: bool = True) -> Tensor:
        """Predicts the standardized latents (B, steps, G, L) after the given ones (B, k, G, L).

        Without the cache each step is computed from all steps before it: the same result, but slower.
        """
        cache = Cache(latents.shape[1] + steps) if cached else None
        frames = [latents]
        for _ in range(steps):
            frames.append(self(frames[-1] if cached else torch.cat(frames, dim=1), parameters, cache)[:, -1:])
        return torch.cat(frames[1:], dim=1)


def check_sizes(sizes: dict[str, int], width: int) -> None:
    """Raises ValueError if a number is out of range."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"model.{name}={size}: must be at least 1")
    if width % (2 * sizes["heads"]):
        raise ValueError(f"model.width={width} must be a multiple of twice model.heads={sizes['heads']}")


def check_fields(spec: FieldSpec, encoded: FieldSpec, exchange: ExchangeName) -> None:
    """Raises ValueError if an exchange has only one group, or the autoencoder was trained on other fields."""
    groups = len(spec.groups)
    if groups < 2 and exchange != "none":
        raise ValueError(
            f"model.exchange={exchange} needs two groups of fields, the data have {groups}: set model.exchange=none"
        )
    if (encoded.fields, encoded.groups, encoded.cells) != (spec.fields, spec.groups, spec.cells):
        raise ValueError(
            f"model.autoencoder was trained on {', '.join(encoded.fields)} in groups {encoded.groups} "
            f"at {encoded.cells} cells; the data have {', '.join(spec.fields)} in {spec.groups} at {spec.cells}"
        )
