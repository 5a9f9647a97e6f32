"""Which files are read as pictures, and how transparent pixels are drawn."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adlx.data.images.sources.image_folder import read_any_folder, read_image_folder


def save(path: Path) -> Path:
    """Saves a grey picture of 4 x 4 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), 100, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def faces(tmp_path) -> Path:
    return tmp_path / "faces"


def test_files_without_the_suffix_of_a_picture_are_named(faces, caplog):
    for number in range(8):
        save(faces / "a" / "1.png").rename(faces / "a" / f"picture {number}")
    save(faces / "a/1.png")
    (faces / "labels.csv").write_text("1.png,0")
    save(faces / ".hidden.png")
    with caplog.at_level(logging.INFO, "adlx"):
        assert len(read_image_folder(faces)) == 1
    assert caplog.messages == [
        "faces: ignored a/picture 0, a/picture 1, a/picture 2, a/picture 3, a/picture 4 and 4 more: "
        "the suffix is not one of a picture"
    ]


@pytest.mark.parametrize("suffix", [".jfif", ".ppm", ".avif", ".jp2", ".tga"])
def test_files_with_rare_suffixes_are_read(faces, suffix):
    (faces / "a").mkdir(parents=True)
    Image.new("RGB", (4, 4), (100, 100, 100)).save(faces / "a" / f"1{suffix}")
    assert abs(int(read_image_folder(faces, size=(4, 4)).values.mean()) - 100) <= 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_drawn_on_white(faces, caplog, mode):
    """The left half is black, the right half black and transparent."""
    pixels = np.zeros((4, 4, 4), dtype=np.uint8)
    pixels[:, :2, 3] = 255
    (faces / "a").mkdir(parents=True)
    Image.fromarray(pixels).convert(mode).save(faces / "a" / "1.png")
    save(faces / "a/2.png")
    with caplog.at_level(logging.INFO, "adlx"):
        for read in (read_image_folder, read_any_folder, read_any_folder):
            caplog.clear()
            assert read(faces, (4, 4), 1).values[0, 0].tolist() == [[0, 0, 255, 255]] * 4
            assert caplog.messages[-1] == "faces: 1 of 2 pictures have an alpha channel, drawn on white"
