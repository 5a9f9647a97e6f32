"""Which layers get an adapter, and which are refused."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from adlx.models.forecasting.transformer import Transformer
from adlx.models.lora import adapters, add_lora, matches, merge
from adlx.specs import SeriesSpec


def encoder() -> Transformer:
    return Transformer(SeriesSpec(("a", "b"), 8, 2), hidden=8, blocks=2, heads=2, zero_init=False)


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("head", "head", True),
        ("head", "hea", False),
        ("overhead", "head", False),
        ("blocks.0.attention.query", "*.query", True),
        ("query", "*.query", False),
        ("blocks.0.attention.query", "blocks.*", True),
        ("blocks.10.attention.query", "blocks.1.*", False),
        ("blocks.10.attention.query", "blocks.1*.query", True),
        ("blocks.10.attention.query", "*o*.*y", True),
        ("blocks.10.attention.query", "*o*.*z", False),
        ("aab", "a*ab", True),
        ("ab", "a*ab", False),
        ("", "*", True),
        ("blocks.0", "blocks?0", False),
    ],
)
def test_a_star_matches_any_characters_and_a_pattern_matches_the_whole_name(name, pattern, expected):
    assert matches(name, pattern) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("head", ["head"]),
        ("*.query", ["blocks.0.attention.query", "blocks.1.attention.query"]),
        (["*1.attention.v*", "embedding"], ["embedding", "blocks.1.attention.value"]),
        ("blocks.1.f*", ["blocks.1.feedforward.0"]),
    ],
)
def test_patterns_select_layers(target, expected):
    model = encoder()
    assert add_lora(model, rank=1, target=target) == expected
    assert [name for name, _ in adapters(model)] == expected
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {f"{name}.lora_{side}" for name in expected for side in "AB"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, r"^finetune.rank=0: must be at least 1$"),
        ({"alpha": 0.0}, r"^finetune.alpha=0.0: must be above 0$"),
        ({"dropout": 1.0}, r"^finetune.dropout=1.0: must be from 0 to below 1$"),
        ({"target": "*.quarry"}, r"^finetune.target: '\*.quarry' matches none of the affine layers: embedding, blocks"),
        ({"target": ["head", "tail"]}, r"'tail' matches none of the affine layers: .*blocks.1.feedforward.0, head$"),
        ({"target": "head", "trainable": "head"}, r"'head' matches none of the affine layers: .*feedforward.0$"),
        ({"trainable": "haed"}, r"^finetune.trainable: 'haed' matches none of the modules: embedding, dropout"),
        ({"trainable": "*"}, r"no affine layer \(nn.Linear\) that keeps the weights of the base run$"),
    ],
)
def test_errors_name_the_key_and_the_layers_of_the_model(arguments, message):
    model = encoder()
    with pytest.raises(ValueError, match=message):
        add_lora(model, **{"rank": 2, **arguments})
    assert not list(adapters(model)) and all(p.requires_grad for p in model.parameters())


def test_a_model_with_adapters_is_refused():
    model = encoder()
    add_lora(model, rank=1, target="head")
    with pytest.raises(ValueError, match="model already has adapters, on head: merge them first"):
        add_lora(model, rank=1, target="embedding")
    merge(model)
    assert add_lora(model, rank=1, target="embedding") == ["embedding"]


class TorchAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x + self.attention(x, x, x)[0]))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, r"^attention is an nn.MultiheadAttention: it reads the weight of attention.out_proj and does not call"),
        (
            "layer.linear1",
            r"^layer is an nn.TransformerEncoderLayer: it reads the weight of layer.linear1 and does not",
        ),
        ("layer.self_attn.*", r"reads the weight of layer.self_attn.out_proj .* exclude it with finetune.target"),
    ],
)
def test_a_layer_that_torch_does_not_call_is_refused(target, message):
    with pytest.raises(ValueError, match=message):
        add_lora(TorchAttention(), rank=2, target=target)


def test_attention_of_torch_may_be_frozen_or_trained_without_adapters():
    model, x = TorchAttention().eval(), torch.randn(2, 5, 8)
    before = model(x)
    assert add_lora(model, rank=2, target="head") == ["head"]
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {"head.lora_A", "head.lora_B"}
    merge(model)
    assert add_lora(model, rank=2, trainable=["attention", "layer"]) == ["head"]
    assert model.attention.in_proj_weight.requires_grad and not model.head.weight.requires_grad
    assert torch.equal(model(x), before)


def test_a_shared_or_computed_weight_is_refused():
    tied = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 8), nn.Linear(8, 8))
    tied[1].weight = tied[0].weight
    with pytest.raises(ValueError, match=r"^1: its weight is shared or computed from others; exclude it"):
        add_lora(tied, rank=2)
    assert add_lora(tied, rank=2, target="2") == ["2"]
    with pytest.raises(ValueError, match=r"^0: its weight is shared or computed from others; exclude it"):
        add_lora(nn.Sequential(weight_norm(nn.Linear(4, 8))), rank=2)


def test_a_layer_that_is_used_twice_has_one_adapter():
    layer = nn.Linear(4, 4)
    model, x = nn.Sequential(layer, nn.ReLU(), layer), torch.randn(3, 4)
    assert add_lora(model, rank=2) == ["0"]
    with torch.no_grad():
        layer.lora_B.normal_()
        weight = layer.weight + layer.lora_B @ layer.lora_A
        expected = (x @ weight.t() + layer.bias).relu() @ weight.t() + layer.bias
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)
        merge(model)
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)


def test_a_frozen_layer_gets_no_adapter():
    model = nn.Sequential(nn.Linear(4, 8).requires_grad_(False), nn.Linear(8, 2))
    assert add_lora(model, rank=2) == ["1"]
