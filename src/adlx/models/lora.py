"""Low-rank adapters for the affine layers of any model.

Hu et al. (2021), "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1: a frozen weight W0 (d_out, d_in)
learns an update of rank r,

    h = W0 x + (alpha / r) B A x,   A (r, d_in) random, B (d_out, r) zero

so that the model starts as it was, trains r (d_in + d_out) numbers a layer, and once trained is a plain model again
with the weight W0 + (alpha / r) B A. The paper draws A from a Gaussian; its code and PEFT draw it as torch draws a
weight, which is what is done here.

`add_lora` leaves every layer in its place, under its name and of its class: only the product changes. To go on from
`adapter_state`, build the model, load the base, `add_lora` as before, then `load_state_dict(state, strict=False)`.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

# These modules read the weights of their layers directly and never call the layers, so an adapter would have no effect.
READ_WEIGHTS_DIRECTLY = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


class WeightSide(torch.autograd.Function):
    """x (W0 + s B A)^T + b, with a backward that never forms the gradient of the whole weight.

    With G the gradient of the output, N rows: dx = G (W0 + s B A), dA = s (B^T G^T) x and dB = s ((A x^T) G)^T, where
    autograd would form G^T x (d_out, d_in) first. The narrow factor, (r, N), comes first: as (N, r) it is slower.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, lora_A: Tensor, lora_B: Tensor, scale: float
    ) -> Tensor:
        merged = torch.addmm(weight, lora_B, lora_A, alpha=scale)
        ctx.save_for_backward(x, merged, weight, lora_A, lora_B)
        ctx.scale = scale
        return linear(x, merged, bias)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = grad_outputs
        x, merged, weight, lora_A, lora_B = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is to come, and what forward made is a constant to autograd
            merged = torch.addmm(weight, lora_B, lora_A, alpha=ctx.scale)
        rows, out = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        needs_x, needs_weight, needs_bias, needs_A, needs_B, _ = ctx.needs_input_grad

        def scaled(like: Tensor, left: Tensor, right: Tensor) -> Tensor:  # s left right, in one pass: beta=0 drops like
            return torch.addmm(like, left, right, beta=0, alpha=ctx.scale)

        return (
            torch.mm(out, merged).view(x.shape) if needs_x else None,
            torch.mm(out.t(), rows) if needs_weight else None,
            out.sum(0) if needs_bias else None,
            scaled(lora_A, torch.mm(lora_B.t(), out.t()), rows) if needs_A else None,
            scaled(lora_B.t(), torch.mm(lora_A, rows.t()), out).t() if needs_B else None,
            None,
        )


class LoRALinear(nn.Linear):
    """An `nn.Linear` with an adapter: `lora_A` (r, d_in) and `lora_B` (d_out, r) beside a frozen weight and bias.

    Not to be constructed: `add_lora` makes one of a layer that is there. Of a subclass of `nn.Linear` it makes a
    subclass of both, in which a forward of its own finds the adapter behind `super().forward`.

    The update is added to the weight or to the output, W0 x + s B (A x), whichever is faster. The first writes another
    weight, d_in d_out numbers; the second reads and writes N rows of input and output once more, N (d_in + d_out).
    Measured on one thread of a CPU, forward and backward, square layers: the first takes 1.8 times as long as the
    second at width 512 and 4 rows of rank 16, the same at 96 rows, 0.86 at 1000 rows; at width 128 with rank 2 1.6, 0.9
    and 0.8. They meet where `few` says. Autograd's backward of the first takes 1.3 to 1.5 times as long as that of
    `WeightSide` at width 512; on the encoder of 549,319 parameters a step takes 1.07 times as long at rank 2 and batch
    32, 1.02 at rank 8 and batch 1, but 0.96 at rank 16: where `thin` is false it is used.

    Under autocast the update goes to the output always: rounded to 8 bits of mantissa, the weight would swallow it.
    """

    lora_A: nn.Parameter
    lora_B: nn.Parameter
    lora_rank: int
    lora_alpha: float
    lora_dropout: float

    @property
    def scale(self) -> float:
        return self.lora_alpha / self.lora_rank

    def merged_weight(self) -> Tensor:
        """W0 + s B A (d_out, d_in)."""
        return torch.addmm(self.weight, self.lora_B, self.lora_A, alpha=self.scale)

    def few(self, rows: int) -> bool:
        """Whether so few rows come in that the update is cheaper on the output: 2 N (d_in + d_out) < d_in d_out."""
        return 2 * rows * (self.in_features + self.out_features) < self.in_features * self.out_features

    def thin(self) -> bool:
        """Whether the rank is so low that a whole dW would cost more: 5 r (d_in + d_out) < d_in d_out."""
        return 5 * self.lora_rank * (self.in_features + self.out_features) < self.in_features * self.out_features

    def forward(self, input: Tensor) -> Tensor:
        """(..., d_in) to (..., d_out)."""
        drops = self.training and self.lora_dropout > 0
        few = self.few(input.numel() // self.in_features)
        if not (drops or few or torch.is_autocast_enabled(input.device.type)):
            if not self.thin():
                return linear(input, self.merged_weight(), self.bias)
            out = WeightSide.apply(input, self.weight, self.bias, self.lora_A, self.lora_B, self.scale)
            return cast(Tensor, out)
        x = input.reshape(-1, input.shape[-1])
        low = linear(dropout(x, self.lora_dropout) if drops else x, self.lora_A)  # (N, r)
        out = torch.addmm(linear(x, self.weight, self.bias), low, self.lora_B.t(), alpha=self.scale)
        return out.view(*input.shape[:-1], self.out_features)


ADAPTED: dict[type[nn.Linear], type[LoRALinear]] = {nn.Linear: LoRALinear}


def add_lora(
    model: nn.Module,
    rank: int,
    alpha: float | None = None,
    dropout: float = 0.0,
    target: str | Sequence[str] | None = None,
    trainable: str | Sequence[str] = (),
) -> list[str]:
    """Gives affine layers of `model` an adapter each and freezes everything else.

    Random numbers come from torch's global generator. Buffers, such as the running statistics of a batch norm, go on
    as they did.

    Args:
        model: every `nn.Linear` in it that is not frozen can be adapted; all else stays frozen.
        rank: r, at least 1; it may exceed a layer's width.
        alpha: the update is multiplied by alpha / r; None: r, so by 1.
        dropout: on the adapters' input.
        target: names of layers, as `named_modules` gives them, or patterns in which `*` stands for any characters,
            dots too (`*.query`, `blocks.*`); None: all.
        trainable: names of modules, or patterns, that train fully and get no adapter: layers initialised afresh.

    Returns:
        the names of the adapted layers.

    Raises:
        ValueError: a value out of range; a pattern without a match; a model that has adapters; a layer that an adapter
            would not reach, or whose weight is not its own.
    """
    if rank < 1:
        raise ValueError(f"finetune.rank={rank}: must be at least 1")
    if alpha is not None and alpha <= 0:
        raise ValueError(f"finetune.alpha={alpha}: must be above 0")
    if not 0 <= dropout < 1:
        raise ValueError(f"finetune.dropout={dropout}: must be from 0 to below 1")
    if present := [name for name, _ in adapters(model)]:
        raise ValueError(f"the model has adapters already, on {', '.join(present)}: merge them first")
    trained = covered([name for name, _ in model.named_modules() if name], trainable)
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name not in trained and layer.weight.requires_grad
    }
    chosen = list(layers) if target is None else select(layers, target, "finetune.target", "affine layers")
    if not chosen:
        raise ValueError("finetune.target: the model has no affine layer (nn.Linear) that was not initialised afresh")
    refuse_unreachable(model, chosen)

    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(name in trained)
    for name in chosen:
        adapt(layers[name], rank, float(rank if alpha is None else alpha), dropout)
    return chosen


def adapt(layer: nn.Linear, rank: int, alpha: float, dropout: float) -> None:
    """Makes a `LoRALinear` of `layer` in place."""
    kind: Any = type(layer)
    if kind not in ADAPTED:
        ADAPTED[kind] = type(f"LoRA{kind.__name__}", (kind, LoRALinear), {})
    layer.__class__ = ADAPTED[kind]
    assert isinstance(layer, LoRALinear)
    layer.lora_A = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
    layer.lora_B = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
    nn.init.kaiming_uniform_(layer.lora_A, a=math.sqrt(5))
    layer.lora_rank, layer.lora_alpha, layer.lora_dropout = rank, alpha, dropout


def adapters(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """The adapted layers and their names."""
    return ((name, layer) for name, layer in model.named_modules() if isinstance(layer, LoRALinear))


def merge(model: nn.Module) -> None:
    """Folds every adapter into its weight, W0 + s B A, and takes it away.

    What is left is the plain model: the classes and the names in `state_dict` of before. All its parameters are
    trainable again.
    """
    for _, layer in list(adapters(model)):
        with torch.no_grad():
            layer.weight.copy_(layer.merged_weight())
        del layer.lora_A, layer.lora_B, layer.lora_rank, layer.lora_alpha, layer.lora_dropout
        layer.__class__ = type(layer).__bases__[0]
    model.requires_grad_(True)


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """What training changes, by its name in `state_dict`: the adapters and what trains fully."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


def matches(name: str, pattern: str) -> bool:
    """Whether `pattern`, in which `*` stands for any characters or none, is the whole of `name`."""
    head, star, tail = pattern.partition("*")
    if not star:
        return name == head
    return name.startswith(head) and any(matches(name[at:], tail) for at in range(len(head), len(name) + 1))


def select(names: Sequence[str] | dict[str, Any], patterns: str | Sequence[str], option: str, what: str) -> list[str]:
    """Those of `names` that match one of `patterns`. Raises ValueError where one of these matches nothing."""
    patterns = [patterns] if isinstance(patterns, str) else patterns
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            raise ValueError(f"{option}: {pattern!r} matches none of the {what}: {', '.join(names) or 'none'}")
    return [name for name in names if any(matches(name, pattern) for pattern in patterns)]


def covered(names: Sequence[str], patterns: str | Sequence[str]) -> set[str]:
    """Those of `names`, of modules, that match one of `patterns` or lie in one that does."""
    found = select(names, patterns, "finetune.trainable", "modules")
    return {name for name in names if name in found or name.startswith(tuple(f"{outer}." for outer in found))}


def refuse_unreachable(model: nn.Module, chosen: Sequence[str]) -> None:
    """Raises ValueError where an adapter would change nothing, or more than its layer."""
    for outer, module in model.named_modules():
        inside = [name for name in chosen if name.startswith(f"{outer}.") or not outer]
        if isinstance(module, READ_WEIGHTS_DIRECTLY) and inside:
            raise ValueError(
                f"{outer or 'the model'} is an nn.{type(module).__name__}: it reads the weight of {inside[0]} and does "
                "not call the layer, so that an adapter would be passed by: leave it out by finetune.target"
            )
    owners = Counter(id(parameter) for module in model.modules() for parameter in module.parameters(recurse=False))
    for name in chosen:
        weight = model.get_submodule(name)._parameters.get("weight")
        if weight is None or owners[id(weight)] > 1:
            raise ValueError(f"{name}: its weight is shared or computed from others; leave it out by finetune.target")
