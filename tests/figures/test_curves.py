import numpy as np
import pandas as pd

from adlx.figures.curves import training_curves

NAN = float("nan")


def logged(**columns):
    """Rows as a run writes them: training and validation values are in different rows."""
    train = [0.9, 0.6, 0.4, 0.3]
    table = {
        "step": [9, 19, 19, 29, 39, 39],
        "epoch": [0, 0, 0, 1, 1, 1],
        "train/loss": [train[0], train[1], NAN, train[2], train[3], NAN],
        "val/loss": [NAN, NAN, 0.5, NAN, NAN, 0.7],
    }
    return pd.DataFrame(table | columns)


def test_losses_are_drawn_at_their_steps(lines, drawn):
    figure = drawn(training_curves(logged(), "run"))
    (panel,) = figure.axes
    np.testing.assert_array_equal(lines(panel)["training"], [[9, 19, 29, 39], [0.9, 0.6, 0.4, 0.3]])
    np.testing.assert_array_equal(lines(panel)["validation"], [[19, 39], [0.5, 0.7]])
    assert panel.get_yscale() == "linear"


def test_the_best_validation_is_marked(lines):
    panel = training_curves(logged(), "run").axes[0]
    np.testing.assert_array_equal(lines(panel)["best 0.5000 at step 19, epoch 1"], [[19], [0.5]])


def test_the_scale_is_logarithmic_when_losses_span_decades(drawn):
    falling = [900.0, 60.0, NAN, 4.0, 0.3, NAN]
    assert drawn(training_curves(logged(**{"train/loss": falling}), "t")).axes[0].get_yscale() == "log"
    negative = [900.0, 60.0, NAN, 4.0, -0.3, NAN]
    assert training_curves(logged(**{"train/loss": negative}), "t").axes[0].get_yscale() == "linear"


def test_the_learning_rate_has_a_panel_only_when_it_varies(drawn):
    constant = training_curves(logged(lr=[1e-3, NAN, NAN, 1e-3, 1e-3, NAN]), "t")
    assert len(constant.axes) == 1
    figure = drawn(training_curves(logged(lr=[1e-3, NAN, NAN, 5e-4, 1e-4, NAN]), "t"))
    assert len(figure.axes) == 2
    (line,) = figure.axes[1].get_lines()
    np.testing.assert_array_equal(line.get_xydata(), [[9, 1e-3], [29, 5e-4], [39, 1e-4]])


def test_a_diverged_loss_is_not_drawn(lines, drawn):
    table = logged(**{"train/loss": [0.9, 0.6, NAN, np.inf, NAN, NAN]})
    panel = drawn(training_curves(table, "t")).axes[0]
    np.testing.assert_array_equal(lines(panel)["training"], [[9, 19], [0.9, 0.6]])


def test_a_run_without_validation_or_without_losses_is_drawn(lines, drawn):
    panel = training_curves(logged().drop(columns="val/loss"), "t").axes[0]
    assert list(lines(panel)) == ["training"]
    empty = drawn(training_curves(pd.DataFrame({"step": [], "epoch": []}), "t"))
    assert [text.get_text() for text in empty.axes[0].texts] == ["no loss was logged"]
