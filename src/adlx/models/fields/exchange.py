"""Exchange of information between groups of fields in a block: state-exchange attention, or one of its baselines.

Esmati et al. (2024), "SEA: State-Exchange Attention for High-Fidelity Physics Based Transformers", figure 2c. The
hidden states h_i (T, D) of group i over time are projected to a low width d = D / r. Each group attends to every other
group along time; the results are summed and projected to D,

    s_i = norm(h_i W_i),   h_i = h_i + gelu(sum over j != i of attention_ij(s_i, s_j)) U_i

Each ordered pair (i, j) has its own attention, which is causal. In the authors' code a group reads the groups before it
after their exchange (`sequential`), so the result depends on the order of the groups. With `parallel`, every group
reads all other groups before their exchange.

Shapes: B batch, T time, D width, d low width, N heads, G groups.
"""

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from adlx.models.fields.causal import Cache, CausalAttention


class Exchange(nn.Module):
    """Adds information from the other groups to the hidden states of each group.

    A subclass defines the message of a group (`message`) and what another group adds because of it (`update`).

    Args:
        groups: G, at least 2.
        sequential: whether a group reads the messages that the groups before it send after their own update.
    """

    def __init__(self, groups: int, sequential: bool) -> None:
        super().__init__()
        self.groups, self.sequential = groups, sequential

    def message(self, group: int, hidden: Tensor) -> Tensor:
        """The message of `group`, computed from its hidden states (B, T, D)."""
        raise NotImplementedError

    def update(self, group: int, messages: list[Tensor], cache: Cache | None) -> Tensor:
        """(B, T, D) that `group` adds to its hidden states."""
        raise NotImplementedError

    def forward(self, hidden: list[Tensor], cache: Cache | None = None) -> list[Tensor]:
        """Updates the hidden states (B, T, D) of each group."""
        messages = [self.message(group, states) for group, states in enumerate(hidden)]
        after = []
        for group, states in enumerate(hidden):
            after.append(states + self.update(group, messages, cache))
            if self.sequential and group < self.groups - 1:
                messages[group] = self.message(group, after[group])
        return after


class StateExchange(Exchange):
    """State-exchange attention.

    Args:
        groups, sequential: as in `Exchange`.
        width: D.
        low: d, a multiple of 2 N.
        heads: N.
        dropout: on the attention weights.
    """

    def __init__(self, groups: int, sequential: bool, width: int, low: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__(groups, sequential)
        self.down = nn.ModuleList(nn.Linear(width, low) for _ in range(groups))
        self.norm = nn.ModuleList(nn.LayerNorm(low) for _ in range(groups))
        self.pairs = nn.ModuleDict(
            {
                f"{group}_{other}": CausalAttention(low, heads, dropout)
                for group in range(groups)
                for other in others(group, groups)
            }
        )
        self.up = nn.ModuleList(nn.Linear(low, width) for _ in range(groups))

    def message(self, group: int, hidden: Tensor) -> Tensor:
        return self.norm[group](self.down[group](hidden))

    def update(self, group: int, messages: list[Tensor], cache: Cache | None) -> Tensor:
        results = [
            self.pairs[f"{group}_{other}"](messages[group], messages[other], cache)
            for other in others(group, self.groups)
        ]
        return self.up[group](gelu(reduce(torch.add, results)))


class Addition(Exchange):
    """h_i = h_i + sum over j != i of norm(h_j) W_j, of the same time step."""

    def __init__(self, groups: int, sequential: bool, width: int) -> None:
        super().__init__(groups, sequential)
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(groups))
        self.project = nn.ModuleList(nn.Linear(width, width) for _ in range(groups))

    def message(self, group: int, hidden: Tensor) -> Tensor:
        return self.project[group](self.norm[group](hidden))

    def update(self, group: int, messages: list[Tensor], cache: Cache | None) -> Tensor:
        return reduce(torch.add, [messages[other] for other in others(group, self.groups)])


class Pooling(Exchange):
    """h_i = h_i + (mean over j of norm(h_j), max over j of norm(h_j)) W_i, of the same time step; j includes i."""

    def __init__(self, groups: int, sequential: bool, width: int) -> None:
        super().__init__(groups, sequential)
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(groups))
        self.project = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(groups))

    def message(self, group: int, hidden: Tensor) -> Tensor:
        return self.norm[group](hidden)

    def update(self, group: int, messages: list[Tensor], cache: Cache | None) -> Tensor:
        stacked = torch.stack(messages)
        return self.project[group](torch.cat([stacked.mean(dim=0), stacked.amax(dim=0)], dim=-1))


def others(group: int, groups: int) -> list[int]:
    return [other for other in range(groups) if other != group]
