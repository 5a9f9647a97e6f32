"""Drawn faces: reproducible, hard for a linear model, easy for a small CNN; each action changes its feature."""

import time

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from adlx.data.images.sources.faces_simulated import (
    EXPRESSIONS,
    FER_SHARES,
    Face,
    apportion,
    draw_faces,
    random_faces,
    simulated_faces,
)
from adlx.errors import UserError

FER_COUNTS = [4953, 547, 5121, 8989, 6077, 4002, 6198]
NEUTRAL = EXPRESSIONS.index("neutral")


@pytest.fixture(scope="module")
def faces():
    return simulated_faces(3500)


def neutral_faces(count: int = 50, **fixed: float) -> Face:
    """Different neutral faces, upright in the middle of the picture; the values in `fixed` are the same for all."""
    face = random_faces(np.full(count, NEUTRAL), np.random.default_rng(0))
    actions = ("brows_up", "inner_brows_up", "upper_lids_up", "lower_lids_up", "corners_up", "mouth_open", "mouth_wide")
    actions += ("upper_lip_up", "nose_wrinkled")
    upright = dict.fromkeys(("roll", "right", "down", "yaw", "pitch", *actions), 0.0) | {"scale": 1.0}
    bare = {"beard": -1.0, "glasses": -1.0, "teeth": -1.0, "hair": 0.1, "hairline": -15.0, "skin": 0.7}
    return face | {name: np.full(count, value) for name, value in (upright | bare | fixed).items()}


def box(image: np.ndarray, u: tuple[float, float], v: tuple[float, float]) -> np.ndarray:
    """The pixels of faces drawn by `neutral_faces` in these ranges of face coordinates."""
    columns, rows = (slice(round(low + 23.5), round(high + 23.5)) for low, high in (u, v))
    return image[:, rows, columns]


def height_of_dark(pixels: np.ndarray) -> np.ndarray:
    """(N,) mean height of the dark pixels."""
    dark = np.clip(0.6 - pixels, 0, None).sum(axis=2)
    return -(dark * np.arange(dark.shape[1])).sum(axis=1) / dark.sum(axis=1)


def test_faces_have_the_documented_shapes_and_names():
    samples = simulated_faces(1000, seed=4)
    assert samples.values.shape == (1000, 1, 48, 48)
    assert (samples.values.dtype, samples.labels.dtype) == (np.dtype("uint8"), np.dtype("int64"))
    assert samples.classes == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert (samples.source, samples.detail, samples.simulated) == ("simulated", "1,000 drawn faces, seed 4", True)
    assert (samples.parts, samples.codebook, samples.names) == (None, None, None)
    assert samples.values.min() == 0
    assert samples.values.max() == 255
    assert 90 < samples.values.mean() < 150
    assert samples.values.std(axis=(1, 2, 3)).min() > 8  # no picture is flat


def test_classes_have_the_shares_of_fer2013():
    assert sum(FER_SHARES) == pytest.approx(1, abs=1e-12)
    assert apportion(35_887, FER_SHARES).tolist() == FER_COUNTS
    # 7000 shares are 966.12, 106.70, 998.89, 1753.38, 1185.36, 780.62 and 1208.96.
    assert apportion(7000, FER_SHARES).tolist() == [966, 107, 999, 1753, 1185, 781, 1209]
    labels = simulated_faces(300).labels
    assert np.bincount(labels, minlength=7).tolist() == apportion(300, FER_SHARES).tolist()
    assert (np.diff(labels) != 0).mean() > 0.7  # shuffled
    assert np.bincount(simulated_faces(10, shares=[0, 1, 0, 0, 0, 3, 1]).labels).tolist() == [0, 2, 0, 0, 0, 6, 2]


def test_a_seed_gives_the_same_faces():
    first, again, other = simulated_faces(200, 1), simulated_faces(200, 1), simulated_faces(200, 2)
    assert first.values.tobytes() == again.values.tobytes()
    assert first.labels.tolist() == again.labels.tolist()
    assert first.labels.tolist() != other.labels.tolist()
    assert (first.values != other.values).mean() > 0.9


def test_no_face_is_drawn_twice(faces):
    assert len({value.tobytes() for value in faces.values}) == 3500


def test_seven_hundred_faces_are_drawn_in_seconds():
    start = time.process_time()
    simulated_faces(700)
    assert time.process_time() - start < 2.4  # 0.4 s on the first machine


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "data.count=0: must be at least 1"),
        ({"count": 5, "seed": -1}, "data.simulation_seed=-1: must be at least 0"),
        ({"count": 5, "shares": [1, 1]}, r"shares=\[1, 1\]: give one share of 0 or above for each of angry, disgust"),
        ({"count": 5, "shares": [1, 1, 1, 1, 1, 1, -1]}, "0 or above"),
        ({"count": 5, "shares": [0] * 7}, "0 or above"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        simulated_faces(**arguments)


def test_the_action_corners_up_raises_the_corners_of_the_mouth():
    where = {"nose_level": 4.0, "mouth_below": 5.0, "mouth_half": 5.0}  # a mouth at v=9 between u=-5 and 5
    heights = []
    for up in (-2.0, 0.0, 2.0):
        image = draw_faces(neutral_faces(corners_up=np.float32(up), **where))
        sides = np.concatenate([box(image, (-5, -3), (5, 13)), box(image, (4, 6), (5, 13))], axis=2)
        heights.append(height_of_dark(sides))
    assert (heights[1] - heights[0]).min() > 0.3
    assert (heights[2] - heights[1]).min() > 0.3


def test_an_open_mouth_is_dark():
    dark = []
    for gap in (0.0, 1.5, 3.0):
        image = draw_faces(neutral_faces(mouth_open=gap, nose_level=4.0, mouth_below=5.0, mouth_half=5.0))
        dark.append((box(image, (-7, 8), (6, 15)) < 0.3).sum(axis=(1, 2)).mean())
    # Between an upper and a lower half of an ellipse, 5 wide, 0.3 + 0.4 gap and 0.3 + gap high.
    assert dark[1:] == pytest.approx([np.pi / 2 * 5 * 2.7, np.pi / 2 * 5 * 4.8], rel=0.15)
    assert dark[0] < 8


def test_the_action_mouth_wide_widens_the_mouth():
    def width(wide: float) -> np.ndarray:
        image = draw_faces(
            neutral_faces(mouth_open=1.5, mouth_wide=wide, nose_level=4.0, mouth_below=5.0, mouth_half=5.0)
        )
        return (box(image, (-10, 11), (6, 14)) < 0.3).any(axis=1).sum(axis=1)

    assert (width(1.5) - width(-1.5)).mean() == pytest.approx(6, abs=1)  # 1.5 on both sides, from -1.5 to 1.5


def test_brow_actions_raise_and_tilt_the_brows():
    eyes = {"eyes_level": -3.0, "eye_distance": 6.5, "eyes_wide": 3.0, "brows_above": 5.5, "brows_thick": 1.0}

    def brow(u: tuple[float, float], **action: float) -> np.ndarray:
        return height_of_dark(box(draw_faces(neutral_faces(**eyes, **action)), u, (-13, -6)))

    inner, outer = (3, 6), (7, 10)
    assert (brow(inner, brows_up=1.0) - brow(inner, brows_up=-0.5)).mean() == pytest.approx(1.5, abs=0.3)
    tilt = (brow(inner, inner_brows_up=1.0) - brow(outer, inner_brows_up=1.0)) - (brow(inner) - brow(outer))
    assert tilt.min() > 0.3
    frown = (brow(inner, inner_brows_up=-1.0) - brow(outer, inner_brows_up=-1.0)) - (brow(inner) - brow(outer))
    assert frown.max() < -0.3


def test_raised_lids_show_more_white_of_the_eyes():
    eyes = {"eyes_level": -3.0, "eye_distance": 6.5, "eyes_wide": 3.6, "eyes_high": 1.7, "skin": 0.45, "gaze": 0.0}

    def white(**action: float) -> np.ndarray:
        image = draw_faces(neutral_faces(**eyes, **action))
        return np.clip(box(image, (-10, 11), (-6, 0)) - 0.48, 0, None).sum(axis=(1, 2))  # brighter than any skin here

    usual = white()
    assert usual.min() > 0.1
    assert (white(upper_lids_up=1.0) / usual).min() > 1.3
    assert (white(upper_lids_up=-0.8) / usual).max() < 0.7
    assert (white(lower_lids_up=1.0) / usual).max() < 0.8


def test_disgust_lifts_the_lip_and_wrinkles_the_nose():
    base = {"nose_level": 4.0, "mouth_below": 5.0, "mouth_half": 5.0, "eyes_level": -3.0}

    def image(**action: float) -> np.ndarray:
        return draw_faces(neutral_faces(**base, **action))

    lip = [height_of_dark(box(image(upper_lip_up=up), (-2, 3), (6, 14))) for up in (0.0, 1.8)]
    assert (lip[1] - lip[0]).min() > 0.2
    bridge = [box(image(nose_wrinkled=w), (-2, 3), (-3, 2)).std(axis=1).mean(axis=1) for w in (0.0, 1.0)]
    assert (bridge[1] - bridge[0]).min() > 0.02


def test_the_head_turns_and_moves_with_its_pose():
    upright = draw_faces(neutral_faces())
    moved = draw_faces(neutral_faces(right=3.0, down=-2.0))
    np.testing.assert_allclose(moved[:, :46, 3:], upright[:, 2:, :45], atol=0.13)  # the background slope stays
    quarter = draw_faces(neutral_faces(roll=90.0, ground_slope=0.0))
    np.testing.assert_allclose(quarter, np.rot90(draw_faces(neutral_faces(ground_slope=0.0)), -1, (1, 2)), atol=2e-3)


def test_brightness_and_contrast_do_not_predict_the_class(faces):
    majority = np.bincount(faces.labels).max() / len(faces)
    pixels = faces.values.reshape(len(faces), -1) / 255
    for feature in (pixels.mean(axis=1), pixels.std(axis=1)):
        edges = np.quantile(feature, np.linspace(0, 1, 21)[1:-1])
        bins = np.digitize(feature, edges)
        table = np.zeros((20, 7))
        np.add.at(table, (bins[:2500], faces.labels[:2500]), 1)
        accuracy = (table.argmax(axis=1)[bins[2500:]] == faces.labels[2500:]).mean()
        assert accuracy < majority + 0.05


def test_a_linear_model_is_inaccurate(faces):
    pixels = faces.values.reshape(len(faces), -1).astype(np.float32)
    pixels = (pixels - pixels[:3000].mean(axis=0)) / pixels[:3000].std(axis=0)
    model = LogisticRegression(C=1e-2, max_iter=1000, tol=1e-2).fit(pixels[:3000], faces.labels[:3000])
    assert 0.45 < model.score(pixels[3000:], faces.labels[3000:]) < 0.80


def test_a_small_cnn_is_accurate(faces):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            assert _cnn_accuracy(torch.tensor(faces.values).float() / 128 - 1, torch.tensor(faces.labels)) > 0.90
    finally:
        torch.set_num_threads(threads)


def _cnn_accuracy(images: torch.Tensor, labels: torch.Tensor, train: int = 2500, epochs: int = 5) -> float:
    layers: list[nn.Module] = [nn.BatchNorm2d(1)]
    for convolution in (nn.Conv2d(1, 32, 5, stride=2, padding=2), nn.Conv2d(32, 64, 3, padding=1)):
        layers += [convolution, nn.MaxPool2d(2), nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 6 * 6, 128), nn.ReLU(), nn.Linear(128, 7))
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * -(-train // 32))
    for _ in range(epochs):
        for batch in torch.randperm(train).split(32):
            loss = nn.functional.cross_entropy(net(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        return (net(images[train:]).argmax(1) == labels[train:]).float().mean().item()
