"""One side of `elm.py`: it fits on request, once per turn, so that only one process works at a time.

`elm_worker.py SIDE FOLDER SAMPLES SRC`. FOLDER contains `codemaps.npy` (N, 12, 12), `labels.npy` (N,), standardized
`inputs.npy` (N, 144), `projection.npy` (144, L) and `offset.npy` (L,); SRC is the folder that contains adlx. The first
turn does not fit: it reports the memory before the fit, after inputs are read and libraries imported. The first fit
writes its readout (L, K) to FOLDER, so that the sides can be compared.

Sides that do not compute features get H = tanh(`inputs` @ projection + offset), computed before the first turn.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RIDGE, LASSO, L1_RATIO = 1.0, 0.02, 0.5  # with 0.01 the elastic net sometimes needs more than 1000 iterations
CLASSES, BATCH = 7, 64
Fit = Callable[[], Any]


class Case:
    """The data of all sides, which are read on request."""

    def __init__(self, folder: Path, samples: int, source: str) -> None:
        self.folder, self.samples = folder, samples
        sys.path.insert(0, source)

    def read(self, name: str) -> np.ndarray:
        return np.load(self.folder / f"{name}.npy")

    def targets(self, dtype: Any) -> np.ndarray:
        return np.eye(CLASSES, dtype=dtype)[self.read("labels")]

    def features(self, dtype: Any) -> np.ndarray:
        names = ("inputs", "projection", "offset")
        inputs, projection, offset = (self.read(name).astype(dtype) for name in names)
        return np.tanh(inputs @ projection + offset)

    def elm(self, readouts: list[str] | str = "ridge") -> Any:
        """The model of adlx, with the weights that all sides have."""
        import torch

        from adlx.models.classification.elm import ELM
        from adlx.specs import CodeSpec

        torch.manual_seed(0)
        spec = CodeSpec((12, 12), 256, None, tuple("abcdefg"))
        model = ELM(spec, field=None, readout=readouts, input="standardize", hidden=len(self.read("offset")))  # type: ignore
        model.fit_inputs(torch.from_numpy(self.read("codemaps")), None)
        return model


def floor(case: Case) -> Fit:
    """A lower bound in float32: features and their product in one piece, and `numpy.linalg.solve`."""
    import torch

    names = ("inputs", "projection", "offset")
    inputs, projection, offset = (torch.from_numpy(case.read(name)) for name in names)
    targets = case.targets(np.float32)

    def fit() -> np.ndarray:
        rows = torch.tanh(inputs @ projection + offset).numpy()
        gram = rows.T @ rows
        gram.flat[:: len(gram) + 1] += RIDGE
        return np.linalg.solve(gram, rows.T @ targets)

    return fit


def adlx_readouts(case: Case, alphas: dict[str, float]) -> Fit:
    """Computes sums over batches, and each readout from the sums."""
    import torch

    from adlx.tasks.closed_form import Accumulator, blas_threads
    from adlx.tasks.readouts import solve_readout

    model = case.elm(list(alphas))
    codes, labels = torch.from_numpy(case.read("codemaps").astype(np.int64)), torch.from_numpy(case.read("labels"))

    def fit() -> np.ndarray:
        accumulator = Accumulator(model, CLASSES)
        for sample, label in zip(codes.split(BATCH), labels.split(BATCH), strict=True):
            accumulator.add(sample, label)
        sums = accumulator.sums()
        with blas_threads():
            solutions = [next(iter(solve_readout(sums, name, [alpha], L1_RATIO))) for name, alpha in alphas.items()]  # type: ignore
        assert all(solution.converged for solution in solutions), "an iterative solver did not converge"
        return solutions[0].beta

    return fit


def adlx_ridge(case: Case) -> Fit:
    return adlx_readouts(case, {"ridge": RIDGE})


def adlx_four(case: Case) -> Fit:
    return adlx_readouts(case, {"ridge": RIDGE, "none": 0, "lasso": LASSO, "elasticnet": LASSO})


def adlx_streamed(case: Case) -> Fit:
    """Draws samples batch by batch and does not keep them: the memory must not depend on their number."""
    import torch

    from adlx.tasks.closed_form import Accumulator, blas_threads
    from adlx.tasks.readouts import solve_readout

    model = case.elm()

    def fit() -> None:
        accumulator = Accumulator(model, CLASSES)
        for start in range(0, case.samples, BATCH):
            size = min(BATCH, case.samples - start)
            accumulator.add(torch.randint(256, (size, 12, 12)), torch.randint(CLASSES, (size,)))
        with blas_threads():
            list(solve_readout(accumulator.sums(), "ridge", [RIDGE], L1_RATIO))

    return fit


def hpelm(case: Case, precision: Any) -> Fit:
    import hpelm as library  # pyright: ignore[reportMissingImports]

    inputs, projection, offset = (case.read(name).astype(precision) for name in ("inputs", "projection", "offset"))
    targets = case.targets(precision)

    def fit() -> np.ndarray:
        model = library.ELM(inputs.shape[1], CLASSES, norm=RIDGE, precision=precision)
        model.add_neurons(len(offset), "tanh", projection, offset)
        model.train(inputs, targets, "c")
        return model.nnet.get_B()

    return fit


def scikit_elm(case: Case) -> Fit:
    """Does the same as the others, but with its own random weights and an intercept."""
    import skelm  # pyright: ignore[reportMissingImports]

    inputs, labels, hidden = case.read("inputs"), case.read("labels"), len(case.read("offset"))
    return lambda: skelm.ELMClassifier(n_neurons=hidden, alpha=RIDGE, random_state=0).fit(inputs, labels) and None


def features_ridge(case: Case) -> Fit:
    """Computes features in one piece with torch, and `Ridge` of scikit-learn in float32."""
    import torch
    from sklearn.linear_model import Ridge

    names = ("inputs", "projection", "offset")
    inputs, projection, offset = (torch.from_numpy(case.read(name)) for name in names)
    targets = case.targets(np.float32)

    def fit() -> np.ndarray:
        features = torch.tanh(inputs @ projection + offset).numpy()
        return Ridge(alpha=RIDGE, fit_intercept=False).fit(features, targets).coef_.T

    return fit


def scikit_learn(case: Case, names: list[str], dtype: Any) -> Fit:
    """Fits readouts to given features, one call each, as in the notebook; `pinv` is from NumPy."""
    from sklearn.linear_model import ElasticNet, Lasso, Ridge

    features, targets = case.features(dtype), case.targets(dtype)
    rest: dict[str, Any] = {"alpha": LASSO, "fit_intercept": False, "precompute": True}
    calls: dict[str, Fit] = {
        "pinv": lambda: np.linalg.pinv(features) @ targets,
        "ridge": lambda: Ridge(alpha=RIDGE, fit_intercept=False).fit(features, targets).coef_.T,
        "lasso": lambda: Lasso(**rest).fit(features, targets).coef_.T,
        "elasticnet": lambda: ElasticNet(l1_ratio=L1_RATIO, **rest).fit(features, targets).coef_.T,
    }
    return lambda: [calls[name]() for name in names][-1]


def mlp(case: Case) -> Fit:
    """An epoch of scikit-learn's MLPClassifier."""
    from sklearn.neural_network import MLPClassifier

    inputs, labels = case.read("inputs")[: case.samples], case.read("labels")[: case.samples]
    widths = (640, 1650, 3000, 500)
    return lambda: MLPClassifier(widths, batch_size=500, max_iter=1, random_state=0).fit(inputs, labels) and None  # type: ignore


SIDES: dict[str, Callable[[Case], Fit]] = {
    "floor": floor,
    "adlx ridge": adlx_ridge,
    "adlx four": adlx_four,
    "adlx streamed": adlx_streamed,
    "hpelm": lambda case: hpelm(case, np.float64),
    "hpelm float32": lambda case: hpelm(case, np.float32),
    "scikit-elm": scikit_elm,
    "features + Ridge float32": features_ridge,
    "pinv": lambda case: scikit_learn(case, ["pinv"], np.float64),
    "pinv, Lasso, ElasticNet, Ridge": lambda case: scikit_learn(
        case, ["pinv", "lasso", "elasticnet", "ridge"], np.float64
    ),
    "Ridge": lambda case: scikit_learn(case, ["ridge"], np.float64),
    "Ridge float32": lambda case: scikit_learn(case, ["ridge"], np.float32),
    "Lasso": lambda case: scikit_learn(case, ["lasso"], np.float64),
    "ElasticNet": lambda case: scikit_learn(case, ["elasticnet"], np.float64),
    "MLPClassifier": mlp,
}


def adlx_train(turns: Any, source: str, words: list[str]) -> Fit:
    """The fit of `adlx train`, from its first batch to its last callback, with validation and checkpoints."""
    sys.path[:0] = [source, str(Path(__file__).parents[1])]
    import pytorch_lightning as pl
    from interleave import prepared

    class Clock(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            turns.started = time.perf_counter()

    def fit() -> None:
        with tempfile.TemporaryDirectory() as folder:
            _, data, task, trainer = prepared(words, folder)
            trainer.callbacks.append(Clock())
            trainer.fit(task, datamodule=data)

    return fit


def main() -> None:
    side, folder, samples, source, *words = sys.argv[1:]
    from turns import Turns, forget_peak  # not at the top, because elm.py imports this module from another folder

    turns = Turns()
    fit = (
        adlx_train(turns, source, words)
        if side == "adlx train"
        else SIDES[side](Case(Path(folder), int(samples), source))
    )
    forget_peak()
    turns.step()
    first = True
    while True:
        turns.step()  # reports the time of the last fit, if there was one
        readout = fit()
        if first and isinstance(readout, np.ndarray):
            np.save(Path(folder) / f"beta {side}.npy", readout)
        first = False


if __name__ == "__main__":
    main()
