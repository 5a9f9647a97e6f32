import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from adlx.figures import style
from adlx.metrics.forecast import ForecastResult
from adlx.metrics.forecast_errors import Quantiles


@pytest.fixture
def make_result():
    """Makes forecasts of hourly prices of very different sizes, over `horizon` steps from every `stride`-th hour.

    With `levels`, quantiles have equal distances around the forecast, and are wider around the naive forecast.
    """

    def make(windows=60, horizon=6, series=3, stride=1, seed=0, levels=None):
        rng = np.random.default_rng(seed)
        base = np.resize([64321.0, 0.123, 1.8e-5], series)
        length = windows * stride + horizon
        price = base * np.exp(np.cumsum(rng.normal(size=(length, series)) * 0.01, axis=0))
        time = np.datetime64("2024-05-03T00", "ns") + np.arange(length) * np.timedelta64(1, "h")
        origins = np.arange(windows) * stride
        target = np.stack([price[i + 1 : i + 1 + horizon] for i in origins])
        prediction = target * (1 + 0.01 * rng.normal(size=target.shape))
        quantiles = None
        if levels is not None:
            offsets = np.asarray(levels) - 0.5
            values = prediction[..., None] * (1 + 0.04 * offsets)
            naive = price[origins][:, None, :, None] * (1 + 0.1 * offsets * np.ones((horizon, 1, 1)))
            quantiles = Quantiles(np.asarray(levels), values, naive)
        return ForecastResult(
            prediction=prediction,
            target=target,
            last=price[origins],
            origin=time[origins],
            series=tuple(f"S{index}" for index in range(series)),
            mean=price.mean(axis=0),
            std=price.std(axis=0),
            step_mae=np.abs(np.diff(price, axis=0)).mean(axis=0),
            stride=stride,
            quantiles=quantiles,
        )

    return make


@pytest.fixture
def lines():
    """Reads the labeled lines of a panel: label -> (x, y), without the gaps between windows."""

    def read(panel):
        table = {}
        for line in panel.get_lines():
            if not line.get_label().startswith("_"):
                x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata(), dtype=float)
                table[line.get_label()] = (x[~np.isnan(y)], y[~np.isnan(y)])
        return table

    return read


@pytest.fixture
def drawn():
    """Draws a figure; checks that no text is cut off at the border and that tick labels do not overlap."""

    def check(figure):
        canvas = FigureCanvasAgg(figure)
        with style.styled():
            canvas.draw()
        renderer = canvas.get_renderer()
        border = figure.bbox.padded(2)
        texts = [figure._suptitle, *(text for legend in figure.legends for text in legend.get_texts())]
        for panel in figure.axes:
            if not panel.axison:
                continue
            texts += [panel.title, panel._left_title, panel.xaxis.label, panel.yaxis.label]
            for axis in (panel.xaxis, panel.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
                labels = [label for tick in ticks for label in (tick.label1, tick.label2)]
                labels = [label for label in labels if label.get_visible() and label.get_text()]
                boxes = [label.get_window_extent(renderer) for label in labels]
                assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]), [str(x) for x in labels]
                texts += labels
        for text in texts:
            if text.get_visible() and text.get_text():
                box = text.get_window_extent(renderer)
                assert border.x0 <= box.x0 and box.x1 <= border.x1, text
                assert border.y0 <= box.y0 and box.y1 <= border.y1, text
        return figure

    return check
