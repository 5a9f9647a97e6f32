"""The encoder-decoder equals its equations; teacher forcing, gradients and options."""

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from adlx.models.forecasting.seq2seq import Seq2Seq
from adlx.specs import SeriesSpec

SPEC = SeriesSpec(("a", "b"), context=6, horizon=4)
WINDOWS = 3


@pytest.fixture
def windows() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    past = torch.randn(WINDOWS, SPEC.context, len(SPEC.series), generator=generator)
    return past, torch.randn(WINDOWS, SPEC.horizon, len(SPEC.series), generator=generator)


def make(spec: SeriesSpec = SPEC, hidden: int = 5, **arguments) -> Seq2Seq:
    torch.manual_seed(1)
    return Seq2Seq(spec, hidden=hidden, **{"zero_init": False, **arguments}).double()


def lstm_by_hand(layer: nn.LSTM, inputs: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor):
    """Hochreiter & Schmidhuber 1997 with a forget gate, step by step; gates in the order of torch."""
    weights, biases = [layer.weight_ih_l0, layer.weight_hh_l0], [layer.bias_ih_l0, layer.bias_hh_l0]
    outputs = []
    for step in range(inputs.shape[1]):
        gates = inputs[:, step] @ weights[0].T + biases[0] + hidden @ weights[1].T + biases[1]
        enter, forget, candidate, leave = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        outputs.append(hidden)
    return torch.stack(outputs, dim=1), hidden, cell


def forecast_by_hand(model: Seq2Seq, past: torch.Tensor) -> torch.Tensor:
    zeros = past.new_zeros(len(past), model.encoder.hidden_size)
    memory, hidden, cell = lstm_by_hand(model.encoder, past, zeros, zeros)
    value, outputs = past[:, -1], []
    for _ in range(model.spec.horizon):
        _, hidden, cell = lstm_by_hand(model.decoder, value[:, None], hidden, cell)
        context = torch.zeros_like(hidden)
        for window in range(len(past)):
            scores = torch.stack([hidden[window] @ state for state in memory[window]])
            attention = scores.exp() / scores.exp().sum()
            context[window] = sum(a * state for a, state in zip(attention, memory[window], strict=True))
        value = torch.cat([context, hidden], dim=1) @ model.head.weight.T + model.head.bias
        outputs.append(value)
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize(
    ("hidden", "series", "expected"),
    # Two LSTMs of 4 D (S + D + 2) and a head of (2 D + 1) S.
    [(1000, 7, 8_086_007), (64, 7, 38_279), (5, 2, 382)],
)
def test_number_of_parameters(hidden, series, expected):
    model = Seq2Seq(SeriesSpec(tuple("abcdefg"[:series]), 96, 5), hidden=hidden)
    assert sum(p.numel() for p in model.parameters()) == expected
    assert expected == 2 * 4 * hidden * (series + hidden + 2) + (2 * hidden + 1) * series


def test_forecast_equals_the_equations(windows):
    model, past = make().eval(), windows[0].double()
    torch.testing.assert_close(model.forecast(past), forecast_by_hand(model, past), rtol=1e-12, atol=1e-13)


def test_attention_equals_that_of_torch_without_division_by_the_root_of_the_width(windows):
    model, past = make().eval(), windows[0].double()
    memory, state = model.encoder(past)
    inputs = torch.randn(WINDOWS, SPEC.horizon, 2, dtype=torch.float64)
    hidden, _ = model.decoder(inputs, state)
    context = scaled_dot_product_attention(hidden, memory, memory, scale=1.0)
    expected = torch.cat([context, hidden], dim=-1) @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model.decode(inputs, state, memory)[0], expected, rtol=1e-12, atol=1e-13)
    divided = scaled_dot_product_attention(hidden, memory, memory)  # 1 / sqrt(d) would be another model
    assert (divided - context).abs().max() > 1e-3


def test_the_decoder_starts_from_the_states_of_all_encoder_layers(windows):
    model, past = make(layers=2).eval(), windows[0].double()
    memory, state = model.encoder(past)
    assert state[0].shape[0] == 2
    hidden, _ = model.decoder(past[:, -1:], state)
    context = scaled_dot_product_attention(hidden, memory, memory, scale=1.0)
    first = model.head(torch.cat([context, hidden], dim=-1))
    torch.testing.assert_close(model.forecast(past)[:, :1], first, rtol=1e-12, atol=1e-13)


def test_teacher_forcing_with_the_forecast_as_truth_returns_the_forecast(windows):
    model, past = make(), windows[0].double()
    own = model.forecast(past)
    torch.testing.assert_close(model(past, own), own, rtol=1e-12, atol=1e-13)


def test_inputs_of_the_decoder_are_the_true_values_with_teacher_forcing(windows):
    model, (past, future) = make(), (part.double() for part in windows)
    forced, free = model(past, future), model.forecast(past)
    torch.testing.assert_close(
        forced[:, 0], free[:, 0], rtol=1e-12, atol=1e-13
    )  # both start with the last value of the past
    assert (forced[:, 1:] - free[:, 1:]).abs().amax(dim=(0, 2)).min() > 1e-3
    changed = future.clone()
    changed[:, -1] += 100.0  # the last truth is fed to no step
    assert torch.equal(model(past, changed), forced)
    changed[:, 1] += 1.0  # the second, to the third step and by the state to all after it
    difference = (model(past, changed) - forced).abs().amax(dim=(0, 2))
    assert torch.equal(difference[:2], torch.zeros(2, dtype=torch.float64))
    assert difference[2:].min() > 1e-6


def test_training_without_teacher_forcing_equals_the_forecast(windows):
    model, (past, future) = make(teacher_forcing=0.0).train(), (part.double() for part in windows)
    assert torch.equal(model(past, future), model.forecast(past))
    assert torch.equal(model(past, torch.full_like(future, torch.nan)), model.forecast(past))


def test_each_window_and_step_is_forced_with_the_given_probability(windows):
    model = make(teacher_forcing=0.3).train()
    past, future = windows[0][:1].double(), windows[1][:1].double()
    many = 4000
    torch.manual_seed(0)
    outputs = model(past.expand(many, -1, -1), future.expand(many, -1, -1))
    forced, free = make(teacher_forcing=1.0)(past, future), model.forecast(past)
    second_forced = (outputs[:, 1] - forced[0, 1]).abs().amax(dim=1) < 1e-9
    second_free = (outputs[:, 1] - free[0, 1]).abs().amax(dim=1) < 1e-9
    assert (second_forced ^ second_free).all()
    assert second_forced.double().mean().item() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / many) ** 0.5)
    assert len(outputs[:, 3].round(decimals=9).unique(dim=0)) == 8  # forced or not, at each of the three steps before


def test_the_probability_decreases_linearly_and_then_stays(windows):
    model, (past, future) = (
        make(teacher_forcing=0.9, teacher_forcing_final=0.1, teacher_forcing_steps=4).train(),
        (part.double() for part in windows),
    )
    chances = []
    for _ in range(6):
        chances.append(model.teacher_forcing())
        model(past, future)
    assert chances == pytest.approx([0.9, 0.7, 0.5, 0.3, 0.1, 0.1], abs=1e-12)
    model.eval()
    model(past, future)  # a pass that does not train is no step
    assert model.steps_trained.item() == 6
    assert model.state_dict()["steps_trained"].item() == 6  # a resumed run goes on where it was
    assert make(teacher_forcing=0.4).teacher_forcing() == 0.4


def test_the_forecast_depends_on_the_order_of_steps(windows):
    model, past = make().eval(), windows[0].double()
    swapped = past[:, [1, 0, 2, 3, 4, 5]]  # the same values with the same last one
    assert (model.forecast(swapped) - model.forecast(past)).abs().max() > 1e-4


def test_windows_of_a_batch_are_independent(windows):
    model, past = make().eval(), windows[0].double()
    for window in range(WINDOWS):
        single = model.forecast(past[window : window + 1])
        torch.testing.assert_close(single[0], model.forecast(past)[window], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("layers", [1, 2])
def test_gradient_reaches_every_parameter(windows, ratio, layers):
    model, (past, future) = make(teacher_forcing=ratio, layers=layers).train(), (part.double() for part in windows)
    (model(past, future) - future).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-8, name


def test_gradient_of_the_forecast_equals_finite_differences(windows):
    spec = SeriesSpec(("a",), 3, 2)
    model, past = make(spec, hidden=2), windows[0][:1, :3, :1].double().requires_grad_()
    assert torch.autograd.gradcheck(model.forecast, (past,), eps=1e-6, atol=1e-8)


def test_an_untrained_model_with_zero_init_forecasts_zero(windows):
    model, (past, future) = make(zero_init=True), (part.double() for part in windows)
    assert torch.equal(model.forecast(past), torch.zeros_like(future))
    assert make(zero_init=False).forecast(past).abs().max() > 1e-2
    (model(past, future) - future).square().mean().backward()  # and is no dead end
    assert model.head.weight.grad.abs().min() > 1e-6


def test_dropout_acts_only_in_training(windows):
    past = windows[0].double()
    model = make(dropout=0.5, teacher_forcing=0.0)
    assert torch.equal(model.eval().forecast(past), make(dropout=0.0).eval().forecast(past))
    torch.manual_seed(0)
    first = model.train().forecast(past)
    assert (first - model.forecast(past)).abs().max() > 1e-3
    torch.manual_seed(0)
    assert torch.equal(model.forecast(past), first)


def test_only_the_point_is_the_next_input_of_the_decoder(windows):
    """Two heads with equal rows for the point give equal points: other outputs are not used as input."""
    point, wide = make().eval(), make(SeriesSpec(SPEC.series, 6, 4, outputs=5)).eval()
    states = point.state_dict()
    wide.load_state_dict({key: states[key] for key in states if not key.startswith("head.")}, strict=False)
    with torch.no_grad():
        for own, given in zip(wide.head.parameters(), point.head.parameters(), strict=True):
            own[::5] = given  # rows run over series, then values
    past, future = (part.double() for part in windows)
    output = wide.forecast(past)
    assert output.shape == (WINDOWS, 4, 2, 5)
    torch.testing.assert_close(output[..., 0], point.forecast(past), rtol=1e-12, atol=1e-13)
    assert (output[..., 1:] - output[..., :1]).abs().min() > 1e-6
    torch.testing.assert_close(wide(past, future)[..., 0], point(past, future), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(wide(past, output[..., 0]), output, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teacher_forcing": 1.2}, "model.teacher_forcing and model.teacher_forcing_final are probabilities"),
        ({"teacher_forcing_final": -0.1, "teacher_forcing_steps": 3}, "are probabilities: they must be from 0 to 1"),
        (
            {"teacher_forcing_final": 0.0},
            "model.teacher_forcing_final=0.0 needs model.teacher_forcing_steps of at least 1, not",
        ),
    ],
)
def test_contradictory_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)
