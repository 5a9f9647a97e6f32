"""Sums over samples, in memory that does not grow with the number of samples.

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
"""Number of samples that a thread multiplies at once: fewer need more additions, and more need more memory."""


class Accumulator:
    """Adds up H^T H and H^T Y over batches.

    Products have the precision of the features. Sums are float64, since a float32 sum loses a digit each time the
    number of samples grows by ten. If a batch raises an error, no part of it is added.

    Args:
        model: computes the features H.
        classes: K, the number of classes.
    """

    def __init__(self, model: ELM, classes: int) -> None:
        self.model, self.classes = model, classes
        self.gram: Any = None  # (L, L), numpy on the CPU, a tensor elsewhere
        self.cross: Any = None  # (L, K)
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self.waiting: list[tuple[Tensor, Tensor]] = []  # batches that are not multiplied yet

    def add(self, sample: Tensor, label: Tensor) -> None:
        waiting = [*self.waiting, (sample, label)]
        parts = torch.get_num_threads() if label.device.type == "cpu" else 1
        if sum(len(labels) for _, labels in waiting) >= ROWS * parts:
            self.multiply(waiting)
            waiting = []
        self.waiting = waiting

    def multiply(self, batches: list[tuple[Tensor, Tensor]]) -> None:
        """Multiplies batches, and adds the products to the sums when all are computed."""
        sample, label = (torch.cat(parts) for parts in zip(*batches, strict=True))
        products = self.parallel_products(list(zip(sample.split(ROWS), label.split(ROWS), strict=True)))
        gram, cross = next(products)
        for next_gram, next_cross in products:
            gram, cross = as_double(gram), cross + next_cross
            gram += next_gram
        if self.gram is None:
            self.gram, self.cross = as_double(gram), cross
        else:
            self.gram += gram
            self.cross += cross
        self.counts += torch.bincount(label, minlength=self.classes).cpu()

    def parallel_products(self, parts: list[tuple[Tensor, Tensor]]) -> Iterator[tuple[Any, Any]]:
        """Computes `products` of each part, in order. On the CPU, each thread computes whole parts alone.

        torch computes the features and NumPy the products. Each has its own pool of threads, and the threads of one
        pool still run for a short time after their work, which slows down the other pool.
        """
        threads = torch.get_num_threads()
        if threads == 1 or len(parts) == 1 or parts[0][0].device.type != "cpu":
            with blas_threads():
                yield from (self.products(*part) for part in parts)
            return

        def single_threaded(part: tuple[Tensor, Tensor]) -> tuple[Any, Any]:
            torch.set_num_threads(1)  # holds for the calling thread only
            return self.products(*part)

        try:
            with blas_threads(1), ThreadPoolExecutor(threads) as pool:
                for first in range(0, len(parts), threads):  # only `threads` products are in memory at once
                    yield from pool.map(single_threaded, parts[first : first + threads])
        finally:
            torch.set_num_threads(threads)  # new threads start with the last number that was set

    @torch.no_grad()
    def products(self, sample: Tensor, label: Tensor) -> tuple[Any, Any]:
        """H^T H (L, L) in the features' precision, and H^T Y (L, K) in float64."""
        with torch.autocast(sample.device.type, enabled=False):
            features = self.model.features(sample)
        target = one_hot(label, self.classes).to(features.dtype)
        if features.device.type != "cpu":
            return (features.T @ features).double(), (features.T @ target).double()
        # NumPy computes only half of the product of a matrix and its own transpose; torch computes all of it.
        rows = features.numpy()
        return rows.T @ rows, (rows.T @ target.numpy()).astype(np.float64)

    def sums(self, reduce: Callable[[Tensor], Tensor] | None = None) -> Sums:
        """The sums over all batches that were added; `reduce` adds up a tensor over all processes."""
        if self.waiting:
            self.multiply(self.waiting)
            self.waiting = []
        parts = [torch.as_tensor(part) for part in (self.gram, self.cross, self.counts)]
        if reduce is not None:
            parts = [reduce(part) for part in parts]
        gram, cross, counts = (part.cpu().numpy() for part in parts)
        return Sums(gram, cross, counts, int(counts.sum()), torch.finfo(self.model.beta.dtype).eps)

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint, as plain values and tensors; `restore` loads it without any rounding."""
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
    """Limits the threads of linear algebra in NumPy and SciPy, by default to the number of threads of torch."""
    return controller().limit(limits=count or torch.get_num_threads(), user_api="blas")


@cache
def controller() -> ThreadpoolController:
    return ThreadpoolController()
