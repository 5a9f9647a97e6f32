"""The test result of a classifier, and its scores.

Shapes: N samples, K classes.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from adlx.metrics.archive import read_arrays, write_arrays
from adlx.metrics.declaration import Metric
from adlx.metrics.result import Result
from adlx.metrics.significance import diebold_mariano, mcnemar
from adlx.metrics.skill import error_rate_skill
from adlx.metrics.tables import Column, DataTable, means

NAMES = {"class_scores": "scores", "label": "label", "index": "index", "classes": "classes", "majority": "majority"}
"""The name of each part in the file."""
READOUT = "readout/"
"""Prefix, in the file, of the names of further readouts."""


def errors(result: "ClassResult") -> np.ndarray:
    """(N,) float, 1 where the prediction is wrong and 0 where it is right: the loss by which runs are compared."""
    return (result.prediction != result.label).astype(float)


def baseline_errors(result: "ClassResult") -> np.ndarray:
    """(N,) float, the same for the baseline, which always guesses the majority class."""
    return (result.label != result.majority).astype(float)


_BY_ERROR_RATE: dict[str, Any] = {
    "pvalue": "test/mcnemar_pvalue",
    "pvalue_of_means": "comparison/paired_t_pvalue",
    "loss": errors,
    "baseline_loss": baseline_errors,
}

METRICS = (
    Metric(
        "test/accuracy",
        "accuracy",
        "up",
        baseline="baseline/accuracy",
        skill="test/skill",
        zero="always guessing the most common class",
        parts="readout",
        headline=True,
        **_BY_ERROR_RATE,
    ),
    Metric(
        "test/balanced_accuracy",
        "balanced",
        "up",
        baseline="baseline/balanced_accuracy",
        parts="readout",
        in_comparison=True,
    ),
    Metric("test/f1_macro", "macro F1", "up", baseline="baseline/f1_macro", parts="readout", in_comparison=True),
    Metric("test/skill", "skill", "up", "skill", headline=True, in_table=False, in_comparison=True, **_BY_ERROR_RATE),
    Metric("test/mcnemar_pvalue", "McNemar p", None, "pvalue", in_table=False),
    Metric("comparison/paired_t_pvalue", "paired t p", None, "pvalue", in_table=False),
    Metric("test/recall", "recall", "up", parts="class"),
    Metric("model/alpha", "alpha", None, parts="readout", in_table=False),
)


@dataclass(frozen=True)
class ClassResult(Result):
    """Class scores of a set of samples with their true classes, and the majority class of the training part.

    Args:
        class_scores: (N, K) in any unit, such as logits or probabilities. The class with the highest score is the
            prediction; of several equal scores, the first.
        label: (N,) int, the true classes.
        index: (N,) int, positions of the samples in the data set.
        classes: K names in the order of the labels.
        majority: the most common class of the training part; the baseline always guesses it.
        readouts: (N, K) scores of the same samples from further readouts of the model, by their names.
    """

    class_scores: np.ndarray
    label: np.ndarray
    index: np.ndarray
    classes: tuple[str, ...]
    majority: int
    readouts: dict[str, np.ndarray] = field(default_factory=dict)

    metrics = METRICS
    same_samples = ("classes", "index", "label")
    tables_by = ("readout",)
    sizes = ("model/parameters", "model/nonzeros", "model/size_kb")
    comparison_figures = "adlx.figures.classification"

    def __post_init__(self) -> None:
        samples, count = len(self.label), len(self.classes)
        wanted = {"label": (self.label, (samples,)), "index": (self.index, (samples,))}
        given = {"class_scores": self.class_scores} | {
            f"readout {name}": values for name, values in self.readouts.items()
        }
        wanted |= {name: (values, (samples, count)) for name, values in given.items()}
        for name, (values, shape) in wanted.items():
            if values.shape != shape:
                raise ValueError(f"{name} has shape {values.shape}, labels and classes require {shape}")
        for name, values in given.items():
            if np.isnan(values).any():  # argmax would return the NaN as the highest score
                raise ValueError(f"{name} holds NaN, which predicts no class")
        numbers = [*self.label.tolist(), self.majority]
        if samples == 0 or min(numbers) < 0 or max(numbers) >= count:
            raise ValueError(f"{samples} labels and a majority from {min(numbers)} to {max(numbers)}, {count} classes")

    @property
    def prediction(self) -> np.ndarray:
        """(N,) int, the class of the highest score."""
        return self.class_scores.argmax(axis=1)

    def frame(self) -> pd.DataFrame:
        """A row for each sample: `index`, the names of the `target` and of the `prediction`, and `score/<class>`."""
        classes = list(self.classes)
        columns: dict[str, Any] = {
            "index": self.index,
            "target": pd.Categorical.from_codes(self.label, classes),
            "prediction": pd.Categorical.from_codes(self.prediction, classes),
        }
        columns |= {f"score/{name}": self.class_scores[:, position] for position, name in enumerate(classes)}
        return pd.DataFrame(columns)

    def save(self, path: str | Path) -> None:
        """Writes an .npz of plain arrays without pickled objects. A write that fails leaves no incomplete file."""
        arrays = {stored: np.asarray(getattr(self, name)) for name, stored in NAMES.items()}
        arrays["classes"] = np.asarray(self.classes, dtype=np.str_)
        arrays |= {READOUT + name: values for name, values in self.readouts.items()}
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a file that `save` wrote.

        Raises:
            UserError: the file is missing or damaged, or holds no classification result.
        """
        with read_arrays(path, "classification", text="classes") as archive:
            arrays = {name: archive[stored] for name, stored in NAMES.items()}
            further = [name for name in archive if name.startswith(READOUT)]
            readouts = {name.removeprefix(READOUT): archive[name] for name in further}
            classes, majority = tuple(str(name) for name in arrays.pop("classes")), int(arrays.pop("majority"))
            return cls(classes=classes, majority=majority, readouts=readouts, **arrays)

    def scores(self) -> dict[str, float]:
        """Scores of the classifier and of the baseline, which always guesses the training part's most common class.

        - `test/accuracy`: share of samples whose highest score is the true class.
        - `test/balanced_accuracy`, `test/f1_macro`: means of recall and of F1 over the classes that occur in the test
          labels. A class without samples has no recall, so it does not count as 0.
        - `baseline/...`: each of these for the baseline.
        - `test/skill`: 1 - (1 - test/accuracy) / (1 - baseline/accuracy): 1 is perfect, 0 is the baseline, negative is
          worse; see `error_rate_skill` for a baseline that is always right.
        - `test/mcnemar_pvalue`: the test of the model against the baseline, see `mcnemar`.
        - `test/recall/<class>`: for each class that occurs in the test labels.
        - `test/accuracy/<readout>`, `test/balanced_accuracy/<readout>`, `test/f1_macro/<readout>`: further readouts.
        """
        wrong, constant = errors(self), baseline_errors(self)
        table = {f"test/{name}": value for name, value in _averages(self.label, self.prediction).items()}
        guess = np.full_like(self.label, self.majority)
        table |= {f"baseline/{name}": value for name, value in _averages(self.label, guess).items()}
        table["test/skill"] = error_rate_skill(wrong.mean(), constant.mean())
        table["test/mcnemar_pvalue"] = mcnemar(wrong, constant)
        counts = confusion_counts(self)
        for position in np.unique(self.label):
            table[f"test/recall/{self.classes[position]}"] = float(counts[position, position] / counts[position].sum())
        for readout, values in self.readouts.items():
            averages = _averages(self.label, values.argmax(axis=1))
            table |= {f"test/{name}/{readout}": value for name, value in averages.items()}
        return table

    def baseline_pvalue(self, losses: np.ndarray, baseline: np.ndarray) -> float:
        """McNemar's exact test; for errors averaged over runs, which are not 0 or 1, the paired t test."""
        if self.tests_means(losses):
            return diebold_mariano(losses, baseline, horizon=1)[1]  # without overlap this is the paired t test
        return mcnemar(losses, baseline)

    def tests_means(self, losses: np.ndarray) -> bool:
        return not np.isin(losses, (0.0, 1.0)).all()

    @classmethod
    def comparison_tables(
        cls, results: dict[str, list[Any]], labels: Sequence[str], metric: Metric
    ) -> dict[str, DataTable]:
        rows = {label: np.mean([recalls(one) for one in results[label]], axis=0) for label in labels}
        return {"classes": means("recall by class", rows, results[labels[0]][0].classes)}


def confusion_counts(result: ClassResult) -> np.ndarray:
    """(K, K) int, samples by true class (rows) and prediction (columns)."""
    count = len(result.classes)
    pairs = result.label.astype(int) * count + result.prediction
    return np.bincount(pairs, minlength=count**2).reshape(count, count)


def recalls(result: ClassResult) -> np.ndarray:
    """(K,) recall of each class; NaN for a class without samples."""
    counts = confusion_counts(result)
    samples = counts.sum(axis=1)
    return np.divide(np.diag(counts), samples, out=np.full(len(counts), np.nan), where=samples > 0)


def class_table(result: ClassResult) -> DataTable:
    """The table of `by_class` with the formats of its columns."""
    shares = (Column(name) for name in ("precision", "recall", "f1"))
    return DataTable(
        by_class(result), (Column("class", None), Column("samples", "count"), *shares, Column("confused with", None))
    )


def by_class(result: ClassResult) -> pd.DataFrame:
    """A row for each class: `class`, number of `samples`, `precision`, `recall`, `f1` and `confused with`.

    `confused with` is the most common wrong prediction for samples of the class, or "-" if all predictions are right.
    An undefined value is NaN: the recall of a class without samples, the precision of a class that is never predicted,
    and F1 if both are undefined.
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
    return pd.DataFrame(columns | {"confused with": names})


def _averages(label: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    with warnings.catch_warnings():
        # scikit-learn warns if a predicted class has no samples in the test part, which is common for rare classes
        warnings.simplefilter("ignore", UserWarning)
        present = np.unique(label)
        f1 = f1_score(label, prediction, labels=present, average="macro", zero_division=0)  # pyright: ignore[reportArgumentType]
        balanced = balanced_accuracy_score(label, prediction)
    return {
        "accuracy": float(accuracy_score(label, prediction)),
        "balanced_accuracy": float(balanced),
        "f1_macro": float(f1),
    }
