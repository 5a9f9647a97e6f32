"""The random layer equals its definition, g(x W + b); binary weights, statistics, state and sizes."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from adlx.models.classification.elm import ELM, pack, square_positions, unpack
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


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def samples_of(spec: ImageSpec | CodeSpec, count: int = 60) -> Tensor:
    """Samples as stored."""
    if isinstance(spec, ImageSpec):
        return torch.randint(0, 256, (count, spec.channels, *spec.size), generator=generator(), dtype=torch.uint8)
    return torch.randint(0, C, (count, *spec.grid), generator=generator()).to(torch.int16)


def codebook_of(spec: ImageSpec | CodeSpec) -> Tensor | None:
    return torch.randn(C, E, generator=generator(1)) * 3 + 2 if getattr(spec, "dimension", None) else None


def as_input(samples: Tensor) -> Tensor:
    return samples.float() / 255 if samples.dtype == torch.uint8 else samples.long()


def make(spec=GREY, seed: int = 0, **arguments) -> ELM:
    torch.manual_seed(seed)
    model = ELM(spec, **{"hidden": 50, **arguments})
    model.fit_inputs(samples_of(spec), codebook_of(spec))
    return model


def expected_inputs(spec, kind: str, samples: Tensor) -> Tensor:
    """The input (N, P, D) in float64, from the definition of each kind of input."""
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
    flat_vectors = vectors.flatten(0, 1)
    return (vectors - flat_vectors.mean(dim=0)) / flat_vectors.std(dim=0, unbiased=False)


def dense_features(model: ELM, x: Tensor, activate=torch.tanh) -> Tensor:
    """Unit h is number h // S of square h % S; the corners of the squares are in the order of rows."""
    (height, width), (squares, size, depth, _) = model.inputs.grid, model.shape
    side = math.isqrt(size) if squares > 1 else None
    corners = list(product(range(height - side + 1), range(width - side + 1))) if side else [(0, 0)]
    assert len(corners) == squares
    weight = unpack(model.weight, model.shape) if model.weights == "binary" else model.weight
    squared_norm = 1 if model.inputs.kind == "onehot" else depth
    grid = x.view(len(x), height, width, depth)
    columns = []
    for unit in range(model.hidden):
        row, column = corners[unit % squares]
        square = grid if side is None else grid[:, row : row + side, column : column + side]
        w = (
            weight[unit % squares, :, :, unit // squares].double()
            * model.scale_of_test
            / math.sqrt(size * squared_norm)
        )
        columns.append((square.flatten(1) * w.flatten()).sum(dim=1) + model.offset[unit].double())
    return activate(torch.stack(columns, dim=1))


@pytest.mark.parametrize("weights", ["gaussian", "binary"])
@pytest.mark.parametrize("field", [None, "auto", 3, 5])
@pytest.mark.parametrize("name", KINDS)
def test_features_equal_the_definition(name, field, weights):
    """Neither 50 nor 7 is a multiple of the number of squares, and 7 is smaller than most of these numbers."""
    spec, kind = KINDS[name]
    samples = samples_of(spec)
    x = expected_inputs(spec, kind, samples)
    for hidden, scale in ((50, 1.0), (7, 0.3)):
        model = make(spec, field=field, weights=weights, input=kind, hidden=hidden, scale=scale)
        model.scale_of_test = scale
        features = model.features(as_input(samples))
        assert features.shape == (60, hidden)
        torch.testing.assert_close(features.double(), dense_features(model, x), rtol=0, atol=2e-5)


@pytest.mark.parametrize(("name", "activate"), [("sigmoid", torch.sigmoid), ("relu", torch.relu)])
def test_each_activation_is_applied(name, activate):
    model = make(activation=name, field=2)
    model.scale_of_test = 1.0
    samples = samples_of(GREY)
    expected = dense_features(model, expected_inputs(GREY, "auto", samples), activate)
    torch.testing.assert_close(model.features(as_input(samples)).double(), expected, rtol=0, atol=2e-5)


def test_scores_are_those_of_the_chosen_readout():
    model = make(readout=["ridge", "none"])
    x = as_input(samples_of(GREY))
    assert not model(x).any()
    with torch.no_grad():
        model.beta[1] = torch.randn(50, 3, generator=generator(3))
        model.chosen.fill_(1)
    torch.testing.assert_close(model(x), model.features(x) @ model.beta[1])


def test_square_positions():
    assert square_positions((2, 3), 2).tolist() == [[0, 1, 3, 4], [1, 2, 4, 5]]
    assert square_positions((2, 3), 1).tolist() == [[position] for position in range(6)]
    assert square_positions((2, 2), None).tolist() == [[0, 1, 2, 3]]
    assert make(CodeSpec((12, 12), C, None, CLASSES)).shape[:2] == (100, 9)  # a quarter of 12 is 3


# Binary weights


@pytest.mark.parametrize("shape", [(1,), (8,), (3, 5), (2, 3, 1, 7), (129,)])
def test_unpack_inverts_pack(shape):
    signs = torch.randn(shape, generator=generator(2))
    packed = pack(signs)
    assert packed.dtype == torch.uint8
    assert packed.shape == (math.ceil(signs.numel() / 8),)
    assert torch.equal(unpack(packed, shape), signs.sign().to(torch.int8))


def test_binary_weights_are_stored_as_one_bit_each():
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
def test_the_input_of_the_activation_has_the_deviation_of_scale(name, field, weights):
    """Root mean square of the weighted sums over units, without the offsets."""
    spec, kind = KINDS[name]
    model = make(spec, hidden=2000, scale=0.7, field=field, input=kind, weights=weights)
    model.activate = lambda x: x
    sums = model.features(as_input(samples_of(spec, 300))) - model.offset
    assert sums.square().mean().sqrt().item() == pytest.approx(0.7, rel=0.06)
    if weights == "gaussian":
        assert model.offset.std().item() == pytest.approx(0.7, rel=0.06)


def test_the_embedding_is_standardized_over_the_training_codes():
    """Each code has the weight of its frequency."""
    rare = torch.zeros(100, 5, 6, dtype=torch.int16)
    rare[:10] = torch.randint(0, C, (10, 5, 6), generator=generator()).to(torch.int16)
    torch.manual_seed(0)
    model = ELM(BOOK, hidden=5)
    model.fit_inputs(rare, codebook_of(BOOK))
    x = model.inputs(rare.long()).double().flatten(0, 1)
    torch.testing.assert_close(x.mean(dim=0), torch.zeros(E).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(x.std(dim=0, unbiased=False), torch.ones(E).double(), rtol=1e-5, atol=0)
    assert torch.equal(model.inputs.codebook, codebook_of(BOOK))


def test_a_dimension_that_is_constant_in_training_stays_small():
    """Codes 0 to 9 are equal in a dimension; code 10 differs, but occurs only in the test part."""
    model = make(BOOK, hidden=5)
    for seed in range(50):
        samples, book = torch.randint(0, 10, (60, 5, 6), generator=generator(seed)), codebook_of(BOOK)
        book[:10, 1] = torch.rand(1, generator=generator(seed))
        model.fit_inputs(samples, book)
        assert model.inputs.vectors().abs().max() < 10
        assert model.inputs.std[1].item() == 1


# State


@pytest.mark.parametrize(("name", "weights"), list(product(KINDS, ["gaussian", "binary"])))
def test_the_state_restores_the_model(name, weights):
    spec, kind = KINDS[name]
    model, x = make(spec, input=kind, weights=weights, field=3), as_input(samples_of(spec))
    with torch.no_grad():
        model.beta.normal_(generator=generator(5))
    torch.manual_seed(99)
    fresh = ELM(spec, hidden=50, input=kind, weights=weights, field=3)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), model(x))
    assert model(x).abs().max() > 0.1
    assert set(model.state_dict()) == {
        *(f"inputs.{key}" for key in ("mean", "std", "codebook")),
        *("weight", "offset", "chosen", "beta"),
    }


def double_model(name: str, **arguments) -> tuple[ELM, Tensor, Tensor]:
    """A model in float64, its input, and its features by the definition."""
    spec, kind = KINDS[name]
    samples = samples_of(spec)
    x = as_input(samples)
    model = make(spec, input=kind, field=3, **arguments).double()
    model.scale_of_test = 1.0
    x = x.double() if x.is_floating_point() else x
    return model, x, dense_features(model, expected_inputs(spec, kind, samples))


@pytest.mark.parametrize("name", KINDS)
def test_features_in_double_precision_equal_the_definition(name):
    model, x, expected = double_model(name)
    features = model.features(x)
    assert features.dtype == torch.float64
    torch.testing.assert_close(features, expected, rtol=0, atol=2e-5)  # the statistics are float32


@pytest.mark.parametrize("name", KINDS)
def test_features_in_double_precision_are_equal_after_loading(name):
    """With `trainer.precision=64-true` the readout is fitted on one model and tested with a loaded one."""
    model, x, _ = double_model(name)
    fresh = double_model(name, weights="gaussian")[0]
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.features(x), model.features(x))


def test_one_seed_gives_equal_weights():
    x = as_input(samples_of(GREY))
    first, again, other = make(seed=4), make(seed=4), make(seed=5)
    assert torch.equal(first.features(x), again.features(x))
    assert (first.features(x) - other.features(x)).abs().max() > 0.1


# Sizes


def test_number_of_parameters():
    """Without field a unit has all 48 positions; 6 x 4 squares of 3 x 3 have ceil(50 / 24) = 3 units each."""
    model = make(field=None)
    assert sum(parameter.numel() for parameter in model.parameters()) == 50 * 3
    assert model.num_fixed_weights == 48 * 50 + 50
    model = make(field=3, readout=["ridge", "lasso"])
    assert model.beta.shape == (2, 50, 3)
    assert model.shape == (24, 9, 1, 3)
    assert model.num_fixed_weights == 24 * 9 * 3 + 50
    assert make(COLOUR, field=None).num_fixed_weights == 48 * 3 * 50 + 50
    assert make(CODES, field=None).num_fixed_weights == 30 * C * 50 + 50
    assert make(BOOK, field=None).num_fixed_weights == 30 * E * 50 + 50


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        (GREY, {"readout": []}, r"^model\.readout=\[\]: must have at least one readout, and each only once$"),
        (
            GREY,
            {"readout": ["ridge", "ridge"]},
            r"^model\.readout=\['ridge', 'ridge'\]: must have at least one readout, and each only once$",
        ),
        (GREY, {"hidden": 0}, r"^model\.hidden=0 and model\.scale=1\.0 must be above 0$"),
        (GREY, {"scale": 0.0}, r"^model\.hidden=50 and model\.scale=0\.0 must be above 0$"),
        (GREY, {"field": 7}, r"^model\.field=7: must be from 1 to 6, or null for the whole input$"),
        (GREY, {"field": 0}, r"^model\.field=0: must be from 1 to 6"),
        (GREY, {"input": "embedding"}, r"^model\.input=embedding is for code maps \(data=codes\); images are standard"),
        (
            CODES,
            {"input": "embedding"},
            r"^model\.input=embedding needs the codebook, and data\.path has codes only",
        ),
        (ImageSpec(1, (8, 6), ("a",)), {}, r"^a classifier needs samples of at least two classes; the data have 1$"),
    ],
)
def test_contradictory_arguments_are_refused(spec, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(spec, **arguments)
