"""Figures and films of fields: the drawn values, and empty bodies."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from adlx.figures import style
from adlx.figures.fields import error_by_time, errors_by_time, film, limits, snapshots
from adlx.metrics.fields import FieldResult, by_time
from adlx.specs import FieldSpec

ROWS, COLUMNS = 6, 10
CELLS = ROWS * COLUMNS
GRID = FieldSpec(("u", "v", "p"), ((0, 1), (2,)), CELLS, (ROWS, COLUMNS))
CENTERS = tuple((float(x), float(y)) for y, x in np.ndindex(ROWS, COLUMNS))
FREE = FieldSpec(("u", "v", "p"), ((0, 1), (2,)), CELLS, None, CENTERS)


def fields(steps: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal([0, 5, 0], size=(steps, CELLS, 3))


@pytest.fixture
def bodies() -> np.ndarray:
    body = np.zeros((ROWS, COLUMNS), bool)
    body[2:4, 3:6] = True
    return body.ravel()


def result(runs: int = 1, steps: int = 12, rollout: bool = True, seed: int = 0) -> FieldResult:
    rng = np.random.default_rng(seed)
    shape = (runs, steps, 3)
    error, onestep, baseline = (rng.uniform(0.1, 1, shape) * size for size in (1, 0.1, 2))
    return FieldResult(
        ("u", "v", "p"), error, baseline, np.ones(shape), np.ones(shape), np.arange(runs),
        onestep_error=onestep if rollout else None, start=1,
    )  # fmt: skip


def panels_of(figure) -> list:
    return [panel for panel in figure.axes if panel.get_label() != "<colorbar>"]


def test_snapshots_show_target_prediction_and_error_of_each_field(bodies, drawn):
    target, prediction = fields(), fields(seed=1)
    figure = drawn(snapshots(target, prediction, bodies, GRID, ["a", "b", "c", "d"], "fields"))
    panels = panels_of(figure)
    assert len(panels) == 3 * 3 * 4
    assert [panel.get_title(loc="left") for panel in panels[:4]] == ["a", "b", "c", "d"]
    for index, name in enumerate("uvp"):
        rows = {"target": target, "prediction": prediction, "error": prediction - target}
        for offset, (label, values) in enumerate(rows.items()):
            row = panels[(3 * index + offset) * 4 :][:4]
            assert row[0].get_ylabel() == (name if label == "target" else label)
            for time, panel in enumerate(row):
                (image,) = panel.get_images()
                shown = np.ma.filled(image.get_array().astype(float), np.nan).ravel()
                np.testing.assert_array_equal(np.isnan(shown), bodies)
                np.testing.assert_allclose(shown[~bodies], values[time, ~bodies, index])
                assert image.origin == "lower"  # y upwards
        assert [panel.get_images()[0].get_clim() for panel in panels[3 * index * 4 :][:8]] == [
            limits(target[:, ~bodies, index])
        ] * 8
        low, high = panels[(3 * index + 2) * 4].get_images()[0].get_clim()
        assert low == -high == -np.abs((prediction - target)[:, ~bodies, index]).max()


def test_values_inside_bodies_do_not_change_the_colors(bodies):
    target, prediction = fields(), fields(seed=1)
    wild = prediction.copy()
    wild[:, bodies] = 1e6
    for one, other in zip(
        panels_of(snapshots(target, prediction, bodies, GRID, list("abcd"), "fields")),
        panels_of(snapshots(target, wild, bodies, GRID, list("abcd"), "fields")),
        strict=True,
    ):
        assert one.get_images()[0].get_clim() == other.get_images()[0].get_clim()


def test_cells_without_a_grid_are_drawn_at_their_coordinates(bodies, drawn):
    target, prediction = fields(2), fields(2, seed=1)
    figure = drawn(snapshots(target, prediction, bodies, FREE, ["a", "b"], "free"))
    panel = panels_of(figure)[3]  # the second time of the first prediction
    (image,) = panel.get_images()
    shown = np.ma.filled(image.get_array().astype(float), np.nan)
    high, wide = shown.shape
    assert wide / high == pytest.approx((COLUMNS - 1) / (ROWS - 1), rel=0.01)
    for cell, (x, y) in enumerate(CENTERS):  # the outermost centers are on the border
        value = shown[min(int(y / (ROWS - 1) * high), high - 1), min(int(x / (COLUMNS - 1) * wide), wide - 1)]
        np.testing.assert_allclose(value, np.nan if bodies[cell] else prediction[1, cell, 0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-1.0, 1.0], (-1, 1)),
        ([-0.5, 1.0], (-1, 1)),  # similar on both sides
        ([-0.1, 1.0], (-0.1, 1)),
        ([3.0, 5.0], (3, 5)),
        ([2.0, 2.0], (1.5, 2.5)),
        ([3.0, np.nan, 5.0, np.inf], (3, 5)),
        ([np.nan, np.nan], (-0.5, 0.5)),
    ],
)
def test_the_range_of_colors_ignores_values_that_are_not_finite(values, expected):
    assert limits(np.array(values)) == pytest.approx(expected, abs=0.02)


def test_error_by_time_draws_the_errors_of_rollout_one_step_and_baseline(drawn, lines):
    given = result()
    panels = drawn(error_by_time(given, "errors")).axes
    assert [panel.get_title(loc="left") for panel in panels] == ["u", "v", "p"]
    curves = by_time(given)
    names = {"model": "rollout", "one step": "one step ahead", "baseline": "frozen frame"}
    for index, panel in enumerate(panels):
        drawn_lines = lines(panel)
        assert set(drawn_lines) == set(names.values())
        for kind, label in names.items():
            x, y = drawn_lines[label]
            assert x.tolist() == list(range(2, 14))  # the seed frame is the first
            np.testing.assert_allclose(y, curves[kind][:, index])


def test_errors_of_several_models_by_time(drawn, lines):
    given = {"sea": [result(seed=1), result(seed=2)], "dmd": [result(seed=3)]}
    panels = drawn(errors_by_time(given, "errors")).axes
    curves = lines(panels[2])
    assert list(curves) == ["frozen frame", "sea", "dmd"]
    mean = np.mean([by_time(each)["model"][:, 2] for each in given["sea"]], axis=0)
    np.testing.assert_allclose(curves["sea"][1], mean)
    np.testing.assert_allclose(curves["frozen frame"][1], by_time(given["sea"][0])["baseline"][:, 2])
    assert "mean frame" in lines(errors_by_time({"a": [result(rollout=False)]}, "e").axes[0])


@pytest.mark.parametrize("spec", [GRID, FREE], ids=["grid", "free"])
def test_a_film_has_a_frame_for_each_step(spec, bodies, tmp_path):
    target, prediction = fields(), fields(seed=1)
    frames = film(target, prediction, bodies, spec, "film")
    assert len(frames) == 4
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert frames[0].dtype == np.uint8
    assert all((one != other).any() for one, other in pairwise(frames))
    again = film(target, prediction, bodies, spec, "film")
    assert all(np.array_equal(one, other) for one, other in zip(frames, again, strict=True))
    hidden = prediction.copy()
    hidden[:, bodies] = np.nan
    assert np.array_equal(film(target, hidden, bodies, spec, "film")[2], frames[2])
    style.save_film(frames, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as written:
        assert (written.n_frames, written.size) == (4, frames[0].shape[1::-1])


def test_a_long_rollout_is_shown_in_48_frames(bodies):
    frames = film(None, fields(100)[..., :1], bodies, FieldSpec(("u",), ((0,),), CELLS, (ROWS, COLUMNS)), "long")
    assert len(frames) == 48
    alone, with_target = (film(t, fields(1), bodies, GRID, "film")[0].shape for t in (None, fields(1)))
    assert alone[0] > with_target[0]  # one column instead of three


def test_a_rollout_with_inf_and_nan_is_drawn_without_warnings(bodies, drawn):
    target, prediction = fields(), fields(seed=1)
    prediction[2], prediction[3] = np.inf, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        drawn(snapshots(target, prediction, bodies, GRID, list("abcd"), "fields"))
        assert len(film(target, prediction, bodies, GRID, "film")) == 4
        assert len(film(None, prediction, bodies, GRID, "film")) == 4
        given = result()
        given.error[0, 5:] = np.nan
        drawn(error_by_time(given, "errors"))
