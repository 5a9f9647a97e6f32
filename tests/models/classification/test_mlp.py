"""The perceptron: numbers of parameters, affine layers with ReLU on standardized inputs, dropout."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from adlx.models.classification.mlp import MLP
from adlx.specs import CodeSpec, ImageSpec

CLASSES = tuple("abcdefg")
CODES = CodeSpec((12, 12), 256, None, CLASSES)


def make(spec=CODES, **arguments) -> MLP:
    torch.manual_seed(0)
    return MLP(spec, **arguments)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_number_of_parameters():
    model = make(input="standardize")
    widths = [144, 640, 1650, 3000, 500, 7]
    expected = sum(before * after + after for before, after in pairwise(widths))
    assert count(model) == expected == 7_607_457
    assert count(make(ImageSpec(3, (4, 6), CLASSES), widths=[5])) == (72 * 5 + 5) + (5 * 7 + 7)
    assert count(make(input="onehot", widths=[2])) == (144 * 256 * 2 + 2) + (2 * 7 + 7)
    assert count(make(CodeSpec((2, 2), 8, 3, CLASSES), widths=[2])) == (2 * 2 * 3 * 2 + 2) + (2 * 7 + 7)


def test_it_equals_affine_layers_with_relu_between_them():
    """With standardized codes, and with images, whose pixels come before channels."""
    codes = torch.randint(0, 9, (50, 2, 3), generator=torch.Generator().manual_seed(1))
    model = make(CodeSpec((2, 3), 9, None, CLASSES), widths=[5, 4], input="standardize")
    model.fit_inputs(codes, None)
    plain = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 7))
    plain.load_state_dict({key[7:]: value for key, value in model.state_dict().items() if key.startswith("layers.")})
    values = codes.float().flatten(1)
    x = (values - values.mean(dim=0)) / values.std(dim=0, unbiased=False)
    torch.testing.assert_close(model(codes), plain(x), rtol=1e-5, atol=1e-6)

    images = torch.randint(0, 256, (40, 3, 2, 2), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    model = make(ImageSpec(3, (2, 2), CLASSES), widths=[5])
    model.fit_inputs(images, None)
    values = images.float().permute(0, 2, 3, 1).flatten(1)
    x = (values - values.mean(dim=0)) / values.std(dim=0, unbiased=False)
    plain = nn.Sequential(nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 7))
    plain.load_state_dict({key[7:]: value for key, value in model.state_dict().items() if key.startswith("layers.")})
    torch.testing.assert_close(model(images.float() / 255), plain(x), rtol=1e-5, atol=1e-5)


def test_dropout_acts_after_each_hidden_layer_only_in_training():
    codes = torch.randint(0, 256, (20, 12, 12), generator=torch.Generator().manual_seed(1))
    plain, model = make(widths=[30, 20]).eval(), make(widths=[30, 20], dropout=0.5)
    assert [type(layer).__name__ for layer in model.layers] == ["Linear", "ReLU", "Dropout"] * 2 + ["Linear"]
    plain.load_state_dict(
        {
            key.replace("layers.3", "layers.2").replace("layers.6", "layers.4"): value
            for key, value in model.state_dict().items()
        }
    )
    assert torch.equal(model.eval()(codes), plain(codes))
    assert (model.train()(codes) - plain(codes)).abs().max() > 1e-3


def test_a_constant_pixel_gives_finite_inputs():
    images = torch.full((10, 1, 2, 2), 77, dtype=torch.uint8)
    images[:, 0, 0, 1] = torch.arange(10, dtype=torch.uint8)
    model = make(ImageSpec(1, (2, 2), CLASSES), widths=[3])
    model.fit_inputs(images, None)
    x = model.inputs(images.float() / 255)[..., 0]
    assert x[:, [0, 2, 3]].abs().max() < 1e-6
    assert model.inputs.std[[0, 2, 3], 0].tolist() == [1, 1, 1]
    assert x[:, 1].std(unbiased=False).item() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        (CODES, {"widths": []}, r"^model\.widths=\[\]: must be a list of widths, each at least 1$"),
        (CODES, {"widths": [5, 0]}, r"^model\.widths=\[5, 0\]: must be a list of widths, each at least 1$"),
        (
            CODES,
            {"input": "embedding"},
            r"^model\.input=embedding needs the codebook, and data\.path has codes only",
        ),
        (ImageSpec(1, (4, 4), CLASSES), {"input": "onehot"}, r"^model\.input=onehot is for code maps \(data=codes\)"),
        (ImageSpec(1, (4, 4), ("a",)), {}, r"^a classifier needs samples of at least two classes; the data have 1$"),
        (ImageSpec(1, (4, 4)), {}, r"^a classifier needs samples of at least two classes; the data have 0$"),
    ],
)
def test_contradictory_arguments_are_refused(spec, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(spec, **arguments)
