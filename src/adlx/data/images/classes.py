"""Classes of samples: their counts and shares, and their numbers in a trained model."""

import logging

import numpy as np

from adlx.data.images.sources.samples import Samples
from adlx.errors import UserError
from adlx.specs import CodeSpec, ImageSpec

log = logging.getLogger("adlx")


def log_classes(classes: tuple[str, ...], part_counts: dict[str, np.ndarray]) -> None:
    """Logs the shares of the classes in the training part, and warns about classes without a training sample.

    Args:
        classes: K names.
        part_counts: (K,) samples of each class in each part.
    """
    train = part_counts["train"]
    if absent := [_describe_absent(label, classes, part_counts) for label in np.flatnonzero(train == 0).tolist()]:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        log.warning(f"classes without a training sample, which a model cannot learn: {', '.join(absent[:5])}{more}")
    seen = np.flatnonzero(train)
    if len(classes) < 2 or not len(seen):
        return
    shares = train / train.sum()
    least, most = seen[train[seen].argmin()], train.argmax()
    ratio = train[most] / train[least]
    if ratio < 1.5:
        names = ", ".join(classes[label] for label in seen)
        log.info(f"classes: {names}, each {shares[least]:.1%} to {shares[most]:.1%} of the samples")
        return
    listed = ", ".join(f"{name} {share:.1%}" for name, share in zip(classes, shares, strict=True))
    log.info(
        f"classes: {listed}; the most frequent one has {ratio:.1f} times the samples of {classes[least]}, "
        f"and is right for {shares[most]:.1%} if it is always predicted"
    )


def _describe_absent(label: int, classes: tuple[str, ...], part_counts: dict[str, np.ndarray]) -> str:
    """Describes a class without training samples: its samples in other parts, and a class that differs only in case."""
    name = classes[label]
    elsewhere = [f"{count[label]:,} in the {part} part" for part, count in part_counts.items() if count[label]]
    others = [other for other in classes if other != name and other.lower() == name.lower()]
    spelling = [f"rename it if it is the class {others[0]}"] if others else []
    return f"{name} ({'; '.join(elsewhere + spelling) or 'no sample in any part'})"


def match_classes(samples: Samples, expected: ImageSpec | CodeSpec | None) -> Samples:
    """Renumbers the classes as a trained model numbers them; removes the labels if the model has no classes.

    Raises:
        UserError: the model does not know one of the classes.
    """
    known = samples.classes if expected is None else expected.classes
    if samples.classes == known:
        return samples
    if not known:
        return samples.without_labels()
    if extra := [name for name in samples.classes if name not in known]:
        raise UserError(
            f"the run was trained on the classes {', '.join(known)}; {samples.detail} also has {', '.join(extra)}"
        )
    numbers = np.array([known.index(name) for name in samples.classes] + [-1])  # label -1 reads the last entry
    return Samples(**{**vars(samples), "labels": numbers[samples.labels], "classes": known})


def count_classes(labels: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Returns (K,) the number of samples of each class; samples without a label are not counted."""
    return np.bincount(labels[labels >= 0], minlength=len(classes))
