"""Errors by field: the drawn values, and values that do not fit on a linear axis."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from adlx.figures import style
from adlx.figures.fields import errors_by_field

SEA = np.array([[0.2, 0.6], [0.4, 0.5]])
DMD = np.array([[0.8, 0.9]])
FROZEN = np.array([[1.1, 1.3]])


def test_each_field_has_a_dot_for_each_configuration(drawn):
    errors = {"sea": SEA, "dmd": DMD, "frozen": FROZEN}
    (panel,) = drawn(errors_by_field(errors, ("u", "p"), "errors")).axes
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["u", "p"]
    sea, dmd = panel.containers
    np.testing.assert_allclose(sea.lines[0].get_xydata(), [[-0.2, 0.3], [0.8, 0.55]])
    np.testing.assert_allclose(dmd.lines[0].get_xydata(), [[0.2, 0.8], [1.2, 0.9]])
    (bars,) = sea.lines[2]
    spread = SEA.std(axis=0, ddof=1)
    ends = [[0.3 - spread[0], 0.3 + spread[0]], [0.55 - spread[1], 0.55 + spread[1]]]
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], ends)
    assert dmd.lines[2] == ()  # a single run has no deviation
    (baseline,) = [lines for lines in panel.collections if lines.get_label() == "frozen"]
    np.testing.assert_allclose([segment[:, 1] for segment in baseline.get_segments()], [[1.1, 1.1], [1.3, 1.3]])
    assert baseline.get_linestyle()[0][1] is not None  # dashed
    assert [text.get_text() for text in panel.figure.legends[0].get_texts()] == ["frozen", "sea", "dmd"]
    assert (panel.get_yscale(), panel.get_ylim()[0]) == ("linear", 0)


@pytest.mark.parametrize("length", [4, 17, 30, 60, 90, 150])
def test_eight_configurations_do_not_overlap_with_short_and_long_labels(length, drawn):
    errors = {f"{order} {'word ' * 40}"[:length]: SEA + order / 10 for order in range(8)}
    figure = drawn(errors_by_field({**errors, "frozen": FROZEN}, ("u", "velocity_x"), "errors"))
    (panel,) = figure.axes
    dots = [bars.lines[0] for bars in panel.containers]
    assert len({(dot.get_color(), dot.get_marker()) for dot in dots}) == 8
    positions = np.sort(np.concatenate([dot.get_xdata() for dot in dots]))
    assert np.diff(positions).min() > 0.09
    assert panel.get_window_extent().height > 0.4 * figure.bbox.height


@pytest.mark.parametrize(("largest", "scale"), [(3.0, "linear"), (3.1, "log")])
def test_the_scale_is_logarithmic_if_means_span_a_decade(largest, scale, drawn):
    errors = {"sea": SEA, "dmd": np.array([[0.8, largest]]), "frozen": FROZEN}
    (panel,) = drawn(errors_by_field(errors, ("u", "p"), "errors")).axes
    assert panel.get_yscale() == scale


def test_errors_that_are_not_finite_are_drawn_as_infinity(drawn):
    errors = {"sea": np.array([[0.2, 0.6], [0.4, np.inf]]), "dmd": np.full((1, 2), np.nan), "frozen": FROZEN}
    (panel,) = drawn(errors_by_field(errors, ("u", "p"), "errors")).axes
    signs = [(text.get_text(), text.get_position()[0], to_rgba(text.get_color())) for text in panel.texts]
    sea, dmd = (to_rgba(style.model_looks(order)[0]) for order in (0, 1))
    assert signs == [
        ("∞", pytest.approx(0.8), sea),
        ("∞", pytest.approx(-0.2 + 0.4), dmd),
        ("∞", pytest.approx(1.2), dmd),
    ]
    assert panel.containers[0].lines[0].get_ydata()[0] == pytest.approx(0.3)
    assert np.isnan(panel.containers[0].lines[0].get_ydata()[1])
