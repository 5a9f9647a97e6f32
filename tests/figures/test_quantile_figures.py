from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from adlx.figures import style
from adlx.figures.forecast import calibration, forecast_fan, forecast_panels, panels

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
NINETEEN = tuple(np.arange(1, 20) / 20)
ENDS = {"80 % interval": (0, 4), "50 % interval": (1, 3)}


def bands(panel):
    return {band.get_label(): band for band in panel.collections}


def ends(band):
    """Lowest and highest value of each filled polygon at each of its x."""
    polygons = []
    for path in band.get_paths():
        x, y = path.vertices.T
        polygons.append([(y[x == at].min(), y[x == at].max()) for at in np.unique(x)])
    return np.array(polygons)


def legend_of(figure):
    (legend,) = figure.legends
    return {text.get_text(): handle for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)}


def fan(series=7, horizon=5, levels=LEVELS):
    rng = np.random.default_rng(0)
    times = np.datetime64("2024-05-03", "ns") + np.arange(60 + horizon) * np.timedelta64(1, "h")
    values = np.resize([64321.0, 0.123, 1.8e-5], series) * np.exp(
        0.01 * rng.normal(size=(len(times), series)).cumsum(0)
    )
    offsets = np.sqrt(np.arange(1, horizon + 1))[:, None, None] * (np.asarray(levels) - 0.5)
    quantiles = values[60:, :, None] * (1 + 0.02 * offsets)
    names = tuple(f"S{index}" for index in range(series))
    figure = forecast_fan(times[:60], values[:60], times[60:], values[60:], names, "t", levels, quantiles)
    return figure, values, quantiles


@pytest.mark.parametrize("stride", [1, 7])
def test_panels_draw_a_band_for_each_interval_of_each_window(make_result, drawn, stride):
    result = make_result(windows=80, horizon=5, series=7, stride=stride, levels=LEVELS)
    figure = forecast_panels(result, "t")
    windows = np.arange(79, -1, -5 if stride == 1 else -1)[:30][::-1]
    for index, panel in enumerate(figure.axes):
        assert list(bands(panel)) == list(ENDS)  # the widest first, below the others
        for label, indices in ENDS.items():
            expected = result.quantiles.values[windows, :, index][..., indices]
            np.testing.assert_allclose(ends(bands(panel)[label]), expected)


def test_each_band_has_its_shade_in_the_legend_too(make_result, drawn):
    figure = drawn(forecast_panels(make_result(levels=LEVELS), "t"))
    legend = legend_of(figure)
    assert list(legend) == ["naive (last value)", "80 % interval", "50 % interval", "actual", "forecast"]
    looks = {label: tuple(band.get_facecolor()[0]) for label, band in bands(figure.axes[0]).items()}
    assert {label: legend[label].get_facecolor() for label in ENDS} == looks
    wide, narrow, line = (np.mean(color[:3]) for color in (*looks.values(), to_rgba(style.MODEL)))
    assert line + 0.1 < narrow < wide - 0.05 < 0.9
    assert all(color[3] == 1 for color in looks.values())


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        (None, []),
        ((0.5, 0.9), []),
        ((0.1, 0.5, 0.9, 0.95), [80]),
        ((0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95), [90, 80, 50, 20]),
        (NINETEEN, [90, 60, 30]),
        (tuple(np.arange(1, 100) / 100), [98, 72, 46, 20]),
    ],
)
def test_at_most_four_intervals_are_drawn(make_result, drawn, levels, shown):
    figures = [forecast_panels(make_result(series=1, levels=levels), "t")]
    if levels:
        figures.append(fan(series=1, levels=levels)[0])
    wanted = [f"{percent} % interval" for percent in shown]
    for figure in figures:
        assert list(bands(figure.axes[0])) == wanted
        assert [label for label in legend_of(drawn(figure)) if "%" in label] == wanted


@pytest.mark.parametrize(("windows", "horizon"), [(1, 1), (1, 2), (1, 5), (2, 1), (40, 1), (2, 5)])
def test_bands_are_visible_with_few_points(make_result, drawn, windows, horizon):
    figure = drawn(forecast_panels(make_result(windows, horizon, series=1, levels=LEVELS), "t"))
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    below = int(picture.shape[0] * 0.8)  # without the legend
    for band in bands(figure.axes[0]).values():
        color = np.round(255 * np.array(band.get_colors() if hasattr(band, "get_segments") else band.get_facecolor()))
        assert (np.abs(picture[:below] - color[0, :3]).max(axis=-1) <= 1).sum() > 200


def test_a_single_point_has_vertical_bars_and_markers(make_result):
    result = make_result(windows=1, horizon=1, series=2, levels=LEVELS)
    for index, panel in enumerate(forecast_panels(result, "t").axes):
        for label, indices in ENDS.items():
            (segment,) = bands(panel)[label].get_segments()
            low, high = result.quantiles.values[0, 0, index, list(indices)]
            np.testing.assert_array_equal(segment, [[1, low], [1, high]])
        assert {line.get_label(): line.get_marker() for line in panel.get_lines()} == dict.fromkeys(
            ("naive (last value)", "actual", "forecast"), "o"
        )
    both = panels({"a": result, "b": replace(result, prediction=1.01 * result.prediction)}, "t")
    assert [line.get_marker() for line in both.axes[0].get_lines()] == ["o"] * 4


@pytest.mark.parametrize(("series", "horizon"), [(7, 5), (1, 5), (2, 1), (1, 48)])
def test_fan_starts_at_the_last_value(drawn, series, horizon):
    figure, values, quantiles = fan(series, horizon)
    drawn(figure)
    assert list(legend_of(figure)) == ["context", "80 % interval", "50 % interval", "forecast"]
    for index, panel in enumerate(figure.axes):
        for label, indices in ENDS.items():
            (band_ends,) = ends(bands(panel)[label])
            np.testing.assert_array_equal(band_ends[0], values[[59, 59], index])
            np.testing.assert_allclose(band_ends[1:], quantiles[:, index, list(indices)])
        low, high = panel.get_ylim()
        assert low < quantiles[:, index].min() and quantiles[:, index].max() < high


def test_a_fan_without_quantiles_has_no_bands(drawn):
    times = np.datetime64("2024-05-03", "ns") + np.arange(12) * np.timedelta64(1, "h")
    values = np.arange(12.0)[:, None]
    figure = drawn(forecast_fan(times[:9], values[:9], times[9:], values[9:], ("a",), "t"))
    assert not figure.axes[0].collections
    assert list(legend_of(figure)) == ["context", "forecast"]


@pytest.mark.parametrize("levels", [LEVELS, NINETEEN, (0.5, 0.9)])
def test_calibration_draws_the_share_below_each_quantile(make_result, drawn, lines, levels):
    result = make_result(windows=80, levels=levels)
    panel = drawn(calibration(result, "t")).axes[0]
    table = result.scores()
    expected = {
        f"naive (last value), CRPS {table['baseline/crps']:#.4g}": result.quantiles.naive,
        f"forecast, CRPS {table['test/crps']:#.4g}": result.quantiles.values,
    }
    curves = lines(panel)
    assert list(curves) == ["calibrated", *expected, "thin: each of 3 series"]
    np.testing.assert_array_equal(curves["calibrated"], [[0, 1], [0, 1]])
    thin = [line.get_ydata() for line in panel.get_lines() if line.get_label().startswith("_")]
    shares = []
    for label, values in expected.items():
        by_series = [(result.target[..., [s]] <= values[..., s, :]).mean(axis=(0, 1)) for s in range(3)]
        np.testing.assert_array_equal(curves[label][0], levels)
        np.testing.assert_allclose(curves[label][1], np.mean(by_series, axis=0))
        shares += by_series
    np.testing.assert_allclose(thin, shares)


def test_calibration_is_square_and_not_cut_off_at_0_and_1(make_result, drawn):
    result = make_result(windows=1, horizon=1, series=1, levels=LEVELS)
    narrow = replace(result.quantiles, values=result.target[..., None] + np.array([-4.0, -3, -2, 1, 2]))
    figure = drawn(calibration(replace(result, quantiles=narrow), "t"))
    (panel,) = figure.axes
    box = panel.get_window_extent()
    assert box.width == pytest.approx(box.height)
    assert panel.get_xlim() == panel.get_ylim() == (0, 1)
    (line,) = [line for line in panel.get_lines() if line.get_label().startswith("forecast")]
    np.testing.assert_array_equal(line.get_ydata(), [0, 0, 0, 1, 1])
    assert not line.get_clip_on()
    assert not any("thin" in label for label in legend_of(figure))


def test_comparison_panels_draw_no_bands(make_result, lines):
    first = make_result(levels=LEVELS)
    figure = panels(
        {"transformer": first, "nlinear": replace(first, quantiles=None, prediction=0.99 * first.target)}, "t"
    )
    for panel in figure.axes:
        assert not panel.collections
        assert set(lines(panel)) == {"naive (last value)", "actual", "transformer", "nlinear"}
