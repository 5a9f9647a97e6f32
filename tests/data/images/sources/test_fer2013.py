"""`read_fer2013` on small files in the format of the challenge: pixel values, compressed files, errors in one line."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from adlx.data.images.sources import fer2013
from adlx.data.images.sources.fer2013 import read_fer2013
from adlx.errors import UserError

HEADER = "emotion,pixels,Usage\n"
USAGES = ("Training", "PublicTest", "PrivateTest")
FACES = np.random.default_rng(0).integers(0, 256, (7, 2304))


def pixels(face: np.ndarray) -> str:
    return " ".join(map(str, face))


def row(emotion: int | str = 3, text: str = pixels(FACES[0]), usage: str = "Training") -> str:
    return f"{emotion},{text},{usage}\n"


CONTENT = HEADER + "".join(row(label, pixels(FACES[label]), USAGES[label % 3]) for label in range(7))


def write(folder: Path, text: str | bytes, name: str = "fer2013.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def user_error_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_fer2013(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("rows", [1, 3, 1024])
def test_faces_labels_and_parts_are_read(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(fer2013, "ROWS", rows)
    samples = read_fer2013(str(write(tmp_path, CONTENT)))
    np.testing.assert_array_equal(samples.values, FACES.reshape(7, 1, 48, 48))
    assert samples.values.dtype == np.uint8
    assert samples.labels.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert samples.labels.dtype == np.int64
    assert samples.parts.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert samples.parts.dtype == np.int8
    assert samples.classes == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert (samples.source, samples.detail, samples.simulated) == ("fer2013", "fer2013.csv (7 faces)", False)
    assert samples.names is None


def test_compressed_files_and_a_folder_give_the_same_faces(tmp_path):
    write(tmp_path, CONTENT)
    write(tmp_path, gzip.compress(CONTENT.encode()), "fer2013.csv.gz")
    write(tmp_path, b"\xef\xbb\xbf" + CONTENT.replace("\n", "\r\n").encode(), "bom.csv")
    with zipfile.ZipFile(tmp_path / "fer2013.zip", "w") as archive:
        archive.writestr("fer2013.csv", CONTENT)
    for path in (tmp_path, tmp_path / "fer2013.csv.gz", tmp_path / "fer2013.zip", tmp_path / "bom.csv"):
        samples = read_fer2013(path)
        np.testing.assert_array_equal(samples.values, FACES.reshape(7, 1, 48, 48))
        assert samples.parts.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_the_newer_file_with_blanks_in_names_and_another_column_order_is_read(tmp_path):
    text = "emotion, Usage, pixels\n" + "".join(f"{k},{USAGES[k % 3]},{pixels(FACES[k])}\n" for k in range(7))
    write(tmp_path, text, "icml_face_data.csv")
    samples = read_fer2013(tmp_path)
    np.testing.assert_array_equal(samples.values[:, 0].reshape(7, -1), FACES)
    assert samples.parts.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert samples.detail == "icml_face_data.csv (7 faces)"


def test_without_usage_there_are_no_parts(tmp_path):
    samples = read_fer2013(write(tmp_path, f"emotion,pixels\n6,{pixels(FACES[1])}\n"))
    assert samples.parts is None
    assert samples.labels.tolist() == [6]
    np.testing.assert_array_equal(samples.values.ravel(), FACES[1])


SHORT = pixels(FACES[0][:-1])
LONG = pixels(np.append(FACES[1], 7))
TAIL = SHORT + " "  # each test adds one pixel
NUMBER = "is no whole number from 0 to 255; fix or remove the row"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "fer2013.csv is empty; give the fer2013.csv of Kaggle's challenge"),
        (HEADER, "fer2013.csv holds no face; give the whole fer2013.csv of Kaggle's challenge"),
        (
            "time,price\n1,2\n",
            "fer2013.csv has no column emotion and no column pixels (it has time, price); "
            "FER2013 has the columns emotion, pixels, Usage",
        ),
        (
            f"pixels,Usage\n{pixels(FACES[0])},Training\n",
            "fer2013.csv has no column emotion (it has pixels, Usage); FER2013 has the columns emotion, pixels, Usage",
        ),
        (
            HEADER + row(text=SHORT),
            "fer2013.csv, line 2: 2,303 pixels instead of 2,304 (48 x 48); fix or remove the row",
        ),
        # One pixel too many and one too few: the sum is right, but the second row would be shifted by one pixel.
        (
            HEADER + row() + row(text=LONG) + row(text=SHORT),
            "fer2013.csv, line 3: 2,305 pixels instead of 2,304 (48 x 48); fix or remove the row",
        ),
        (
            HEADER + row(text=""),
            "fer2013.csv, line 2: 0 pixels instead of 2,304 (48 x 48); fix or remove the row",
        ),
        (HEADER + row() + row(text=TAIL + "256"), f"fer2013.csv, line 3: pixel '256' {NUMBER}"),
        (HEADER + row(text=TAIL + "-1"), f"fer2013.csv, line 2: pixel '-1' {NUMBER}"),
        (HEADER + row(text=TAIL + "9" * 30), f"fer2013.csv, line 2: pixel '{'9' * 20}' {NUMBER}"),
        (HEADER + row(text=TAIL + "12.5"), f"fer2013.csv, line 2: pixel '12.5' {NUMBER}"),
        (HEADER + row(text=TAIL + "é"), f"fer2013.csv, line 2: pixel 'é' {NUMBER}"),
        # Blank lines are skipped, but counted as lines.
        (HEADER + "\n" + row() + "\n\n" + row(text=TAIL + "x"), f"fer2013.csv, line 6: pixel 'x' {NUMBER}"),
        (
            HEADER + row() + row(7),
            "fer2013.csv, line 3: emotion '7' is no whole number from 0 (angry) to 6 (neutral); fix or remove the row",
        ),
        (
            HEADER + row("happy"),
            "fer2013.csv, line 2: emotion 'happy' is no whole number from 0 (angry) to 6 (neutral); "
            "fix or remove the row",
        ),
        (
            HEADER + row() + row(usage="Holdout"),
            "fer2013.csv, line 3: Usage 'Holdout' is none of Training, PublicTest, PrivateTest; fix or remove the row",
        ),
        (
            HEADER + "0,1,2,Training\n",
            "fer2013.csv: the rows have more fields than the header; pixels are separated by spaces",
        ),
        (
            HEADER + row() + "0,1,2,Training\n",
            "fer2013.csv cannot be read as CSV: Error tokenizing data. C error: Expected 3 fields in line 3, saw 4; "
            "give the fer2013.csv of Kaggle's challenge",
        ),
    ],
)
def test_each_fault_of_a_file_is_one_line(tmp_path, content, message):
    assert user_error_of(write(tmp_path, content)) == message


def test_line_numbers_count_all_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(fer2013, "ROWS", 2)
    path = write(tmp_path, HEADER + row() * 6 + row(text=SHORT) + row() * 3)
    assert user_error_of(path) == "fer2013.csv, line 8: 2,303 pixels instead of 2,304 (48 x 48); fix or remove the row"


def test_each_fault_of_a_path_is_one_line(tmp_path):
    absent = tmp_path / "absent.csv"
    assert user_error_of(absent) == f"data.path={absent} does not exist; check the spelling and the folder you are in"
    assert (
        user_error_of(tmp_path) == f"data.path={tmp_path} holds no fer2013.csv; put it there, or name the file itself"
    )
    gz = write(tmp_path, b"not gzip", "x.csv.gz")
    assert user_error_of(gz).startswith("x.csv.gz cannot be read as CSV: Not a gzipped file")
    assert user_error_of(write(tmp_path, b"not tar", "x.tar")).startswith("x.tar cannot be read as CSV: ")
    cut = write(tmp_path, gzip.compress(CONTENT.encode())[:2000], "cut.csv.gz")
    assert user_error_of(cut).startswith("cut.csv.gz cannot be read as CSV: Compressed file ended")
