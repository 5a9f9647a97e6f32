"""Autoencoder of physical fields in patches: each patch becomes a few numbers, and a patch again.

Esmati et al. (2024), "SEA: State-Exchange Attention for High-Fidelity Physics Based Transformers", the ViT-like mesh
autoencoder: the cells of a patch, padded, go through a multilayer perceptron, patches attend to one another, and a
perceptron makes cells of each again. With x_q the standardised fields of one group in patch q,

    t_q = mlp(x_q) + position_q,   t = blocks(t),   z_q = W t_q,   x_q ~ mlp(V z_q + position_q)

The latents of a group are the z of all its patches, one after another. The authors' code has the tokens of all groups
in one attention, so that what is called the latent of a pressure knows the velocity before any exchange in time;
`mix_fields` does that, and otherwise the groups, which share the blocks, are kept apart.

Shapes: B batch, C cells, F fields, f of a group, G groups, Q patches, S places of a patch, D width, E dimension of a
patch, L = Q E.
"""

import torch
from torch import Tensor, nn

from adlx.models.diffusion.dit import grid_sinusoids
from adlx.models.fields.interfaces import FieldAutoencoder
from adlx.models.fields.partition import Partition
from adlx.models.forecasting.transformer import TransformerBlock
from adlx.ranges import Count, CountOrZero, Size
from adlx.specs import FieldSpec


class SEAAutoencoder(FieldAutoencoder):
    """The autoencoder.

    Args:
        spec: of the fields, from the data.
        patches: rows and columns of patches.
        dimension: E, latent numbers of a patch and group.
        width: D, a multiple of the heads and of 4.
        blocks: in which the patches attend to one another, of the encoder.
        decoder_blocks: the same of the decoder; 0: a patch is restored from its own numbers alone.
        heads: of each attention.
        mix_fields: whether patches attend to those of other groups.
    """

    positions: Tensor

    def __init__(
        self,
        spec: FieldSpec,
        patches: tuple[Size, Size] = (8, 8),
        dimension: Size = 16,
        width: Size = 128,
        blocks: CountOrZero = 2,
        decoder_blocks: CountOrZero = 1,
        heads: Count = 4,
        mix_fields: bool = False,
    ) -> None:
        super().__init__(spec)
        if width % heads or width % 4:
            raise ValueError(f"model.width={width} must be a multiple of model.heads={heads} and of 4")
        if dimension < 1:
            raise ValueError(f"model.dimension={dimension}: must be at least 1")
        rows, columns = patches
        self.partition = Partition(spec, (rows, columns))
        self.mix_fields, self.latents = mix_fields, rows * columns * dimension
        self.register_buffer("positions", grid_sinusoids((rows, columns), width), persistent=False)
        sizes = [self.partition.places * len(group) for group in spec.groups]
        self.to_tokens = nn.ModuleList(perceptron(size, width, width) for size in sizes)
        self.encoder = attention_blocks(blocks, width, heads)
        self.to_latents = nn.ModuleList(nn.Linear(width, dimension) for _ in sizes)
        self.from_latents = nn.ModuleList(nn.Linear(dimension, width) for _ in sizes)
        self.decoder = attention_blocks(decoder_blocks, width, heads)
        self.to_cells = nn.ModuleList(perceptron(width, width, size) for size in sizes)
        fields = [field for group in spec.groups for field in group]
        self.order = [fields.index(field) for field in range(len(fields))]  # from group after group to the data's

    def attend(self, blocks: nn.Module, tokens: list[Tensor]) -> tuple[Tensor, ...]:
        """The tokens (B, Q, D) of each group after `blocks`: in one sequence, or each group a sequence of its own."""
        axis = 1 if self.mix_fields else 0
        return blocks(torch.cat(tokens, dim=axis)).chunk(len(tokens), dim=axis)

    def compress(self, standardized: Tensor) -> Tensor:
        patches = self.partition.gather(standardized)  # (B, Q, S, F)
        tokens = [
            layer(patches[..., list(group)].flatten(2)) + self.positions  # (B, Q, D)
            for layer, group in zip(self.to_tokens, self.spec.groups, strict=True)
        ]
        tokens = self.attend(self.encoder, tokens)
        latents = [layer(part).flatten(1) for layer, part in zip(self.to_latents, tokens, strict=True)]
        return torch.stack(latents, dim=1)

    def restore(self, latents: Tensor) -> Tensor:
        of_patches = latents.unflatten(2, (len(self.positions), -1))  # (B, G, Q, E)
        tokens = [
            layer(part) + self.positions for layer, part in zip(self.from_latents, of_patches.unbind(1), strict=True)
        ]
        tokens = self.attend(self.decoder, tokens)
        cells = [
            layer(part).unflatten(2, (self.partition.places, -1))  # (B, Q, S, f)
            for layer, part in zip(self.to_cells, tokens, strict=True)
        ]
        return self.partition.scatter(torch.cat(cells, dim=3)[..., self.order])


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


def attention_blocks(count: int, width: int, heads: int) -> nn.Sequential:
    """So many blocks, LayerNorm before each layer and once at the end; none: nothing."""
    blocks = [TransformerBlock(width, heads, width // heads, 4 * width, dropout=0.0, norm="pre") for _ in range(count)]
    return nn.Sequential(*blocks, *[nn.LayerNorm(width)] * bool(count))
