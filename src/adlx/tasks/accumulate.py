"""Sums over samples, in memory that does not grow with their number.

Shapes: B batch, L features, K classes.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.nn.functional import one_hot

from adlx.models.classification.elm import ELM
from adlx.tasks.readouts import Sums

ROWS = 2048
"""Samples whose features a thread multiplies at once: of fewer, adding up costs more; of more it takes memory."""


class Accumulator:
    """Adds up H^T H and H^T Y of batches as they come.

    Products are of the features' own precision; the sums are float64, since a float32 loses a digit each time the
    number of samples grows by ten. A batch is added wholly or, where something fails, not at all.

    Args:
        model: whose features are added up.
        classes: K.
    """

    def __init__(self, model: ELM, classes: int) -> None:
        self.model, self.classes = model, classes
        self.gram: Any = None  # (L, L), numpy on the CPU, a tensor elsewhere
        self.cross: Any = None  # (L, K)
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self.waiting: list[tuple[Tensor, Tensor]] = []

    def add(self, sample: Tensor, label: Tensor) -> None:
        waiting = [*self.waiting, (sample, label)]
        parts = torch.get_num_threads() if label.device.type == "cpu" else 1
        if sum(len(labels) for _, labels in waiting) >= ROWS * parts:
            self.absorb(waiting)
            waiting = []
        self.waiting = waiting

    def absorb(self, batches: list[tuple[Tensor, Tensor]]) -> None:
        """Multiplies batches, and once all is done adds it to the sums."""
        sample, label = (torch.cat(parts) for parts in zip(*batches, strict=True))
        several = self.side_by_side(list(zip(sample.split(ROWS), label.split(ROWS), strict=True)))
        gram, cross = next(several)
        for further in several:
            gram, cross = as_double(gram), cross + further[1]
            gram += further[0]
        if self.gram is None:
            self.gram, self.cross = as_double(gram), cross
        else:
            self.gram += gram
            self.cross += cross
        self.counts += torch.bincount(label, minlength=self.classes).cpu()

    def side_by_side(self, parts: list[tuple[Tensor, Tensor]]) -> Iterator[tuple[Any, Any]]:
        """`products` of each part, in order. On the CPU a thread has a part to itself, so that none waits within one.

        Features are torch's and products NumPy's: of their two pools of threads, each is still awake and in the way
        when the other is to work.
        """
        threads = torch.get_num_threads()
        if threads == 1 or len(parts) == 1 or parts[0][0].device.type != "cpu":
            with blas_threads():
                yield from (self.products(*part) for part in parts)
            return

        def alone(part: tuple[Tensor, Tensor]) -> tuple[Any, Any]:
            torch.set_num_threads(1)  # of this thread
            return self.products(*part)

        try:
            with blas_threads(1), ThreadPoolExecutor(threads) as crew:
                for first in range(0, len(parts), threads):  # no more at once: each has a product of its own
                    yield from crew.map(alone, parts[first : first + threads])
        finally:
            torch.set_num_threads(threads)  # with which threads to come begin

    @torch.no_grad()
    def products(self, sample: Tensor, label: Tensor) -> tuple[Any, Any]:
        """H^T H (L, L) in the features' precision, and H^T Y (L, K) in float64."""
        with torch.autocast(sample.device.type, enabled=False):
            features = self.model.features(sample)
        target = one_hot(label, self.classes).to(features.dtype)
        if features.device.type != "cpu":
            return (features.T @ features).double(), (features.T @ target).double()
        # NumPy notices that a matrix meets its own transpose and computes half of the product; torch does not.
        rows = features.numpy()
        return rows.T @ rows, (rows.T @ target.numpy()).astype(np.float64)

    def sums(self, reduce: Callable[[Tensor], Tensor] | None = None) -> Sums:
        """Of all that was added; with `reduce`, of all processes."""
        if self.waiting:
            self.absorb(self.waiting)
            self.waiting = []
        parts = [torch.as_tensor(part) for part in (self.gram, self.cross, self.counts)]
        if reduce is not None:
            parts = [reduce(part) for part in parts]
        gram, cross, counts = (part.cpu().numpy() for part in parts)
        return Sums(gram, cross, counts, int(counts.sum()), torch.finfo(self.model.beta.dtype).eps)

    def state(self) -> dict[str, Any]:
        """Plain values and tensors, from which `restore` goes on to the last bit."""
        sums = None
        if self.gram is not None:
            sums = [torch.as_tensor(part).clone().cpu() for part in (self.gram, self.cross, self.counts)]
        return {"sums": sums, "waiting": [[part.cpu() for part in batch] for batch in self.waiting]}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        self.waiting = [(sample.to(device), label.to(device)) for sample, label in state["waiting"]]
        if state["sums"] is not None:
            gram, cross, self.counts = state["sums"]
            on_cpu = device.type == "cpu"
            self.gram, self.cross = (part.numpy() if on_cpu else part.to(device) for part in (gram, cross))


def as_double(gram: Any) -> Any:
    return gram.astype(np.float64) if isinstance(gram, np.ndarray) else gram


def blas_threads(count: int | None = None) -> Any:
    """Holds NumPy's and SciPy's linear algebra to the number of threads, by default that of torch."""
    return controller().limit(limits=count or torch.get_num_threads(), user_api="blas")


@cache
def controller() -> ThreadpoolController:
    return ThreadpoolController()
