"""A straightforward state-exchange attention, for comparison with `adlx.models.fields.sea`.

It has linear maps for query, key and value, the softmax of a masked matrix of scores, a loop over ordered pairs of
groups, and positions in time that are added at the start. The number and sizes of layers are those of adlx. There is no
cache. It needs only PyTorch.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        batch, steps, width = x.shape
        q = self.query(x).view(batch, steps, self.heads, -1).transpose(1, 2)
        k = self.key(memory).view(batch, steps, self.heads, -1).transpose(1, 2)
        v = self.value(memory).view(batch, steps, self.heads, -1).transpose(1, 2)
        scores = q @ k.transpose(-2, -1) / math.sqrt(width // self.heads)
        later = torch.triu(torch.ones(steps, steps, dtype=torch.bool, device=x.device), diagonal=1)
        weights = scores.masked_fill(later, float("-inf")).softmax(dim=-1)
        return (weights @ v).transpose(1, 2).reshape(batch, steps, width)


class PlainSEA(nn.Module):
    """One block: groups, latents per group, width, low width of the exchange, heads, parameters of a trajectory."""

    def __init__(self, groups: int, latents: int, width: int, low: int, heads: int, num_parameters: int) -> None:
        super().__init__()

        def each(make) -> nn.ModuleList:
            return nn.ModuleList(make() for _ in range(groups))

        self.groups, self.width = groups, width
        self.embedding = each(lambda: nn.Linear(latents, width))
        self.condition = nn.Sequential(nn.Linear(num_parameters, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.norm1 = each(lambda: nn.LayerNorm(width))
        self.attention = each(lambda: Attention(width, heads))
        self.out = each(lambda: nn.Linear(width, width))
        self.down = each(lambda: nn.Linear(width, low))
        self.norm2 = each(lambda: nn.LayerNorm(low))
        self.pairs = nn.ModuleDict(
            {f"{i}_{j}": Attention(low, heads) for i in range(groups) for j in range(groups) if i != j}
        )
        self.up = each(lambda: nn.Linear(low, width))
        self.norm3 = each(lambda: nn.LayerNorm(width, elementwise_affine=False))
        self.modulation = each(lambda: nn.Linear(width, 2 * width))
        self.mlp = each(lambda: nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)))
        self.norm4 = each(lambda: nn.LayerNorm(width))
        self.change = each(lambda: nn.Linear(width, latents))

    def positions(self, steps: int) -> Tensor:
        """Sines and cosines (T, D) of Vaswani et al. (2017)."""
        rates = 10000 ** (-torch.arange(0, self.width, 2) / self.width)
        angles = torch.arange(steps)[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def forward(self, latents: Tensor, parameters: Tensor) -> Tensor:
        """The latents after each of these (B, T, G, L), with the parameters of the trajectory (B, P)."""
        condition = self.condition(parameters)[:, None]
        positions = self.positions(latents.shape[1])
        hidden = [self.embedding[i](latents[:, :, i]) + positions for i in range(self.groups)]
        for i in range(self.groups):
            normed = self.norm1[i](hidden[i])
            hidden[i] = hidden[i] + self.out[i](self.attention[i](normed, normed))
        low = [self.norm2[i](self.down[i](hidden[i])) for i in range(self.groups)]
        for i in range(self.groups):
            exchanged = torch.zeros_like(low[i])
            for j in range(self.groups):
                if j != i:
                    exchanged = exchanged + self.pairs[f"{i}_{j}"](low[i], low[j])
            hidden[i] = hidden[i] + self.up[i](gelu(exchanged))
        changes = []
        for i in range(self.groups):
            scale, shift = self.modulation[i](condition).chunk(2, dim=-1)
            hidden[i] = hidden[i] + self.mlp[i](self.norm3[i](hidden[i]) * (1 + scale) + shift)
            changes.append(self.change[i](self.norm4[i](hidden[i])))
        return latents + torch.stack(changes, dim=2)

    def loss(self, window: Tensor, parameters: Tensor) -> Tensor:
        return (self(window[:, :-1], parameters) - window[:, 1:]).square().mean()
