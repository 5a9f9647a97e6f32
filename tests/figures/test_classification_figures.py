import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from adlx.figures import style
from adlx.figures.classification import COLORS, MAX_LABELED, _readable, class_scores, confusion
from adlx.metrics.classification import ClassResult, by_class

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@pytest.fixture
def emotions():
    """A result with the class sizes of a published test set and the accuracy of a small model."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(7), [958, 111, 1024, 1774, 1247, 831, 1233])
    values = rng.normal(size=(len(label), 7)) + np.array([0.2, -1.5, 0.2, 0.5, 0.4, 0.1, 0.4])
    right = rng.random(len(label)) < np.array([0.55, 0.42, 0.41, 0.85, 0.52, 0.77, 0.61])[label]
    values[np.arange(len(label)), label] += np.where(right, 5, 0)
    return ClassResult(values, label, np.arange(len(label)), EMOTIONS, 3)


@pytest.fixture
def few():
    """Of 200 samples of a, one is predicted as b; of 4 samples of b, one is predicted as b, one as a and two as c."""
    prediction = np.array([0] * 199 + [1] + [1, 0, 2, 2])
    label = np.array([0] * 200 + [1] * 4)
    return ClassResult(np.eye(3)[prediction], label, np.arange(204), ("a", "b", "c"), 1)


def cells(panel):
    return {(round(text.get_position()[1]), round(text.get_position()[0])): text for text in panel.texts}


def extent(panel, text):
    return text.get_window_extent(FigureCanvasAgg(panel.figure).get_renderer())


def test_confusion_shows_percent_of_each_true_class(few, drawn):
    panel = drawn(confusion(few, "few")).axes[0]
    shown = {cell: text.get_text() for cell, text in cells(panel).items()}
    assert shown == {(0, 0): "100", (0, 1): "<1", (0, 2): "0", (1, 0): "25", (1, 1): "25", (1, 2): "50"}
    assert [label.get_text() for label in panel.get_yticklabels()] == ["a (200)", "b (4)", "c (0)"]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["a", "b", "c"]
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("predicted class", "true class (samples)")
    assert panel.get_ylim() == (2.5, -0.5)
    (image,) = panel.get_images()
    shares = np.ma.filled(image.get_array(), np.nan)
    np.testing.assert_allclose(shares, [[0.995, 0.005, 0], [0.25, 0.25, 0.5], [np.nan] * 3])
    assert image.get_clim() == (0, 1)


def test_correct_predictions_are_bold(few):
    weights = {cell: text.get_weight() for cell, text in cells(confusion(few, "t").axes[0]).items()}
    assert [cell for cell, weight in weights.items() if weight == "bold"] == [(0, 0), (1, 1)]


def test_numbers_stay_inside_their_cells(emotions, drawn):
    panel = drawn(confusion(emotions, "emotions")).axes[0]
    assert len(panel.texts) == 49
    for (row, column), text in cells(panel).items():
        box = extent(panel, text)
        left, bottom = panel.transData.transform((column - 0.5, row + 0.5))
        right, top = panel.transData.transform((column + 0.5, row - 0.5))
        assert left < box.x0 and box.x1 < right and bottom < box.y0 and box.y1 < top


def test_numbers_have_the_color_with_more_contrast():
    """By the contrast ratio of WCAG 2.1."""

    def luminance(color):
        channels = np.array(color[:3])
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    black = luminance(to_rgb(style.ACTUAL))
    for share in np.linspace(0, 1, 101):
        cell = luminance(COLORS(share))
        contrast = {"white": 1.05 / (cell + 0.05), style.ACTUAL: (cell + 0.05) / (black + 0.05)}
        assert contrast[_readable(share)] == max(contrast.values()) > 3.9
    assert (_readable(0.0), _readable(1.0)) == (style.ACTUAL, "white")
    assert 1 > luminance(COLORS(0.5)) > luminance(COLORS(1.0))


@pytest.mark.parametrize("count", [2, 10, MAX_LABELED, MAX_LABELED + 1, 100])
def test_any_number_of_classes_is_readable(count, drawn):
    rng = np.random.default_rng(1)
    label = np.tile(np.arange(count), 30)
    names = tuple(f"class number {index}" for index in range(count))
    result = ClassResult(rng.normal(size=(len(label), count)), label, label, names, 0)
    panel = drawn(confusion(result, "many")).axes[0]
    assert len(panel.texts) == (count**2 if count <= MAX_LABELED else 0)
    drawn(class_scores(result, "many"))


def test_dots_are_recall_and_precision(emotions, lines, drawn):
    figure = drawn(class_scores(emotions, "emotions"))
    panel, values = figure.axes
    table = by_class(emotions)
    curves = lines(panel)
    recall = f"recall, mean {table['recall'].mean():.2f}"
    assert set(curves) == {recall, "precision", "mean recall if all predictions are happy, 0.14"}
    np.testing.assert_array_equal(curves[recall][0], table["recall"])
    np.testing.assert_array_equal(curves["precision"][0], table["precision"])
    np.testing.assert_array_equal(curves["precision"][1], np.arange(7))
    np.testing.assert_allclose(curves["mean recall if all predictions are happy, 0.14"][0], 1 / 7)
    (links,) = panel.findobj(LineCollection)
    np.testing.assert_allclose([s[:, 0] for s in links.get_segments()], table[["recall", "precision"]])
    assert [label.get_text() for label in panel.get_yticklabels()][:2] == ["angry (958)", "disgust (111)"]
    assert panel.get_ylim() == values.get_ylim() == (6.5, -0.5)
    first = table.iloc[0]
    assert values.get_yticklabels()[0].get_text() == f"{first['recall']:.2f}   {first['precision']:.2f}"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(curves)


def test_classes_without_samples_have_no_recall_and_give_no_warning(few, lines, drawn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = drawn(class_scores(few, "few"))
        drawn(confusion(few, "few"))
    panel, values = figure.axes
    dashes = "mean recall if all predictions are b, 0.50"
    curves = lines(panel)
    np.testing.assert_allclose(curves["recall, mean 0.62"][0][:2], [0.995, 0.25])
    np.testing.assert_allclose(curves["precision"][0], [199 / 200, 1 / 2, 0])
    assert dashes in curves
    shown = [label.get_text() for label in values.get_yticklabels()]
    assert shown[:2] == ["0.99   0.99", "0.25   0.50"]
    assert shown[2].split() == ["\N{EN DASH}", "0.00"]
    unseen = class_scores(replace(few, majority=2), "t").axes[0]
    np.testing.assert_array_equal(lines(unseen)["mean recall if all predictions are c, 0.00"][0], [0, 0])


def test_columns_of_numbers_are_aligned_if_one_is_missing(few, drawn):
    values = drawn(class_scores(few, "few")).axes[1]
    widths = [extent(values, label).width for label in values.get_yticklabels()]
    assert max(widths) - min(widths) < 8  # pixels; a digit is 10 wide
