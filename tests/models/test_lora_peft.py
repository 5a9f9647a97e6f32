"""Adapters equal those of Hugging Face PEFT with the same base weights and the same adapter weights."""

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from adlx.models.forecasting.seq2seq import Seq2Seq
from adlx.models.forecasting.transformer import Transformer
from adlx.models.lora import adapter_state, adapters, add_lora
from adlx.models.lora_peft import to_peft
from adlx.specs import SeriesSpec

peft = pytest.importorskip("peft")

SPEC = SeriesSpec(("a", "b", "c"), context=40, horizon=4)


def base_model(kind: str) -> nn.Module:
    torch.manual_seed(1)
    if kind == "seq2seq":
        return Seq2Seq(SPEC, hidden=24, zero_init=False).double()
    return Transformer(SPEC, hidden=16, blocks=2, heads=2, head_dim=24, zero_init=False).double()


def with_random_adapters(base: nn.Module, rank: int, **arguments) -> nn.Module:
    """A copy of `base` with adapters whose B is random, as after training."""
    model = copy.deepcopy(base)
    add_lora(model, rank, **arguments)
    with torch.no_grad():
        for name, value in adapter_state(model).items():
            if not name.endswith("lora_A"):
                value.add_(0.2 * torch.randn_like(value))
    return model


def with_peft_adapters(base: nn.Module, model: nn.Module, rank: int, alpha: float) -> nn.Module:
    """A copy of `base` with adapters of PEFT that have the weights of `model`."""
    layers = dict(adapters(model))
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(layers))
    other = peft.get_peft_model(copy.deepcopy(base), config)
    with torch.no_grad():
        for name, layer in layers.items():
            theirs = other.base_model.model.get_submodule(name)
            theirs.lora_A["default"].weight.copy_(layer.lora_A)
            theirs.lora_B["default"].weight.copy_(layer.lora_B)
    return other


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize(("rank", "alpha"), [(1, 3.0), (2, 2.0), (8, 4.0), (16, 32.0), (64, 8.0)])
@pytest.mark.parametrize("kind", ["transformer", "seq2seq"])
def test_outputs_and_gradients_equal_those_of_peft(kind, rank, alpha, batch):
    base = base_model(kind)
    model = with_random_adapters(base, rank, alpha=alpha)
    other = with_peft_adapters(base, model, rank, alpha)
    past, future = torch.randn(batch, 40, 3, dtype=torch.float64), torch.randn(batch, 4, 3, dtype=torch.float64)
    ours, theirs = model(past, future), other(past, future)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
    assert (ours - base(past, future)).abs().max() > 1e-2
    for output in (ours, theirs):
        (output - future).square().mean().backward()
    for name, layer in adapters(model):
        theirs = other.base_model.model.get_submodule(name)
        for own, peft_layer in ((layer.lora_A, theirs.lora_A), (layer.lora_B, theirs.lora_B)):
            torch.testing.assert_close(own.grad, peft_layer["default"].weight.grad, rtol=1e-5, atol=1e-10)
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert count == sum(p.numel() for p in other.parameters() if p.requires_grad)


def test_initial_weights_have_the_distribution_of_peft():
    base = nn.Sequential(nn.Linear(50, 400))
    model = copy.deepcopy(base)
    add_lora(model, rank=200)
    other = peft.get_peft_model(copy.deepcopy(base), peft.LoraConfig(r=200, target_modules=["0"]))
    theirs = other.base_model.model[0].lora_A["default"].weight
    ours = model[0].lora_A
    assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=1e-2)
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=3e-2)


def save_adapters(model: nn.Module, folder: Path) -> Path:
    from safetensors.torch import save_file

    tensors, config = to_peft(model)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("transformer", {}),
        ("transformer", {"alpha": 7.0, "dropout": 0.1, "target": ["*.query", "*.value"]}),
        ("transformer", {"trainable": ["head", "blocks.1.norms"]}),
        ("transformer", {"trainable": ["blocks.0", "embedding"], "target": "head"}),
        ("seq2seq", {"alpha": 30.0}),
        ("seq2seq", {"trainable": "decoder"}),
    ],
)
def test_peft_loads_exported_adapters_and_computes_the_same_forecast(tmp_path, kind, arguments):
    base = base_model(kind)
    model = with_random_adapters(base, rank=3, **arguments).eval()
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(base), str(save_adapters(model, tmp_path))).eval()
    past = torch.randn(2, 40, 3, dtype=torch.float64)
    expected = model.forecast(past)
    torch.testing.assert_close(loaded.base_model.model.forecast(past), expected, rtol=1e-9, atol=1e-10)
    assert (expected - base.eval().forecast(past)).abs().max() > 1e-2


def test_exported_tensors_have_the_names_and_shapes_of_peft():
    base = base_model("transformer")
    model = with_random_adapters(base, rank=2, alpha=6.0, dropout=0.1, target="*.query", trainable="head")
    tensors, config = to_peft(model)
    queries = [f"blocks.{block}.attention.query" for block in (0, 1)]
    given = {key: config[key] for key in ("r", "lora_alpha", "lora_dropout", "target_modules", "modules_to_save")}
    assert given == {
        "r": 2,
        "lora_alpha": 6.0,
        "lora_dropout": 0.1,
        "target_modules": queries,
        "modules_to_save": ["head"],
    }
    other = peft.get_peft_model(base, peft.LoraConfig(**given))
    theirs = peft.get_peft_model_state_dict(other)
    assert {key: value.shape for key, value in tensors.items()} == {key: value.shape for key, value in theirs.items()}


class Nested(nn.Module):
    """The name `head` is also the end of `inner.head`. PEFT selects modules by the ends of their names."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.inner = nn.Linear(4, 4), nn.ModuleDict({"head": nn.Linear(4, 4)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.inner["head"](x))


def test_peft_adapts_only_the_named_layer_if_another_name_has_the_same_end(tmp_path):
    torch.manual_seed(0)
    base = Nested()
    model = with_random_adapters(base, rank=2, target="head")
    assert to_peft(model)[1]["exclude_modules"] == ["inner.head"]
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(base), str(save_adapters(model, tmp_path)))
    x = torch.randn(5, 4)
    torch.testing.assert_close(loaded(x), model(x), rtol=1e-5, atol=1e-6)
    assert sum("lora" in name for name, _ in loaded.named_parameters()) == 2
    fresh = with_random_adapters(base, rank=2, trainable="head")
    with pytest.raises(
        ValueError, match=r"PEFT cannot train one of head without inner.head, because its name has the same end"
    ):
        to_peft(fresh)
    with pytest.raises(ValueError, match="the model has no adapters: call add_lora first"):
        to_peft(base)


class Attended(nn.Module):
    """A model whose attention has parameters of its own and a submodule with parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.attention(x, x, x)[0])


def test_submodules_of_a_trainable_module_are_saved_with_it(tmp_path):
    torch.manual_seed(0)
    base, x = Attended(), torch.randn(2, 5, 8)
    model = with_random_adapters(base, rank=2, trainable="attention")
    assert to_peft(model)[1]["modules_to_save"] == ["attention"]
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(base), str(save_adapters(model, tmp_path)))
    torch.testing.assert_close(loaded(x), model(x), rtol=1e-5, atol=1e-6)
    assert (model(x) - base(x)).abs().max() > 1e-2
