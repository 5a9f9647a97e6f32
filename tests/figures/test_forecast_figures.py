from dataclasses import replace

import numpy as np
import pytest

from adlx.figures.forecast import forecast_fan, forecast_panels, horizon_error, series_skill
from adlx.figures.panels import POINTS, target_times
from adlx.metrics.forecast_errors import horizon_mase, skill_by_series


def test_panels_draw_the_last_windows_in_order_of_time(make_result, lines, drawn):
    result = make_result(windows=400, horizon=24)
    figure = drawn(forecast_panels(result, "seq2seq on crypto (simulated)"))
    assert figure.get_suptitle() == "seq2seq on crypto (simulated)"
    assert len(figure.legends) == 1
    windows = np.arange(399, -1, -24)[: POINTS // 24][::-1]
    hours = result.origin[windows[0]] + np.arange(1, 24 * len(windows) + 1) * np.timedelta64(1, "h")
    for index, panel in enumerate(figure.axes):
        assert panel.get_title(loc="left") == result.series[index]
        for label, values in (
            ("actual", result.target),
            ("forecast", result.prediction),
            ("naive (last value)", result.naive),
        ):
            x, y = lines(panel)[label]
            np.testing.assert_array_equal(x, hours)
            np.testing.assert_array_equal(y, values[windows, :, index].ravel())


def test_lines_of_forecasts_have_gaps_between_windows_and_the_actual_has_none(make_result):
    panel = forecast_panels(make_result(horizon=6), "t").axes[0]
    num_gaps = {line.get_label(): int(np.isnan(line.get_ydata()).sum()) for line in panel.get_lines()}
    assert num_gaps == {"actual": 0, "forecast": 10, "naive (last value)": 10}
    gaps = forecast_panels(make_result(windows=8, horizon=6, stride=4), "t").axes[0]
    assert [int(np.isnan(line.get_ydata()).sum()) for line in gaps.get_lines()] == [4, 4, 4]


@pytest.mark.parametrize("stride", [1, 3, 6, 8])
def test_each_time_appears_once_whatever_the_stride(make_result, lines, stride):
    result = make_result(windows=30, horizon=6, stride=stride)
    x, y = lines(forecast_panels(result, "t").axes[0])["actual"]
    assert (np.diff(x) > np.timedelta64(0)).all()
    hours = (x - result.origin[0]) // np.timedelta64(1, "h")
    first = int(hours[0]) - 1
    np.testing.assert_array_equal(hours[:6], first + np.arange(1, 7))
    np.testing.assert_array_equal(y[:6], result.target[first // stride, :, 0])


@pytest.mark.parametrize("count", [1, 2, 4, 7, 9, 12])
def test_each_series_has_a_panel(make_result, drawn, count):
    figure = drawn(forecast_panels(make_result(series=count), "t"))
    assert [panel.get_title(loc="left") for panel in figure.axes] == [f"S{index}" for index in range(count)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("minutes", "windows"), [(1, 17), (1, 150), (60, 66), (60, 90), (1440, 40), (1440, 150)])
def test_dates_are_readable_from_minutes_to_months(make_result, drawn, minutes, windows):
    result = make_result(series=9, horizon=2, windows=windows)
    start = result.origin[0]
    figure = drawn(forecast_panels(replace(result, origin=start + (result.origin - start) // 60 * minutes), "t"))
    assert sum(bool(label.get_text()) for label in figure.axes[-1].get_xticklabels()) >= 3


def test_the_title_says_that_only_twelve_series_are_drawn(make_result, drawn):
    figure = drawn(forecast_panels(make_result(series=14), "many"))
    assert len(figure.axes) == 12
    assert figure.get_suptitle() == "many (first 12 of 14 series)"


def test_a_single_window_is_drawn_by_steps(make_result, lines, drawn):
    result = make_result(windows=1, horizon=6)
    figure = drawn(forecast_panels(result, "t"))
    x, y = lines(figure.axes[0])["forecast"]
    np.testing.assert_array_equal(x, [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(y, result.prediction[0, :, 0])
    assert figure.axes[-1].get_xlabel() == "steps after 2024-05-03 00:00 UTC"


def test_one_step_forecasts_make_one_line(make_result, lines):
    result = make_result(windows=40, horizon=1)
    line = lines(forecast_panels(result, "t").axes[1])["forecast"][1]
    np.testing.assert_array_equal(line, result.prediction[:, 0, 1])


def test_target_times_skip_the_weekend(make_result):
    days = np.busday_offset(np.datetime64("2024-05-01"), np.arange(12)).astype("datetime64[ns]")
    result = replace(make_result(windows=10, horizon=2), origin=days[:10])
    times = target_times(result)
    np.testing.assert_array_equal(times[:8], np.stack([days[1:9], days[2:10]], axis=1))
    # after the last origin (Tuesday) the step is the usual one, a day
    np.testing.assert_array_equal(times[9], days[9] + np.array([1, 2]) * np.timedelta64(1, "D"))


def test_target_times_between_strided_origins(make_result):
    result = make_result(windows=5, horizon=6, stride=4)
    expected = result.origin[:, None] + np.arange(1, 7) * np.timedelta64(1, "h")
    np.testing.assert_array_equal(target_times(result), expected)


def test_horizon_error_draws_mase_by_step(make_result, drawn):
    result = make_result(windows=80, horizon=12)
    panel = drawn(horizon_error(result, "t")).axes[0]
    thick = {line.get_label(): line.get_ydata() for line in panel.get_lines() if "MASE" in line.get_label()}
    model, naive = (horizon_mase(result, values) for values in (result.prediction, result.naive))
    np.testing.assert_allclose(list(thick.values()), [model.mean(axis=1), naive.mean(axis=1)])
    table = result.scores()
    assert list(thick) == [
        f"forecast, MASE {table['test/mase']:#.4g}",
        f"naive (last value), MASE {table['baseline/mase']:#.4g}",
    ]
    thin = [line.get_ydata() for line in panel.get_lines() if line.get_label().startswith("_")]
    np.testing.assert_allclose(thin, np.concatenate([model.T, naive.T]))
    drawn(horizon_error(make_result(horizon=1), "t"))


def test_bars_are_as_wide_as_the_skill(make_result, drawn):
    result = make_result(windows=80, horizon=6, series=4)
    result = replace(result, prediction=result.prediction * np.array([1, 1.1, 1, 0.98]))
    panel = drawn(series_skill(result, "t")).axes[0]
    skill = skill_by_series(result)
    assert (skill > 0).any() and (skill < 0).any()
    np.testing.assert_allclose([bar.get_width() for bar in panel.patches], skill)
    assert [label.get_text() for label in panel.get_yticklabels()] == list(result.series)
    assert [text.get_text() for text in panel.texts] == [f"{value:+.3f}" for value in skill]
    assert f"overall {result.scores()['test/skill']:+.3f}" in panel.get_xlabel()
    top, bottom = panel.transData.transform([[0, 0], [0, 3]])[:, 1]
    assert top > bottom


def test_fan_starts_at_the_end_of_the_context(lines, drawn):
    rng = np.random.default_rng(0)
    times = np.datetime64("2024-05-03", "ns") + np.arange(112) * np.timedelta64(1, "h")
    values = rng.normal(size=(112, 2)).cumsum(axis=0) * [1000, 1e-6]
    figure = drawn(forecast_fan(times[:100], values[:100], times[100:], values[100:], ("BTC-USD", "X"), "t"))
    for index, panel in enumerate(figure.axes):
        x, y = lines(panel)["context"]
        np.testing.assert_array_equal(x, times[52:100])
        np.testing.assert_array_equal(y, values[52:100, index])
        x, y = lines(panel)["forecast"]
        np.testing.assert_array_equal(x, times[99:])
        np.testing.assert_array_equal(y, values[99:, index])


def test_fan_draws_a_short_context_whole(lines):
    times = np.datetime64("2024-05-03", "ns") + np.arange(7) * np.timedelta64(1, "D")
    values = np.arange(7.0)[:, None]
    figure = forecast_fan(times[:5], values[:5], times[5:], values[5:], ("a",), "t")
    np.testing.assert_array_equal(lines(figure.axes[0])["context"][1], values[:5, 0])
