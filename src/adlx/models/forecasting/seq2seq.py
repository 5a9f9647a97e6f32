"""LSTM encoder-decoder with dot-product attention and teacher forcing.

Sutskever, Vinyals, Le (2014), "Sequence to Sequence Learning with Neural Networks": the last state of an encoder LSTM,
which reads the past, is the first state of a decoder LSTM. Luong, Pham, Manning (2015), "Effective Approaches to
Attention-based Neural Machine Translation", section 3.1: at each decoder state h_t, with the encoder states e_s,

    a_t(s) = softmax_s(h_t . e_s)        (dot score, not divided by sqrt(d))
    c_t    = sum_s a_t(s) e_s
    y_t    = W [c_t; h_t] + b

The first input of the decoder is the last value of the past. Each later input is the true value of the step before with
teacher forcing (Williams & Zipser 1989), otherwise the decoder's own forecast (scheduled sampling, Bengio et al. 2015).

Shapes: B batch, T context, H horizon, S series, D hidden, P values of a series and step.
"""

import torch
from torch import Tensor, nn

from adlx.models.forecasting.forecaster import Forecaster, ForecastHead
from adlx.ranges import Count, NonNegativeInt, Share, Size
from adlx.specs import SeriesSpec

State = tuple[Tensor, Tensor]


class Seq2Seq(Forecaster):
    """The encoder-decoder.

    Args:
        spec: series, context and horizon, from the data.
        hidden: units of each LSTM.
        layers: stacked LSTM layers.
        dropout: between stacked layers and before the head.
        teacher_forcing: probability, for each window and step in training, that the input of the decoder is the true
            value.
        teacher_forcing_final: that probability after `teacher_forcing_steps` training steps, linear in between; None:
            it is constant.
        zero_init: start the head at zero, so that an untrained model with instance normalization is the naive forecast.
    """

    steps_trained: Tensor

    def __init__(
        self,
        spec: SeriesSpec,
        hidden: Size = 64,
        layers: Count = 1,
        dropout: Share = 0.0,
        teacher_forcing: Share = 1.0,
        teacher_forcing_final: Share | None = None,
        teacher_forcing_steps: NonNegativeInt = 0,
        zero_init: bool = True,
    ) -> None:
        super().__init__(spec)
        if not all(0 <= ratio <= 1 for ratio in (teacher_forcing, teacher_forcing_final or 0.0)):
            raise ValueError(
                "model.teacher_forcing and model.teacher_forcing_final are probabilities: they must be from 0 to 1"
            )
        if teacher_forcing_final is not None and teacher_forcing_steps < 1:
            raise ValueError(
                f"model.teacher_forcing_final={teacher_forcing_final} needs model.teacher_forcing_steps of at least 1, "
                f"not {teacher_forcing_steps}"
            )
        width = len(spec.series)
        between_layers = dropout if layers > 1 else 0.0
        self.encoder = nn.LSTM(width, hidden, layers, batch_first=True, dropout=between_layers)
        self.decoder = nn.LSTM(width, hidden, layers, batch_first=True, dropout=between_layers)
        self.dropout = nn.Dropout(dropout)
        self.head = ForecastHead(2 * hidden, spec)
        if zero_init:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
        self.start, self.final, self.ramp = teacher_forcing, teacher_forcing_final, teacher_forcing_steps
        self.register_buffer("steps_trained", torch.zeros((), dtype=torch.int64))

    def teacher_forcing(self) -> float:
        """The probability of teacher forcing at the current training step."""
        if self.final is None:
            return self.start
        done = min(1.0, self.steps_trained.item() / self.ramp)
        return self.start + done * (self.final - self.start)

    def forward(self, past: Tensor, future: Tensor) -> Tensor:
        memory, state = self.encoder(past)
        ratio = self.teacher_forcing()
        if self.training and self.final is not None:
            self.steps_trained += 1
        last = past[:, -1:]
        if ratio == 1.0:  # all inputs are known: one call of the LSTM for the whole horizon
            inputs = torch.cat([last, future[:, :-1]], dim=1)
            return self.decode(inputs, state, memory)[0]
        return self.unroll(last, state, memory, future, ratio)

    def forecast(self, past: Tensor) -> Tensor:
        memory, state = self.encoder(past)
        return self.unroll(past[:, -1:], state, memory)

    def decode(self, inputs: Tensor, state: State, memory: Tensor) -> tuple[Tensor, State]:
        """Computes outputs (B, h, S) or (B, h, S, P) and the new state from inputs (B, h, S).

        `memory` are the encoder states (B, T, D).
        """
        hidden, state = self.decoder(inputs, state)
        scores = hidden @ memory.transpose(1, 2)  # (B, h, T)
        context = scores.softmax(dim=-1) @ memory  # (B, h, D)
        return self.head(self.dropout(torch.cat([context, hidden], dim=-1))), state

    def unroll(
        self, value: Tensor, state: State, memory: Tensor, future: Tensor | None = None, ratio: float = 0.0
    ) -> Tensor:
        """Decodes step by step; each input is the forecast before it or, with probability `ratio`, the truth."""
        outputs = []
        for step in range(self.spec.horizon):
            output, state = self.decode(value, state, memory)
            outputs.append(output)
            value = output if self.spec.outputs == 1 else output[..., 0]
            if future is not None and ratio > 0:
                is_forced = torch.rand(len(output), 1, 1, device=output.device) < ratio
                value = torch.where(is_forced, future[:, step : step + 1], value)
        return torch.cat(outputs, dim=1)
