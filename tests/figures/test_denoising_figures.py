import numpy as np
import pytest

from adlx.figures.denoising import image_grid, loss_by_noise, neighbours, trajectory
from adlx.metrics.denoising import DenoisingResult


def images(count, channels=1, height=8, width=8, seed=0):
    return np.random.default_rng(seed).integers(0, 200, size=(count, channels, height, width), dtype=np.uint8)


def result(count=12, channels=1, tested=40):
    rng = np.random.default_rng(0)
    return DenoisingResult(
        noise_error=rng.uniform(0.1, 0.5, tested),
        image_error=rng.uniform(0.1, 2, tested),
        baseline_error=rng.uniform(0.7, 0.9, tested),
        time=rng.uniform(0, 1, tested),
        index=np.arange(tested),
        samples=images(count, channels),
        neighbours=images(count, channels, seed=1),
        distance=np.linspace(0.3, 0.1, count),
        held_out_distance=rng.uniform(0.1, 0.4, tested),
        kid=np.ones((3, 2)),
    )


def mosaic_of(panel):
    (image,) = panel.get_images()
    return np.asarray(image.get_array())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (5, 3, 2), (64, 8, 8), (70, 8, 8)])
def test_a_grid_shows_the_images_in_order(channels, count, columns, rows, drawn):
    pictures = images(count, channels)
    (panel,) = drawn(image_grid(pictures, "samples")).axes
    mosaic = mosaic_of(panel)
    assert mosaic.shape == (rows * 9 - 1, columns * 9 - 1, 3)
    for index in range(min(count, 64)):
        top, left = index // columns * 9, index % columns * 9
        expected = np.broadcast_to(pictures[index].transpose(1, 2, 0), (8, 8, 3))
        np.testing.assert_array_equal(mosaic[top : top + 8, left : left + 8], expected)
    assert (mosaic[8::9] == 255).all()


def test_a_trajectory_goes_from_left_to_right(drawn):
    steps = np.stack([images(2, seed=seed) for seed in range(5)])
    (panel,) = drawn(trajectory(steps, "steps")).axes
    mosaic = mosaic_of(panel)
    for image in range(2):
        for step in range(5):
            part = mosaic[image * 9 : image * 9 + 8, step * 9 : step * 9 + 8, 0]
            np.testing.assert_array_equal(part, steps[step, image, 0])
    assert [label.get_text() for label in panel.get_xticklabels()] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("channels", [1, 3])
def test_neighbours_are_below_the_generated_images(channels, drawn):
    given = result(channels=channels)
    above, below = drawn(neighbours(given, "near")).axes
    mosaic = mosaic_of(above)
    assert mosaic.shape == (17, 8 * 9 - 1, 3)
    for index in range(8):  # the last samples have the smallest distances
        for top, source in ((0, given.samples), (9, given.neighbours)):
            expected = np.broadcast_to(source[11 - index].transpose(1, 2, 0), (8, 8, 3))
            np.testing.assert_array_equal(mosaic[top : top + 8, index * 9 : index * 9 + 8], expected)
    heights = [patch.get_height() for patch in below.patches]
    assert sum(heights) == pytest.approx(2)  # both histograms are shares
    assert below.get_legend_handles_labels()[1] == ["test images", "generated images"]


def test_fewer_images_than_columns_and_distances_of_zero(drawn):
    few = result(count=3)
    few.distance[:] = 0
    assert mosaic_of(drawn(neighbours(few, "copies")).axes[0]).shape == (17, 3 * 9 - 1, 3)


def test_loss_by_noise_draws_the_mean_errors_by_time(drawn):
    given = result(tested=4000)
    (panel,) = drawn(loss_by_noise(given, "loss")).axes
    table = {line.get_label(): np.asarray(line.get_ydata()) for line in panel.get_lines()}
    first = given.time < 0.1
    assert table["noise"][0] == pytest.approx(given.noise_error[first].mean())
    assert table["image"][0] == pytest.approx(given.image_error[first].mean())
    assert table["noise, if the prediction is 0"][0] == pytest.approx(given.baseline_error.mean())
