"""`read_image_folder`: pixel values, layouts, class names, logged pictures that are left out, errors in one line."""

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adlx.data.images.sources.image_folder import read_image_folder
from adlx.data.images.sources.pictures import SUFFIXES
from adlx.errors import UserError


def grey(tone: int, height: int = 4, width: int = 4) -> np.ndarray:
    return np.full((height, width), tone, dtype=np.uint8)


def save(folder: Path, name: str, pixels: np.ndarray | None = None, **options) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey(100) if pixels is None else pixels).save(path, **options)
    return path


@pytest.fixture
def faces(tmp_path) -> Path:
    return tmp_path / "faces"


def user_error_of(path: Path, **options) -> str:
    with pytest.raises(UserError) as caught:
        read_image_folder(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_of_every_suffix_are_read_in_the_order_of_their_paths(faces):
    names = [
        "b/1.PNG",
        "b/deep/er/2.bmp",
        "a/3.gif",
        "a/4.tiff",
        "a/5.pgm",
        "a/6.tif",
        "b/7.webp",
        "b/8.jpg",
        "a/9.jpeg",
    ]
    for tone, name in enumerate(names):
        options = {"lossless": True} if name.endswith("webp") else {}
        save(faces, name, grey(20 * tone), **options)
    (faces / "a" / "notes.txt").write_text("no picture")
    save(faces, "a/.hidden.png")
    save(faces, ".cache/x.png")
    save(faces, "__MACOSX/a/._3.gif.png")
    samples = read_image_folder(str(faces), size=(4, 4))
    assert samples.names == tuple(sorted(names))
    tones = np.array([20 * names.index(name) for name in samples.names], dtype=np.uint8)
    np.testing.assert_array_equal(samples.values, np.broadcast_to(tones[:, None, None, None], (9, 1, 4, 4)))
    assert samples.values.dtype == np.uint8
    assert samples.labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert samples.labels.dtype == np.int64
    assert samples.classes == ("a", "b")
    assert samples.parts is None
    assert (samples.source, samples.detail, samples.simulated) == ("folder", "faces (9 pictures)", False)


def test_the_middle_is_cropped(faces):
    inside = np.arange(16, dtype=np.uint8).reshape(4, 4) * 10
    wide = np.hstack([grey(255, width=3), inside, grey(255, width=3)])
    save(faces, "a/tall.png", wide.T)
    save(faces, "a/wide.png", wide)
    tall, wide = read_image_folder(faces, size=(4, 4)).values[:, 0]
    np.testing.assert_array_equal(wide, inside)
    np.testing.assert_array_equal(tall, inside.T)


def test_size_is_height_and_width(faces):
    inside = np.arange(8, dtype=np.uint8).reshape(2, 4) * 30
    save(faces, "a/x.png", np.vstack([grey(255, height=1), inside, grey(255, height=1)]))
    samples = read_image_folder(faces, size=(2, 4))
    assert samples.values.shape == (1, 1, 2, 4)
    np.testing.assert_array_equal(samples.values[0, 0], inside)


def test_reduction_does_not_alias(faces):
    checkers = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    save(faces, "a/checkers.png", checkers)
    values = read_image_folder(faces, size=(4, 4)).values
    assert np.abs(values.astype(int) - 127.5).max() <= 1.5  # every 16th pixel alone would be 0 or 255


def test_colour_turned_and_16_bit_pictures_are_converted(faces):
    colours = np.zeros((2, 2, 3), dtype=np.uint8)
    colours[0, 0], colours[0, 1], colours[1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held so that the viewer must turn the picture clockwise
    save(faces, "a/1.png", colours)
    save(faces, "a/2.png", colours, exif=turned)
    save(faces, "a/3.png", np.array([[0, 256], [32768, 65535]], dtype=np.uint16))
    rgb = read_image_folder(faces, size=(2, 2), channels=3).values
    assert rgb.shape == (3, 3, 2, 2)
    np.testing.assert_array_equal(rgb[0], colours.transpose(2, 0, 1))
    np.testing.assert_array_equal(rgb[1], np.rot90(colours, -1).transpose(2, 0, 1))
    np.testing.assert_array_equal(rgb[2], np.broadcast_to([[0, 1], [128, 255]], (3, 2, 2)))
    luma = read_image_folder(faces, size=(2, 2)).values[0, 0]  # 0.299 R + 0.587 G + 0.114 B, ITU-R 601
    np.testing.assert_array_equal(luma, [[76, 150], [29, 0]])


def test_part_folders_may_have_the_names_of_fer2013(faces):
    for tone, name in enumerate(["Training/x/1.png", "PublicTest/y/1.png", "PrivateTest/x/1.png", "Training/y/1.png"]):
        save(faces, name, grey(tone))
    samples = read_image_folder(faces)
    assert samples.names == ("PrivateTest/x/1.png", "PublicTest/y/1.png", "Training/x/1.png", "Training/y/1.png")
    assert samples.values[:, 0, 0, 0].tolist() == [2, 1, 0, 3]
    assert samples.parts.tolist() == [2, 1, 0, 0]
    assert samples.parts.dtype == np.int8
    assert samples.labels.tolist() == [0, 1, 0, 1]
    assert samples.classes == ("x", "y")


@pytest.mark.parametrize("middle", ["val", "valid", "validation"])
def test_a_missing_or_empty_validation_folder_is_accepted(faces, middle):
    save(faces, "train/x/1.png")
    save(faces, "test/x/1.png")
    (faces / middle).mkdir()
    (faces / "notes" / "old").mkdir(parents=True)
    assert read_image_folder(faces).parts.tolist() == [2, 0]
    save(faces, f"{middle}/x/1.png")
    assert read_image_folder(faces).parts.tolist() == [2, 0, 1]


def test_one_part_name_among_others_is_a_class(faces):
    for name in ("car/1.png", "plane/1.png", "train/1.png"):
        save(faces, name)
    samples = read_image_folder(faces)
    assert samples.classes == ("car", "plane", "train")
    assert samples.parts is None


def test_expressions_have_the_order_and_names_of_fer2013(faces):
    for name in ("Surprised", "afraid", "ANGER", "happiness", "neutral", "disgusted", "sadness"):
        save(faces, f"{name}/1.png")
    samples = read_image_folder(faces)
    assert samples.classes == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert samples.names[0] == "ANGER/1.png"
    assert samples.labels.tolist() == [0, 5, 2, 1, 3, 6, 4]


def test_fewer_expressions_keep_that_order_and_another_class_sorts_all_by_name(faces):
    save(faces, "train/Sad/1.png")
    save(faces, "train/anger/1.png")
    save(faces, "test/angry/1.png")
    samples = read_image_folder(faces)
    assert samples.classes == ("angry", "sad")
    assert dict(zip(samples.names, samples.labels.tolist(), strict=True)) == {
        "test/angry/1.png": 0,
        "train/Sad/1.png": 1,
        "train/anger/1.png": 0,
    }
    save(faces, "train/contempt/1.png")
    assert read_image_folder(faces).classes == ("Sad", "anger", "angry", "contempt")


def test_pictures_without_class_folders_have_label_minus_1(faces):
    save(faces, "2.png", grey(2))
    save(faces, "10.png", grey(10))
    samples = read_image_folder(faces)
    assert samples.names == ("10.png", "2.png")
    assert samples.values[:, 0, 0, 0].tolist() == [10, 2]
    assert samples.labels.tolist() == [-1, -1]
    assert samples.classes == ()
    assert samples.parts is None


def test_pictures_in_part_folders_without_classes_have_parts_only(faces):
    save(faces, "train/1.png", grey(1))
    save(faces, "test/2.png", grey(2))
    samples = read_image_folder(faces)
    assert samples.values[:, 0, 0, 0].tolist() == [2, 1]
    assert samples.parts.tolist() == [2, 0]
    assert samples.labels.tolist() == [-1, -1]
    assert samples.classes == ()


def test_links_to_folders_are_followed_except_to_a_folder_above(faces, tmp_path):
    save(tmp_path, "elsewhere/1.png")
    (faces / "b").mkdir(parents=True)
    (faces / "a").symlink_to(tmp_path / "elsewhere")
    save(faces, "b/1.png")
    (faces / "b" / "up").symlink_to(faces)
    assert read_image_folder(faces).names == ("a/1.png", "b/1.png")


def test_pictures_that_pillow_warns_about_are_read_without_a_warning(faces, recwarn):
    """A palette with transparency in bytes, and an EXIF block that is cut off."""
    palette = Image.fromarray(grey(7)).convert("P")
    save(faces, "a/0.png")
    palette.save(faces / "a" / "1.png", transparency=bytes(range(256)))
    save(faces, "a/2.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05\x01\x12\x00\x03")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert read_image_folder(faces).names == ("a/0.png", "a/1.png", "a/2.jpg")
    assert [str(warning.message) for warning in recwarn] == []


def test_unreadable_pictures_are_named_and_left_out(faces, caplog):
    caplog.set_level(logging.INFO, "adlx")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    for number in range(3):
        save(faces, f"a/{number}.png", grey(number))
    whole = save(faces, "a/cut.jpg", noise).read_bytes()
    (faces / "a" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    samples = read_image_folder(faces)
    assert samples.values[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert samples.names == ("a/0.png", "a/1.png", "a/2.png")
    assert samples.detail == "faces (3 pictures)"
    assert caplog.messages == ["faces: skipped 1 of 4 pictures, unreadable: a/cut.jpg"]
    for number in range(6):
        (faces / "a" / f"bad{number}.png").write_bytes(b"no picture")
    caplog.clear()
    assert read_image_folder(faces).names == ("a/0.png", "a/1.png", "a/2.png")
    assert caplog.messages == [
        "faces: skipped 7 of 10 pictures, unreadable: a/bad0.png, a/bad1.png, a/bad2.png, a/bad3.png, a/bad4.png "
        "and 2 more"
    ]


def test_each_fault_of_a_path_is_one_line(faces):
    assert user_error_of(faces) == f"data.path={faces} does not exist; check the spelling and the folder you are in"
    (faces / "a").mkdir(parents=True)
    assert user_error_of(faces) == (
        f"data.path={faces} holds no picture ({', '.join(SUFFIXES)}); name a folder with pictures"
    )
    file = save(faces, "a/1.png")
    assert user_error_of(file) == f"data.path={file} is a file; name the folder that holds the pictures"
    assert user_error_of(faces, channels=2) == (
        "faces: pictures of 2 channels are not possible; choose 1 (grey) or 3 (RGB)"
    )
    assert (
        user_error_of(faces, size=(0, 4)) == "faces: pictures of 0 x 4 pixels are not possible; choose at least 1 x 1"
    )


def test_a_class_folder_without_pictures_is_refused(faces, caplog):
    save(faces, "a/1.png")
    (faces / "b").mkdir()
    message = "faces: the class folder {} holds no picture that can be read; fill it or remove it"
    assert user_error_of(faces) == message.format("b")
    (faces / "b" / "1.jpg").write_bytes(b"no picture")
    assert user_error_of(faces) == message.format("b")
    assert caplog.messages == ["faces: skipped 1 of 2 pictures, unreadable: b/1.jpg"]
    (faces / "a" / "1.png").write_bytes(b"")
    assert user_error_of(faces) == (
        "faces holds no picture that can be read (tried 2); a/1.png: cannot identify image file 'faces/a/1.png'"
    )


def test_a_class_folder_without_pictures_in_one_part_is_refused(faces):
    save(faces, "train/a/1.png")
    save(faces, "test/a/1.png")
    (faces / "test" / "b").mkdir()
    message = "faces: the class folder test/b holds no picture that can be read; fill it or remove it"
    assert user_error_of(faces) == message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("1.png", "a/1.png"), "faces holds pictures such as 1.png next to class folders such as a"),
        (("train/a/1.png", "test/1.png"), "faces/test holds pictures such as 1.png next to class folders such as a"),
        (("train/1.png", "z.png"), "faces holds pictures such as z.png next to the parts train"),
    ],
)
def test_pictures_outside_of_class_and_part_folders_are_refused(faces, names, message):
    for name in names:
        save(faces, name)
    assert user_error_of(faces) == message + "; move them into a folder"


def test_folders_next_to_part_folders_are_refused(faces):
    for name in ("train/a/1.png", "test/a/1.png", "extra/a/1.png"):
        save(faces, name)
    assert user_error_of(faces) == "faces holds the parts test, train and also the folder extra; move it into a part"
