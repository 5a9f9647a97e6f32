"""Autoencoder of physical fields: encodes each patch of cells to a few numbers and decodes them to a patch.

Esmati et al. (2024), "SEA: State-Exchange Attention for High-Fidelity Physics Based Transformers", the ViT-like mesh
autoencoder: a multilayer perceptron maps the padded cells of a patch to a token, the tokens attend to one another, and
a perceptron maps each token to cells. With x_q the standardized fields of one group in patch q,

    t_q = mlp(x_q) + position_q,   t = blocks(t),   z_q = W t_q,   x_q ~ mlp(V z_q + position_q)

The latents of a group are the z of all its patches, concatenated. In the authors' code the tokens of all groups are in
one attention, so that the latents of a pressure already contain information about the velocity; `mix_fields` does the
same. Without it each group attends only to itself; all groups share the weights of the blocks.

Shapes: B batch, C cells, F fields, f of a group, G groups, Q patches, S slots of a patch, D width, E dimension of a
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
        blocks: number of attention blocks of the encoder.
        decoder_blocks: number of attention blocks of the decoder; 0: a patch is decoded from its own numbers only.
        heads: number of heads of each attention.
        mix_fields: whether patches attend to patches of other groups.
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
        sizes = [self.partition.slots * len(group) for group in spec.groups]
        self.to_tokens = nn.ModuleList(perceptron(size, width, width) for size in sizes)
        self.encoder = attention_blocks(blocks, width, heads)
        self.to_latents = nn.ModuleList(nn.Linear(width, dimension) for _ in sizes)
        self.from_latents = nn.ModuleList(nn.Linear(dimension, width) for _ in sizes)
        self.decoder = attention_blocks(decoder_blocks, width, heads)
        self.to_cells = nn.ModuleList(perceptron(width, width, size) for size in sizes)
        fields = [field for group in spec.groups for field in group]
        self.order = [
            fields.index(field) for field in range(len(fields))
        ]  # from the order of the groups to that of the data

    def attend(self, blocks: nn.Module, tokens: list[Tensor]) -> tuple[Tensor, ...]:
        """Applies `blocks` to the tokens (B, Q, D) of all groups in one sequence, or to each group separately."""
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
        patches = latents.unflatten(2, (len(self.positions), -1))  # (B, G, Q, E)
        tokens = [
            layer(part) + self.positions for layer, part in zip(self.from_latents, patches.unbind(1), strict=True)
        ]
        tokens = self.attend(self.decoder, tokens)
        cells = [
            layer(part).unflatten(2, (self.partition.slots, -1))  # (B, Q, S, f)
            for layer, part in zip(self.to_cells, tokens, strict=True)
        ]
        return self.partition.scatter(torch.cat(cells, dim=3)[..., self.order])


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


def attention_blocks(count: int, width: int, heads: int) -> nn.Sequential:
    """`count` blocks with LayerNorm before each layer and at the end; without blocks, the identity."""
    blocks = [TransformerBlock(width, heads, width // heads, 4 * width, dropout=0.0, norm="pre") for _ in range(count)]
    return nn.Sequential(*blocks, *[nn.LayerNorm(width)] * bool(count))
