"""The random layer against its definition, g(x W + b), computed densely from the input and the weights."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from adlx.models.classification.elm import ELM, pack, squares, unpack
from adlx.specs import CodeSpec, ImageSpec

CLASSES = ("a", "b", "c")
C, E = 11, 4
GREY, COLOUR = ImageSpec(1, (8, 6), CLASSES), ImageSpec(3, (6, 8), CLASSES)
CODES, BOOK = CodeSpec((5, 6), C, None, CLASSES), CodeSpec((5, 6), C, E, CLASSES)
KINDS = {
    "grey": (GREY, "auto"),
    "colour": (COLOUR, "standardize"),
    "numbers": (CODES, "standardize"),
    "onehot": (CODES, "auto"),
    "embedding": (BOOK, "auto"),
}


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def samples_of(spec: ImageSpec | CodeSpec, count: int = 60) -> Tensor:
    """As they are stored."""
    if isinstance(spec, ImageSpec):
        return torch.randint(0, 256, (count, spec.channels, *spec.size), generator=drawn(), dtype=torch.uint8)
    return torch.randint(0, C, (count, *spec.grid), generator=drawn()).to(torch.int16)


def codebook_of(spec: ImageSpec | CodeSpec) -> Tensor | None:
    return torch.randn(C, E, generator=drawn(1)) * 3 + 2 if getattr(spec, "dimension", None) else None


def as_input(samples: Tensor) -> Tensor:
    return samples.float() / 255 if samples.dtype == torch.uint8 else samples.long()


def make(spec=GREY, seed: int = 0, **arguments) -> ELM:
    torch.manual_seed(seed)
    model = ELM(spec, **{"hidden": 50, **arguments})
    model.fit_inputs(samples_of(spec), codebook_of(spec))
    return model


def numbers(spec, kind: str, samples: Tensor) -> Tensor:
    """(N, P, D) float64, from the definition of each kind of input."""
    if isinstance(spec, ImageSpec):
        values = samples.double().permute(0, 2, 3, 1).flatten(1, 2)
        return (values - values.mean(dim=0)) / values.std(dim=0, unbiased=False)
    flat = samples.flatten(1).long()
    if kind == "onehot" or (kind == "auto" and spec.dimension is None):
        return one_hot(flat, C).double()
    if kind == "standardize":
        values = flat.double()[..., None]
        return (values - values.mean(dim=0)) / values.std(dim=0, unbiased=False)
    vectors = codebook_of(spec).double()[flat]
    every = vectors.flatten(0, 1)
    return (vectors - every.mean(dim=0)) / every.std(dim=0, unbiased=False)


def dense_features(model: ELM, x: Tensor, activate=torch.tanh) -> Tensor:
    """Unit h is the one of number h // S at place h % S: it sees the square there, whose corner runs in rows."""
    (height, width), (places, seen, depth, _) = model.inputs.grid, model.shape
    side = math.isqrt(seen) if places > 1 else None
    corners = list(product(range(height - side + 1), range(width - side + 1))) if side else [(0, 0)]
    assert len(corners) == places
    weight = unpack(model.weight, model.shape) if model.weights == "binary" else model.weight
    energy = 1 if model.inputs.kind == "onehot" else depth
    grid = x.view(len(x), height, width, depth)
    columns = []
    for unit in range(model.hidden):
        row, column = corners[unit % places]
        square = grid if side is None else grid[:, row : row + side, column : column + side]
        w = weight[unit % places, :, :, unit // places].double() * model.scale_of_test / math.sqrt(seen * energy)
        columns.append((square.flatten(1) * w.flatten()).sum(dim=1) + model.offset[unit].double())
    return activate(torch.stack(columns, dim=1))


@pytest.mark.parametrize("weights", ["gaussian", "binary"])
@pytest.mark.parametrize("field", [None, "auto", 3, 5])
@pytest.mark.parametrize("name", KINDS)
def test_features_are_those_of_the_definition(name, field, weights):
    """Neither 50 nor 7 is a multiple of the number of places, and 7 is fewer than most."""
    spec, kind = KINDS[name]
    samples = samples_of(spec)
    x = numbers(spec, kind, samples)
    for hidden, scale in ((50, 1.0), (7, 0.3)):
        model = make(spec, field=field, weights=weights, input=kind, hidden=hidden, scale=scale)
        model.scale_of_test = scale
        features = model.features(as_input(samples))
        assert features.shape == (60, hidden)
        torch.testing.assert_close(features.double(), dense_features(model, x), rtol=0, atol=2e-5)


@pytest.mark.parametrize(("name", "activate"), [("sigmoid", torch.sigmoid), ("relu", torch.relu)])
def test_activations(name, activate):
    model = make(activation=name, field=2)
    model.scale_of_test = 1.0
    samples = samples_of(GREY)
    expected = dense_features(model, numbers(GREY, "auto", samples), activate)
    torch.testing.assert_close(model.features(as_input(samples)).double(), expected, rtol=0, atol=2e-5)


def test_scores_are_of_the_chosen_readout():
    model = make(readout=["ridge", "none"])
    x = as_input(samples_of(GREY))
    assert not model(x).any()
    with torch.no_grad():
        model.beta[1] = torch.randn(50, 3, generator=drawn(3))
        model.chosen.fill_(1)
    torch.testing.assert_close(model(x), model.features(x) @ model.beta[1])


def test_squares():
    assert squares((2, 3), 2).tolist() == [[0, 1, 3, 4], [1, 2, 4, 5]]
    assert squares((2, 3), 1).tolist() == [[place] for place in range(6)]
    assert squares((2, 2), None).tolist() == [[0, 1, 2, 3]]
    assert make(CodeSpec((12, 12), C, None, CLASSES)).shape[:2] == (100, 9)  # a quarter of 12 is 3


# Binary weights


@pytest.mark.parametrize("shape", [(1,), (8,), (3, 5), (2, 3, 1, 7), (129,)])
def test_bits_come_back(shape):
    signs = torch.randn(shape, generator=drawn(2))
    packed = pack(signs)
    assert packed.dtype == torch.uint8
    assert packed.shape == (math.ceil(signs.numel() / 8),)
    assert torch.equal(unpack(packed, shape), signs.sign().to(torch.int8))


def test_binary_weights_take_one_bit():
    gaussian, binary = make(hidden=480, field=None), make(hidden=480, field=None, weights="binary")
    signs = unpack(binary.weight, binary.shape)
    assert torch.equal(signs, gaussian.weight.sign().to(torch.int8))
    assert signs.abs().min() == 1
    assert abs(signs.double().mean().item()) < 0.03
    assert binary.offset.abs().unique().tolist() == [1.0]
    stored = [model.state_dict()["weight"] for model in (gaussian, binary)]
    sizes = [weight.numel() * weight.element_size() for weight in stored]
    assert sizes == [48 * 480 * 4, 48 * 480 // 8]
    assert sizes[0] / sizes[1] == 32


# Statistics


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("field", [None, 3])
@pytest.mark.parametrize("weights", ["gaussian", "binary"])
def test_what_goes_into_the_activation_has_the_deviation_asked_for(name, field, weights):
    """Root mean square over units of the weighted sum, whose offset is a constant of each unit."""
    spec, kind = KINDS[name]
    model = make(spec, hidden=2000, scale=0.7, field=field, input=kind, weights=weights)
    model.activate = lambda x: x
    sums = model.features(as_input(samples_of(spec, 300))) - model.offset
    assert sums.square().mean().sqrt().item() == pytest.approx(0.7, rel=0.06)
    if weights == "gaussian":
        assert model.offset.std().item() == pytest.approx(0.7, rel=0.06)


def test_the_embedding_is_standardised_over_the_training_codes():
    """Each code counts as often as it occurs."""
    rare = torch.zeros(100, 5, 6, dtype=torch.int16)
    rare[:10] = torch.randint(0, C, (10, 5, 6), generator=drawn()).to(torch.int16)
    torch.manual_seed(0)
    model = ELM(BOOK, hidden=5)
    model.fit_inputs(rare, codebook_of(BOOK))
    x = model.inputs(rare.long()).double().flatten(0, 1)
    torch.testing.assert_close(x.mean(dim=0), torch.zeros(E).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(x.std(dim=0, unbiased=False), torch.ones(E).double(), rtol=1e-5, atol=0)
    assert torch.equal(model.inputs.codebook, codebook_of(BOOK))


def test_a_dimension_that_is_constant_in_training_stays_small():
    """Codes 0 to 9 agree in a dimension and code 10 does not, which is met in the test part alone."""
    model = make(BOOK, hidden=5)
    for seed in range(50):
        samples, book = torch.randint(0, 10, (60, 5, 6), generator=drawn(seed)), codebook_of(BOOK)
        book[:10, 1] = torch.rand(1, generator=drawn(seed))
        model.fit_inputs(samples, book)
        assert model.inputs.vectors().abs().max() < 10
        assert model.inputs.std[1].item() == 1


# State


@pytest.mark.parametrize(("name", "weights"), list(product(KINDS, ["gaussian", "binary"])))
def test_a_state_is_all_there_is(name, weights):
    spec, kind = KINDS[name]
    model, x = make(spec, input=kind, weights=weights, field=3), as_input(samples_of(spec))
    with torch.no_grad():
        model.beta.normal_(generator=drawn(5))
    torch.manual_seed(99)
    fresh = ELM(spec, hidden=50, input=kind, weights=weights, field=3)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), model(x))
    assert model(x).abs().max() > 0.1
    assert set(model.state_dict()) == {
        *(f"inputs.{key}" for key in ("mean", "std", "codebook")),
        *("weight", "offset", "chosen", "beta"),
    }


def in_double(name: str, **arguments) -> tuple[ELM, Tensor, Tensor]:
    """The model, its input, and its features by their definition."""
    spec, kind = KINDS[name]
    samples = samples_of(spec)
    x = as_input(samples)
    model = make(spec, input=kind, field=3, **arguments).double()
    model.scale_of_test = 1.0
    x = x.double() if x.is_floating_point() else x
    return model, x, dense_features(model, numbers(spec, kind, samples))


@pytest.mark.parametrize("name", KINDS)
def test_double_precision(name):
    model, x, expected = in_double(name)
    features = model.features(x)
    assert features.dtype == torch.float64
    torch.testing.assert_close(features, expected, rtol=0, atol=2e-5)  # the statistics are of float32


@pytest.mark.parametrize("name", KINDS)
def test_double_precision_is_the_same_once_loaded(name):
    """A run of `trainer.precision=64-true` is solved with one of them and tested with the other."""
    model, x, _ = in_double(name)
    fresh = in_double(name, weights="gaussian")[0]
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.features(x), model.features(x))


def test_a_seed_repeats():
    x = as_input(samples_of(GREY))
    first, again, other = make(seed=4), make(seed=4), make(seed=5)
    assert torch.equal(first.features(x), again.features(x))
    assert (first.features(x) - other.features(x)).abs().max() > 0.1


# Sizes


def test_number_of_parameters():
    """48 positions, a unit of the whole sees all; 3 x 3 squares at 6 x 4 places, ceil(50 / 24) = 3 units each."""
    model = make(field=None)
    assert sum(parameter.numel() for parameter in model.parameters()) == 50 * 3
    assert model.fixed_weights == 48 * 50 + 50
    model = make(field=3, readout=["ridge", "lasso"])
    assert model.beta.shape == (2, 50, 3)
    assert model.shape == (24, 9, 1, 3)
    assert model.fixed_weights == 24 * 9 * 3 + 50
    assert make(COLOUR, field=None).fixed_weights == 48 * 3 * 50 + 50
    assert make(CODES, field=None).fixed_weights == 30 * C * 50 + 50
    assert make(BOOK, field=None).fixed_weights == 30 * E * 50 + 50


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        (GREY, {"readout": []}, r"^model\.readout=\[\]: each readout once$"),
        (GREY, {"readout": ["ridge", "ridge"]}, r"^model\.readout=\['ridge', 'ridge'\]: each readout once$"),
        (GREY, {"hidden": 0}, r"^model\.hidden=0 and model\.scale=1\.0 must be above 0$"),
        (GREY, {"scale": 0.0}, r"^model\.hidden=50 and model\.scale=0\.0 must be above 0$"),
        (GREY, {"field": 7}, r"^model\.field=7: from 1 to 6, or null for the whole input$"),
        (GREY, {"field": 0}, r"^model\.field=0: from 1 to 6"),
        (GREY, {"input": "embedding"}, r"^model\.input=embedding is for code maps \(data=codes\); images are standard"),
        (
            CODES,
            {"input": "embedding"},
            r"^model\.input=embedding needs the codebook, and data\.path holds codes alone",
        ),
        (ImageSpec(1, (8, 6), ("a",)), {}, r"^a classifier needs samples of two classes at least; the data have 1$"),
    ],
)
def test_contradictions_are_named(spec, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(spec, **arguments)
