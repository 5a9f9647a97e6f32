from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from adlx.errors import UserError
from adlx.figures.comparison import comparison
from adlx.figures.forecast import panels

NAN = float("nan")


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "label": ["nlinear", "transformer", "seq2seq"],
            "mean": [0.91, 0.95, 1.02],
            "std": [0.01, NAN, 0.03],
            "n": [5, 1, 3],
            "baseline": [1.0, 1.0, 1.0],
        }
    )


def test_rows_have_the_order_of_the_table(table, drawn):
    figure = drawn(comparison(table, "test/mase", "three runs"))
    panel, values = figure.axes
    dots = panel.containers[0].lines[0]
    np.testing.assert_array_equal(dots.get_xydata(), [[0.91, 0], [0.95, 1], [1.02, 2]])
    assert panel.get_ylim()[0] > panel.get_ylim()[1]
    assert [label.get_text() for label in panel.get_yticklabels()] == list(table["label"])
    assert [label.get_text() for label in values.get_yticklabels()] == [
        "0.9100 ± 0.0100  (n=5)",
        "0.9500",
        "1.0200 ± 0.0300  (n=3)",
    ]
    assert panel.get_xlabel() == "test/mase"


def test_error_bars_span_the_deviation(table):
    (bars,) = comparison(table, "m", "t").axes[0].findobj(LineCollection)
    assert isinstance(bars, LineCollection)
    segments = bars.get_segments()
    spans = [segment[:, 0] for segment in segments if len(segment)]  # the segment of a single seed is empty
    np.testing.assert_allclose(spans, [[0.90, 0.92], [0.99, 1.05]])


def test_equal_baselines_are_one_line_and_different_ones_are_ticks(table):
    panel = comparison(table, "m", "t").axes[0]
    (line,) = [line for line in panel.get_lines() if line.get_label() == "baseline 1.000"]
    np.testing.assert_array_equal(line.get_xdata(), [1, 1])
    different = comparison(table.assign(baseline=[1.0, NAN, 1.2]), "m", "t").axes[0]
    (ticks,) = different.findobj(lambda item: isinstance(item, LineCollection) and item.get_label() == "baseline")
    assert isinstance(ticks, LineCollection)
    np.testing.assert_allclose([segment[:, 0] for segment in ticks.get_segments()], [[1, 1], [1.2, 1.2]])
    np.testing.assert_allclose([segment[:, 1].mean() for segment in ticks.get_segments()], [0, 2])
    assert comparison(table.assign(baseline=NAN), "m", "t").axes[0].get_legend() is None


def test_a_row_without_a_value_shows_no_value(table, drawn):
    values = drawn(comparison(table.assign(mean=[NAN, 0.95, 1.02]), "m", "t")).axes[1]
    assert values.get_yticklabels()[0].get_text() == "no value"


def test_forty_long_labels_do_not_overlap(drawn):
    labels = [f"seq2seq-crypto model.hidden={2**i} optimizer.lr={i / 1000} data.context=168" for i in range(40)]
    rows = {"label": labels, "mean": np.linspace(0.9, 1.2, 40), "std": 0.01, "n": 3, "baseline": 1.0}
    drawn(comparison(pd.DataFrame(rows), "test/mase", "a sweep"))


def test_panels_draw_every_model_on_the_same_windows(make_result, lines, drawn):
    first = make_result(windows=60, horizon=6)
    second = replace(first, prediction=first.prediction * 1.01)
    figure = drawn(panels({"seq2seq": first, "nlinear": second}, "two"))
    windows = np.arange(59, -1, -6)[::-1]
    for index, panel in enumerate(figure.axes):
        curves = lines(panel)
        assert set(curves) == {"naive (last value)", "actual", "seq2seq", "nlinear"}
        for label, values in (
            ("actual", first.target),
            ("seq2seq", first.prediction),
            ("nlinear", second.prediction),
            ("naive (last value)", first.naive),
        ):
            np.testing.assert_array_equal(curves[label][1], values[windows, :, index].ravel())


def test_panels_of_different_windows_raise_an_error(make_result):
    first = make_result(windows=60)
    later = replace(first, origin=first.origin + np.timedelta64(1, "h"))
    for other in (later, make_result(windows=59), make_result(series=2)):
        with pytest.raises(UserError, match="a and b did not forecast the same windows"):
            panels({"a": first, "b": other}, "t")
