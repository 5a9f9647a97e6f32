"""Low-rank adapters for the affine layers of any model.

Hu et al. (2021), "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1: a frozen weight W0 (d_out, d_in)
learns an update of rank r,

    h = W0 x + (alpha / r) B A x,   A (r, d_in) random, B (d_out, r) zero

At the start the model computes what it computed before. Training changes r (d_in + d_out) numbers in each layer. After
training the adapters can be merged: the model is then a plain model with the weights W0 + (alpha / r) B A. The paper
draws A from a Gaussian. Its code and PEFT initialise A as torch initialises a weight, and so does this module.

`add_lora` keeps the layers, their names and their classes, and changes only the product. To load an `adapter_state`,
build the model, load the base weights, call `add_lora` with the same arguments, then call
`load_state_dict(state, strict=False)`.
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


class MergedLinear(torch.autograd.Function):
    """x (W0 + s B A)^T + b, whose backward does not compute the gradient of the whole weight.

    With G the gradient of the output, N rows: dx = G (W0 + s B A), dA = s (B^T G^T) x and dB = s ((A x^T) G)^T.
    Autograd would first compute G^T x (d_out, d_in). The narrow factor is stored as (r, N), because (N, r) is slower.
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
        if torch.is_grad_enabled():  # a second derivative follows, and autograd treats the stored product as a constant
            merged = torch.addmm(weight, lora_B, lora_A, alpha=ctx.scale)
        rows, out = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        needs_x, needs_weight, needs_bias, needs_A, needs_B, _ = ctx.needs_input_grad

        def scaled(
            like: Tensor, left: Tensor, right: Tensor
        ) -> Tensor:  # s left right in one call; beta=0 ignores like
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
    """An `nn.Linear` with a frozen weight and bias and an adapter, `lora_A` (r, d_in) and `lora_B` (d_out, r).

    Do not construct it: `add_lora` changes an existing layer into one. From a subclass of `nn.Linear` it makes a
    subclass of both classes. If that subclass has its own forward, its `super().forward` computes the adapter.

    The update is added to the weight or to the output, W0 x + s B (A x), whichever is faster. The first way writes a
    second weight of d_in d_out numbers. The second way reads and writes the N rows of input and output once more,
    N (d_in + d_out) numbers. Measured on one thread of a CPU, forward and backward, with square layers: at width 512
    and rank 16 the first way takes 1.8 times as long as the second with 4 rows, the same time with 96 rows and 0.86 of
    it with 1000 rows; at width 128 and rank 2 the ratios are 1.6, 0.9 and 0.8. `has_few_rows` gives the number of rows
    where both are equal. Autograd's backward of the first way takes 1.3 to 1.5 times as long as that of `MergedLinear`
    at width 512. In an encoder of 549,319 parameters, a step with autograd takes 1.07 times as long at rank 2 and batch
    size 32, 1.02 at rank 8 and batch size 1, but 0.96 at rank 16. So autograd is used if `has_low_rank` is false.

    Under autocast the update is always added to the output: with 8 bits of mantissa, a small update would be lost in
    the rounding of the weight.
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

    def has_few_rows(self, rows: int) -> bool:
        """Whether the update is faster on the output: 2 N (d_in + d_out) < d_in d_out."""
        return 2 * rows * (self.in_features + self.out_features) < self.in_features * self.out_features

    def has_low_rank(self) -> bool:
        """Whether the gradient of the whole weight would take longer: 5 r (d_in + d_out) < d_in d_out."""
        return 5 * self.lora_rank * (self.in_features + self.out_features) < self.in_features * self.out_features

    def forward(self, input: Tensor) -> Tensor:
        """(..., d_in) to (..., d_out)."""
        has_dropout = self.training and self.lora_dropout > 0
        has_few_rows = self.has_few_rows(input.numel() // self.in_features)
        if not (has_dropout or has_few_rows or torch.is_autocast_enabled(input.device.type)):
            if not self.has_low_rank():
                return linear(input, self.merged_weight(), self.bias)
            out = MergedLinear.apply(input, self.weight, self.bias, self.lora_A, self.lora_B, self.scale)
            return cast(Tensor, out)
        x = input.reshape(-1, input.shape[-1])
        low = linear(dropout(x, self.lora_dropout) if has_dropout else x, self.lora_A)  # (N, r)
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
    """Adds an adapter to affine layers of `model` and freezes everything else.

    Random numbers come from torch's global generator. Buffers, such as the running statistics of a batch norm, are
    updated as before.

    Args:
        model: each of its `nn.Linear` layers that is not frozen can get an adapter.
        rank: r, at least 1; it may exceed a layer's width.
        alpha: the update is multiplied by alpha / r; None: alpha = r, a factor of 1.
        dropout: probability, on the input of the adapters.
        target: names of layers, as `named_modules` gives them, or patterns in which `*` stands for any characters,
            also for dots (`*.query`, `blocks.*`); None: all layers.
        trainable: names of modules, or patterns: they get no adapter, and all their weights are trained. These are the
            layers with new initial weights.

    Returns:
        the names of the adapted layers.

    Raises:
        ValueError: a value is out of range; a pattern matches nothing; the model already has adapters; an adapter of
            a layer would have no effect; a layer shares its weight.
    """
    if rank < 1:
        raise ValueError(f"finetune.rank={rank}: must be at least 1")
    if alpha is not None and alpha <= 0:
        raise ValueError(f"finetune.alpha={alpha}: must be above 0")
    if not 0 <= dropout < 1:
        raise ValueError(f"finetune.dropout={dropout}: must be from 0 to below 1")
    if present := [name for name, _ in adapters(model)]:
        raise ValueError(f"the model already has adapters, on {', '.join(present)}: merge them first")
    trained = select_with_submodules([name for name, _ in model.named_modules() if name], trainable)
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name not in trained and layer.weight.requires_grad
    }
    chosen = list(layers) if target is None else select(layers, target, "finetune.target", "affine layers")
    if not chosen:
        raise ValueError(
            "finetune.target: the model has no affine layer (nn.Linear) that keeps the weights of the base run"
        )
    refuse_unreachable(model, chosen)

    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(name in trained)
    for name in chosen:
        adapt(layers[name], rank, float(rank if alpha is None else alpha), dropout)
    return chosen


def adapt(layer: nn.Linear, rank: int, alpha: float, dropout: float) -> None:
    """Changes `layer` into a `LoRALinear`."""
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
    """Adds every adapter to its weight, W0 + s B A, and removes the adapter.

    The model then has the classes and the names in `state_dict` that it had before `add_lora`. All its parameters are
    trainable again.
    """
    for _, layer in list(adapters(model)):
        with torch.no_grad():
            layer.weight.copy_(layer.merged_weight())
        del layer.lora_A, layer.lora_B, layer.lora_rank, layer.lora_alpha, layer.lora_dropout
        layer.__class__ = type(layer).__bases__[0]
    model.requires_grad_(True)


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """All trainable parameters by name in `state_dict`: the adapters and the trainable modules without an adapter."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


def matches(name: str, pattern: str) -> bool:
    """Whether `pattern` matches the whole `name`; `*` stands for any characters or none."""
    head, star, tail = pattern.partition("*")
    if not star:
        return name == head
    return name.startswith(head) and any(matches(name[start:], tail) for start in range(len(head), len(name) + 1))


def select(names: Sequence[str] | dict[str, Any], patterns: str | Sequence[str], option: str, what: str) -> list[str]:
    """The `names` that match one of `patterns`. Raises ValueError if a pattern matches nothing."""
    patterns = [patterns] if isinstance(patterns, str) else patterns
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            raise ValueError(f"{option}: {pattern!r} matches none of the {what}: {', '.join(names) or 'none'}")
    return [name for name in names if any(matches(name, pattern) for pattern in patterns)]


def select_with_submodules(names: Sequence[str], patterns: str | Sequence[str]) -> set[str]:
    """The `names` of modules that match one of `patterns`, and of the modules inside them."""
    selected = select(names, patterns, "finetune.trainable", "modules")
    return {name for name in names if name in selected or name.startswith(tuple(f"{outer}." for outer in selected))}


def refuse_unreachable(model: nn.Module, chosen: Sequence[str]) -> None:
    """Raises ValueError if an adapter would have no effect, or would change more than its layer."""
    for outer, module in model.named_modules():
        inside = [name for name in chosen if name.startswith(f"{outer}.") or not outer]
        if isinstance(module, READ_WEIGHTS_DIRECTLY) and inside:
            raise ValueError(
                f"{outer or 'the model'} is an nn.{type(module).__name__}: it reads the weight of {inside[0]} and does "
                "not call the layer, so an adapter would have no effect: exclude it with finetune.target"
            )
    owners = Counter(id(parameter) for module in model.modules() for parameter in module.parameters(recurse=False))
    for name in chosen:
        weight = model.get_submodule(name)._parameters.get("weight")
        if weight is None or owners[id(weight)] > 1:
            raise ValueError(f"{name}: its weight is shared or computed from others; exclude it with finetune.target")
