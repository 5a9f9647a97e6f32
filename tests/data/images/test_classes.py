"""Classes of samples: classes without training samples, and the numbers of classes in a trained model."""

import logging

import numpy as np
import pytest

from adlx.data.images.classes import log_classes, match_classes
from adlx.data.images.sources.samples import Samples
from adlx.errors import UserError
from adlx.specs import CodeSpec


def messages_of(caplog, classes, train, val, test) -> list[str]:
    caplog.set_level(logging.INFO, "adlx")
    log_classes(tuple(classes), {"train": np.array(train), "val": np.array(val), "test": np.array(test)})
    return caplog.messages


@pytest.mark.parametrize(
    ("classes", "val", "test", "described"),
    [
        ("abz", (1, 1, 2), (1, 1, 5), "z (2 in the val part; 5 in the test part)"),
        (("Cat", "Dog", "cat"), (1, 1, 0), (1, 1, 4), "cat (4 in the test part; rename it if it is the class Cat)"),
        ("012", (1, 1, 0), (1, 1, 0), "2 (no sample in any part)"),
    ],
)
def test_classes_without_training_samples_are_named(caplog, classes, val, test, described):
    absent, shares = messages_of(caplog, classes, (20, 10, 0), val, test)
    assert absent == f"classes without a training sample, which a model cannot learn: {described}"
    assert f"the most frequent one has 2.0 times the samples of {classes[1]}, and is right for 66.7%" in shares


def test_at_most_five_classes_without_training_samples_are_named(caplog):
    line = messages_of(caplog, "abcdefghi", [3, 3] + [0] * 7, [0] * 9, [1] * 9)[0]
    assert line.endswith("f (1 in the test part), g (1 in the test part) and 2 more")


def test_classes_are_numbered_as_in_the_trained_model():
    def samples_of(*labels: int) -> Samples:
        return Samples(np.zeros((len(labels), 4, 4), np.int16), np.array(labels), ("a", "b", "c"), "codes", "made up")

    def spec_with(*classes: str) -> CodeSpec:
        return CodeSpec((4, 4), 200, None, classes)

    matched = match_classes(samples_of(0, 1, 2, -1), spec_with("z", "c", "a", "b"))
    assert matched.classes == ("z", "c", "a", "b")
    assert matched.labels.tolist() == [2, 3, 1, -1]
    same = samples_of(0, 1)
    assert match_classes(same, None) is same
    assert match_classes(same, spec_with("a", "b", "c")) is same
    with pytest.raises(UserError) as caught:
        match_classes(same, spec_with("b", "a"))
    assert str(caught.value) == "the run was trained on the classes b, a; made up also has c"
