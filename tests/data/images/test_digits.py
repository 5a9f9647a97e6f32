"""Handwritten digits that come with libraries."""

import numpy as np
import pytest

from adlx.data.images.digits import Digits
from adlx.errors import UserError
from adlx.specs import ImageSpec


@pytest.mark.parametrize(("source", "count", "own"), [("mnist", 5000, 28), ("sklearn", 1797, 8)])
def test_digits_have_the_images_of_their_library_resized(source, count, own):
    data = Digits(source=source, size=own)
    data.setup("fit")
    samples = data.loaded
    assert samples.values.shape == (count, 1, own, own)
    assert (samples.values.min(), samples.values.max()) == (0, 255)
    assert len(np.unique(samples.labels)) == 10
    assert data.spec == ImageSpec(1, (own, own), tuple("0123456789"))
    small = Digits(source=source, size=own // 2)
    small.read()
    halved = samples.values.reshape(count, own // 2, 2, own // 2, 2).mean(axis=(2, 4))
    assert np.abs(small.loaded.values[:, 0] - halved).mean() < 12  # resized with a filter, not by leaving out pixels


def test_only_the_given_digits_are_kept():
    data = Digits(source="sklearn", size=8, digits=[7, 5])
    data.setup("fit")
    assert data.spec.classes == ("5", "7")
    whole = Digits(source="sklearn", size=8)
    whole.read()
    for label, digit in enumerate((5, 7)):
        kept = data.loaded.values[data.loaded.labels == label]
        assert np.array_equal(kept, whole.loaded.values[whole.loaded.labels == digit])
    assert data.loaded.detail == "361 of 1,797 digits of scikit-learn, 8 x 8: 5, 7"


@pytest.mark.parametrize("digits", [[], [3, 3], [10]])
def test_digits_that_do_not_exist_or_repeat_are_refused(digits):
    with pytest.raises(UserError, match=r"^data\.digits="):
        Digits(digits=digits)


def test_balanced_classes_are_logged_in_one_short_line(caplog):
    caplog.set_level("INFO", logger="adlx")
    data = Digits(source="sklearn", size=8, digits=[5, 7])
    data.setup("fit")
    assert caplog.messages == []
    data.check_training_part()
    assert caplog.messages == ["classes: 5, 7, each 49.5% to 50.5% of the samples"]
