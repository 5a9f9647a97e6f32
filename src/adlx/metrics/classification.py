"""What a classification is scored from, and its scores.

Shapes: N samples, K classes.
"""

import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from adlx.metrics.archive import reading, write

NAMES = ("scores", "label", "index", "classes", "majority")
READOUT = "readout/"
"""What the name of a further readout follows in the file."""


@dataclass(frozen=True)
class ClassResult:
    """Scores of a set of samples beside their true classes, with what the training part tells of the classes.

    Args:
        scores: (N, K) the higher the likelier, in any unit (logits, probabilities); the highest is the prediction, the
            first of equals.
        label: (N,) int, the true classes.
        index: (N,) int, places of the samples in the data set.
        classes: K names in the order of the labels.
        majority: the commonest class of the training part, whose constant guess is the baseline.
        readouts: (N, K) scores of the same samples by the name of another way to read the model out.
    """

    scores: np.ndarray
    label: np.ndarray
    index: np.ndarray
    classes: tuple[str, ...]
    majority: int
    readouts: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        samples, count = len(self.label), len(self.classes)
        wanted = {"label": (self.label, (samples,)), "index": (self.index, (samples,))}
        given = {"scores": self.scores} | {f"readout {name}": values for name, values in self.readouts.items()}
        wanted |= {name: (values, (samples, count)) for name, values in given.items()}
        for name, (values, shape) in wanted.items():
            if values.shape != shape:
                raise ValueError(f"{name} has shape {values.shape}, labels and classes ask for {shape}")
        for name, values in given.items():
            if np.isnan(values).any():  # argmax would take the NaN for the highest score
                raise ValueError(f"{name} holds NaN, which predicts no class")
        numbers = [*self.label.tolist(), self.majority]
        if samples == 0 or min(numbers) < 0 or max(numbers) >= count:
            raise ValueError(f"{samples} labels and a majority from {min(numbers)} to {max(numbers)}, {count} classes")

    @property
    def prediction(self) -> np.ndarray:
        """(N,) int, the class of the highest score."""
        return self.scores.argmax(axis=1)

    def save(self, path: str | Path) -> None:
        """Writes an .npz of plain arrays (nothing pickled) that is whole or not there."""
        arrays = {name: np.asarray(getattr(self, name)) for name in NAMES}
        arrays["classes"] = np.asarray(self.classes, dtype=np.str_)
        arrays |= {READOUT + name: values for name, values in self.readouts.items()}
        write(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, damaged, or no classification result.
        """
        with reading(path, "classification") as archive:
            arrays = {name: archive[name] for name in NAMES}
            further = [name for name in archive if name.startswith(READOUT)]
            readouts = {name.removeprefix(READOUT): archive[name] for name in further}
            classes, majority = tuple(str(name) for name in arrays.pop("classes")), int(arrays.pop("majority"))
            return cls(classes=classes, majority=majority, readouts=readouts, **arrays)


def errors(result: ClassResult) -> np.ndarray:
    """(N,) float, 1 where the prediction is wrong and 0 where it is right: the loss by which runs compare."""
    return (result.prediction != result.label).astype(float)


def baseline_errors(result: ClassResult) -> np.ndarray:
    """(N,) float, the same for the constant guess of the majority class."""
    return (result.label != result.majority).astype(float)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p-value that two classifiers are wrong equally often, from their (N,) 0/1 errors on the same samples.

    The exact test of McNemar 1947, "Note on the sampling error of the difference between correlated proportions or
    percentages": of the samples on which just one of the two is wrong, it is the first with probability 1/2. Where
    there is no such sample, 1.
    """
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    if only_first + only_second == 0:
        return 1.0

    from scipy.stats import binomtest  # 0.6 s to import

    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def skill(wrong: float, baseline: float) -> float:
    """1 - wrong / baseline, shares of wrong predictions: 1 is perfect, 0 the baseline, below 0 worse than it.

    Where the baseline is never wrong (the test part is all of one class) nothing can be gained over it and the ratio
    has no meaning: the skill is 0 then, also for a model that is wrong; its accuracy tells how often.
    """
    return float(1 - wrong / baseline) if baseline > 0 else 0.0


def scores(result: ClassResult) -> dict[str, float]:
    """Scores of a classification and of the constant guess of the training part's commonest class, flat.

    - `test/accuracy`: share of samples whose highest score is the true class.
    - `test/balanced_accuracy`, `test/f1_macro`: means of recall and of F1 over the classes that occur in the test
      labels: a class without samples has no recall, and is not counted as 0.
    - `baseline/...`: each of these for the constant guess.
    - `test/skill`: 1 - (1 - test/accuracy) / (1 - baseline/accuracy): 1 perfect, 0 the constant guess, negative worse;
      see `skill` for a baseline that is always right.
    - `test/mcnemar_pvalue`: of the model against the constant guess, see `mcnemar`.
    - `test/recall/<class>`: for each class that occurs in the test labels.
    - `test/accuracy/<readout>`, `test/balanced_accuracy/<readout>`, `test/f1_macro/<readout>`: of further readouts.
    """
    wrong, constant = errors(result), baseline_errors(result)
    table = {f"test/{name}": value for name, value in _averages(result.label, result.prediction).items()}
    guess = np.full_like(result.label, result.majority)
    table |= {f"baseline/{name}": value for name, value in _averages(result.label, guess).items()}
    table["test/skill"] = skill(wrong.mean(), constant.mean())
    table["test/mcnemar_pvalue"] = mcnemar(wrong, constant)
    counts = confusion_counts(result)
    for place in np.unique(result.label):
        table[f"test/recall/{result.classes[place]}"] = float(counts[place, place] / counts[place].sum())
    for readout, values in result.readouts.items():
        averages = _averages(result.label, values.argmax(axis=1))
        table |= {f"test/{name}/{readout}": value for name, value in averages.items()}
    return table


def confusion_counts(result: ClassResult) -> np.ndarray:
    """(K, K) int, samples by true class (rows) and prediction (columns)."""
    count = len(result.classes)
    pairs = result.label.astype(int) * count + result.prediction
    return np.bincount(pairs, minlength=count**2).reshape(count, count)


def recalls(result: ClassResult) -> np.ndarray:
    """(K,) share of each class's samples that are recognised; NaN where it has none."""
    counts = confusion_counts(result)
    samples = counts.sum(axis=1)
    return np.divide(np.diag(counts), samples, out=np.full(len(counts), np.nan), where=samples > 0)


def by_class(result: ClassResult) -> pd.DataFrame:
    """A row for each class: `class`, `samples` of it, `precision`, `recall`, `f1`, and what it was most `taken for`.

    `taken for` is the commonest wrong prediction, the first of equals, or "-" where there is none. NaN is what cannot
    be told: the recall of a class without samples, the precision of one never predicted, F1 where both are unknown.
    """
    from sklearn.metrics import precision_recall_fscore_support  # 1 s to import

    every = np.arange(len(result.classes))
    precision, recall, f1, samples = precision_recall_fscore_support(
        result.label,
        result.prediction,
        labels=every,
        zero_division=math.nan,  # pyright: ignore[reportArgumentType]
    )
    wrong = confusion_counts(result)
    wrong[every, every] = 0
    names = [result.classes[row.argmax()] if row.any() else "-" for row in wrong]
    columns = {"class": result.classes, "samples": samples, "precision": precision, "recall": recall, "f1": f1}
    return pd.DataFrame(columns | {"taken for": names})


def _averages(label: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    with warnings.catch_warnings():
        # scikit-learn warns of predictions of a class without samples, which the test part may well lack
        warnings.simplefilter("ignore", UserWarning)
        present = np.unique(label)
        f1 = f1_score(label, prediction, labels=present, average="macro", zero_division=0)  # pyright: ignore[reportArgumentType]
        balanced = balanced_accuracy_score(label, prediction)
    return {
        "accuracy": float(accuracy_score(label, prediction)),
        "balanced_accuracy": float(balanced),
        "f1_macro": float(f1),
    }
