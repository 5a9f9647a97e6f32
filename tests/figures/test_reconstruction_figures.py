import numpy as np
import pytest

from adlx.figures.reconstruction import COLUMNS, code_usage, pairs


def images(count, channels=1, height=12, width=16, seed=0):
    rng = np.random.default_rng(seed)
    originals = rng.integers(0, 200, size=(count, channels, height, width), dtype=np.uint8)
    return originals, originals + np.uint8(5)


@pytest.mark.parametrize("channels", [1, 3])
def test_originals_are_above_their_reconstructions(channels, drawn):
    originals, decoded = images(11, channels)
    figure = drawn(pairs(originals, decoded, "eleven"))
    assert len(figure.axes) == 2
    for row, panel in enumerate(figure.axes):
        (image,) = panel.get_images()
        mosaic = np.asarray(image.get_array())
        assert mosaic.shape == (2 * 12 + 1, COLUMNS * 17 - 1, 3)
        for column in range(COLUMNS):
            index = row * COLUMNS + column
            part = mosaic[:, column * 17 : column * 17 + 16]
            if index < 11:
                for top, image in ((0, originals[index]), (13, decoded[index])):
                    gray_or_rgb = np.broadcast_to(image.transpose(1, 2, 0), (12, 16, 3))
                    np.testing.assert_array_equal(part[top : top + 12], gray_or_rgb)
            else:
                assert (part == 255).all()
        assert [label.get_text() for label in panel.get_yticklabels()] == ["original", "reconstruction"]
        np.testing.assert_allclose(panel.get_yticks(), [5.5, 18.5])
        np.testing.assert_allclose(panel.get_xticks()[:2], [7.5, 24.5])
    assert [len(panel.get_xticks()) for panel in figure.axes] == [8, 3]


def test_each_pair_has_its_psnr(drawn):
    originals, decoded = images(3)
    decoded[1] = originals[1]
    decoded[2] = originals[2] + np.uint8(51)  # a fifth of the range: 10 log10 25
    (panel,) = drawn(pairs(originals, decoded, "three")).axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["34.2 dB", "exact", "14.0 dB"]
    assert panel.get_xlabel() == "PSNR of each pair"


def test_the_number_of_pairs_is_limited():
    originals, decoded = images(40)
    assert [len(panel.get_xticks()) for panel in pairs(originals, decoded, "t").axes] == [8, 8]
    assert [len(panel.get_xticks()) for panel in pairs(originals, decoded, "t", limit=5).axes] == [5]


@pytest.mark.parametrize(
    ("count", "height", "width"), [(1, 28, 28), (3, 64, 64), (16, 48, 48), (16, 32, 96), (9, 90, 30)]
)
def test_pixels_are_square_and_fill_the_figure(count, height, width, drawn):
    figure = drawn(pairs(*images(count, 3, height, width), "t"))
    for panel in figure.axes:
        columns, rows = np.abs(np.diff(panel.get_xlim()))[0], np.abs(np.diff(panel.get_ylim()))[0]
        box = panel.get_window_extent()
        assert box.width / columns == pytest.approx(box.height / rows, rel=1e-3)
    left = figure.axes[0].get_window_extent().x0
    if count >= 8:
        assert figure.axes[0].get_window_extent().x1 == pytest.approx(figure.bbox.width - 15)
    else:
        assert figure.axes[0].get_window_extent().x1 == pytest.approx(figure.bbox.width - left)


def test_rows_and_a_title_of_two_lines_do_not_overlap(drawn):
    figure = drawn(pairs(*images(16), "a run with a long title " * 6))
    upper, lower = (panel.get_tightbbox() for panel in figure.axes)
    assert figure.get_suptitle().count("\n") == 1
    assert upper.y0 > lower.y1 and figure._suptitle.get_window_extent().y0 > upper.y1


def test_enlarged_pixels_are_sharp_and_reduced_ones_averaged():
    for size, expected in ((32, "nearest"), (400, "antialiased")):
        (image,) = pairs(*images(8, 1, size, size), "t").axes[0].get_images()
        assert image.get_interpolation() in ((expected, "auto") if expected == "antialiased" else (expected,))


def test_arrays_that_are_not_images_raise_an_error():
    originals, decoded = images(3, channels=2)
    with pytest.raises(ValueError, match=r"\(3, 2, 12, 16\) .* not those of gray or color images"):
        pairs(originals, decoded, "t")
    originals, decoded = images(3)
    with pytest.raises(ValueError, match="not those of gray"):
        pairs(originals, decoded[:2], "t")
    with pytest.raises(ValueError, match="0 images"):
        pairs(originals[:0], decoded[:0], "t")


def test_code_usage_sorts_the_codes_and_shows_the_perplexity(drawn):
    codes = np.array([[[0, 0]], [[2, 5]], [[0, 2]], [[5, 0]]])
    figure = drawn(code_usage(codes, 8, "eight"))
    (panel,) = figure.axes
    steps = panel.patches[0].get_data()
    np.testing.assert_allclose(steps.values, [1 / 2, 1 / 4, 1 / 4])
    np.testing.assert_array_equal(steps.edges, [0.5, 1.5, 2.5, 3.5])
    shaded = panel.patches[1].get_extents().transformed(panel.transData.inverted())
    np.testing.assert_allclose((shaded.x0, shaded.x1), (3.5, 8.5))
    (even,) = panel.get_lines()
    np.testing.assert_allclose(even.get_ydata(), 1 / 8)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "3 of 8 codes used, perplexity 2.828",
        "all codes equally often, perplexity 8",
        "5 codes never used",
    ]
    assert panel.get_yscale() == "log"
    assert panel.get_xlim() == (0.5, 8.5)


@pytest.mark.parametrize(
    ("codes", "codebook", "ticks"),
    [
        (np.zeros((5, 4, 4), int), 16, ["1 %", "10 %", "100 %"]),
        (np.arange(64).reshape(4, 4, 4), 64, ["1 %", "10 %"]),
        (np.arange(100).reshape(1, 10, 10), 1000, ["0.1 %", "1 %"]),
        (np.zeros((1, 1, 1), int), 1, ["100 %"]),
    ],
)
def test_the_axis_spans_whole_decades_with_all_shares(codes, codebook, ticks, drawn):
    (panel,) = drawn(code_usage(codes, codebook, "t")).axes
    low, high = panel.get_ylim()
    steps = panel.patches[0].get_data().values
    assert low <= min(steps.min(), 1 / codebook) and max(steps.max(), 1 / codebook) < high
    labels = [tick.label1.get_text() for tick in panel.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert labels == ticks
    assert len(panel.patches) == (1 if len(np.unique(codes)) == codebook else 2)
