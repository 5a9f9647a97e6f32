import numpy as np
import pandas as pd
import pytest

from adlx.figures.comparison import against

NAN = float("nan")


@pytest.fixture
def curve():
    rows = [
        *[("scratch", x, mean, 0.1) for x, mean in ((32, 1.4), (128, 1.2), (2048, 0.9))],
        *[("full", x, mean, NAN) for x, mean in ((32, 1.0), (2048, 0.8))],
        ("lora", 128, 0.95, 0.05),
    ]
    return pd.DataFrame(rows, columns=["label", "x", "mean", "std"])


def drawn_lines(panel):
    return {bars.get_label(): bars for bars in panel.containers}


def test_each_label_has_a_line_and_a_label_with_one_value_a_point(curve, drawn):
    figure = drawn(against(curve, "test/mase", "data.train_windows", "few windows", np.array([NAN])))
    (panel,) = figure.axes
    bars = drawn_lines(panel)
    assert list(bars) == ["scratch", "full", "lora"]
    for label, rows in curve.groupby("label"):
        line = bars[label].lines[0]
        np.testing.assert_array_equal(line.get_xydata(), rows[["x", "mean"]])
        assert (line.get_linestyle() == "None") is (label == "lora")
    assert len({bars[label].lines[0].get_color() for label in bars}) == 3
    (segments,) = [lines.get_segments() for lines in bars["scratch"].lines[2]]
    np.testing.assert_allclose([segment[:, 1] for segment in segments], [[1.3, 1.5], [1.1, 1.3], [0.8, 1.0]])
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("data.train_windows", "test/mase")
    assert figure._suptitle.get_text() == "few windows"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["scratch", "full", "lora"]


@pytest.mark.parametrize(("largest", "scale"), [(640.0, "linear"), (641.0, "log"), (2048.0, "log")])
def test_the_scale_is_logarithmic_for_a_wide_range(largest, scale, curve, drawn):
    wide = curve.replace({"x": {2048: largest}})
    assert drawn(against(wide, "m", "k", "t", np.array([NAN]))).axes[0].get_xscale() == scale


def test_the_scale_is_linear_with_a_zero(curve, drawn):
    figure = drawn(against(curve.replace({"x": {32: 0}}), "m", "k", "t", np.array([NAN])))
    assert figure.axes[0].get_xscale() == "linear"


@pytest.mark.parametrize(
    ("baseline", "label"),
    [([1.0, 1.0], "baseline 1.000"), ([0.0, NAN], "baseline 0"), ([1.0, 1.1], None), ([NAN], None)],
)
def test_equal_baselines_are_one_line(baseline, label, curve, drawn):
    figure = drawn(against(curve, "m", "k", "t", np.array(baseline)))
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines() if "baseline" in str(line.get_label())}
    assert list(lines) == ([] if label is None else [label])
    if label is not None:
        assert list(lines[label].get_ydata()) == [baseline[0]] * 2
