"""A multilayer perceptron, trained by gradient descent, for comparison with the extreme learning machine."""

from collections.abc import Sequence

from torch import Tensor, nn

from adlx.models.classification.classifier import Classifier, Input
from adlx.ranges import Share, Size
from adlx.specs import CodeSpec, ImageSpec


class MLP(Classifier):
    """Affine layers with ReLU between them.

    Args:
        spec: of images or code maps, from the data.
        widths: of the hidden layers, in order.
        dropout: probability, after each hidden layer.
        input: how samples are converted to numbers, see `Inputs`.
    """

    def __init__(
        self,
        spec: ImageSpec | CodeSpec,
        widths: Sequence[Size] = (640, 1650, 3000, 500),
        dropout: Share = 0.0,
        input: Input = "auto",
    ) -> None:
        super().__init__(spec, input)
        if not widths or min(widths) < 1:
            raise ValueError(f"model.widths={list(widths)}: must be a list of widths, each at least 1")
        layers: list[nn.Module] = []
        before = self.inputs.positions * self.inputs.width
        for width in widths:
            layers += [nn.Linear(before, width), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
            before = width
        self.layers = nn.Sequential(*layers, nn.Linear(before, len(spec.classes)))

    def forward(self, sample: Tensor) -> Tensor:
        return self.layers(self.inputs(sample).flatten(1))
