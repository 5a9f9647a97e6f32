"""`read_code_maps` and `write_code_maps`: values, defaults, a round trip, and each error in one line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adlx.data.images.sources.code_maps import read_code_maps, write_code_maps
from adlx.data.images.sources.samples import Samples
from adlx.errors import UserError

CODES = np.arange(30).reshape(5, 2, 3)
LABELS = np.array([0, 6, 2, 2, 1])
SEVEN = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
CODEBOOK = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)


def folder(path: Path, codes=CODES, labels=LABELS, codebook=None) -> Path:
    path = path / "vq"
    path.mkdir(exist_ok=True)
    np.save(path / "codemaps.npy", codes)
    np.save(path / "labels.npy", labels)
    if codebook is not None:
        np.save(path / "codebook.npy", codebook)
    return path


def npz(path: Path, **arrays) -> Path:
    np.savez(path / "codes.npz", **({"codes": CODES, "labels": LABELS} | arrays))
    return path / "codes.npz"


def user_error_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_code_maps(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_equal(one: Samples, other: Samples) -> None:
    for name in ("values", "labels", "parts", "codebook"):
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None) == (right is None), name
        if left is not None:
            np.testing.assert_array_equal(left, right, strict=True, err_msg=name)
    for name in ("classes", "source", "detail", "simulated", "names"):
        assert getattr(one, name) == getattr(other, name)


def test_a_folder_with_codes_and_labels_is_read(tmp_path):
    expected = Samples(
        values=CODES.astype(np.int16),
        labels=LABELS,
        classes=SEVEN,
        source="codes",
        detail="vq (5 maps of 2 x 3)",
    )
    samples, count = read_code_maps(str(folder(tmp_path)))
    assert_equal(samples, expected)
    assert count == 256
    samples, count = read_code_maps(folder(tmp_path, codebook=CODEBOOK.astype(np.float64)))
    assert_equal(samples, replace(expected, codebook=CODEBOOK))
    assert count == 32


@pytest.mark.parametrize(
    ("labels", "values", "classes"),
    [
        (np.eye(7, dtype=np.float32)[[3, 0, 0, 1, 2]], [3, 0, 0, 1, 2], SEVEN),
        (np.eye(3)[[0, 0, 1, 1, 0]], [0, 0, 1, 1, 0], ("0", "1", "2")),
        (np.eye(3, dtype=bool)[[2, 0, 1, 1, 0]], [2, 0, 1, 1, 0], ("0", "1", "2")),
        (np.array([1.0, 0.0, 1.0, 3.0, 0.0]), [1, 0, 1, 3, 0], ("0", "1", "2", "3")),
        (np.array([[1], [0], [1], [0], [0]], dtype=np.uint8), [1, 0, 1, 0, 0], ("0", "1")),
    ],
)
def test_labels_may_be_one_hot_or_whole_numbers_of_any_type(tmp_path, labels, values, classes):
    samples, _ = read_code_maps(folder(tmp_path, labels=labels))
    np.testing.assert_array_equal(samples.labels, np.array(values, dtype=np.int64), strict=True)
    assert samples.classes == classes


@pytest.mark.parametrize(("largest", "count"), [(255, 256), (256, 257), (32767, 32768)])
def test_without_a_codebook_there_are_256_codes_or_more(tmp_path, largest, count):
    samples, number = read_code_maps(folder(tmp_path, codes=np.where(CODES == 29, largest, CODES).astype(np.uint16)))
    assert number == count
    assert samples.values.dtype == np.int16
    assert samples.values[4, 1, 2] == largest


def test_an_npz_with_only_the_needed_arrays_and_one_with_all_arrays_are_read(tmp_path):
    samples, count = read_code_maps(npz(tmp_path, labels=np.array([0, 1, -1, -1, 0])))
    assert samples.labels.tolist() == [0, 1, -1, -1, 0]
    assert (samples.classes, samples.detail, samples.simulated) == (("0", "1"), "codes.npz (5 maps of 2 x 3)", False)
    assert (samples.parts, samples.codebook, samples.names, count) == (None, None, None, 256)
    full = {
        "codebook": CODEBOOK,
        "parts": np.array([0, 0, 1, 2, 2]),
        "classes": np.array(["a", "b", "c", "d", "e", "f", "g", "h"]),
        "names": np.array(["1.png", "2.png", "3.png", "é.png", "5.png"]),
        "detail": np.array("seed 0"),
        "simulated": np.array(True),
    }
    samples, count = read_code_maps(npz(tmp_path, **full))
    assert samples.parts.tolist() == [0, 0, 1, 2, 2]
    assert samples.parts.dtype == np.int8
    assert samples.classes == tuple("abcdefgh")
    assert samples.names == ("1.png", "2.png", "3.png", "é.png", "5.png")
    assert (samples.detail, samples.simulated, count) == ("seed 0", True, 32)
    np.testing.assert_array_equal(samples.codebook, CODEBOOK, strict=True)


def test_the_number_of_maps_is_written_with_separators(tmp_path):
    path = npz(tmp_path, codes=np.zeros((7000, 12, 12), dtype=np.uint8), labels=np.zeros(7000, dtype=int))
    assert read_code_maps(path)[0].detail == "codes.npz (7,000 maps of 12 x 12)"


FULL = Samples(
    values=CODES.astype(np.int16),
    labels=LABELS,
    classes=SEVEN,
    source="codes",
    detail="fer2013.csv (35,887 faces)",
    simulated=True,
    parts=np.array([0, 1, 2, 0, 0], dtype=np.int8),
    codebook=CODEBOOK,
    names=("a/1.png", "a/2.png", "b/1.png", "b/2.png", "é.png"),
)
BARE = Samples(CODES.astype(np.int16), np.full(5, -1), (), "codes", "seed 0")


@pytest.mark.parametrize("samples", [FULL, BARE])
def test_written_code_maps_are_read_back_and_give_the_same_bytes_again(tmp_path, samples):
    write_code_maps(tmp_path / "new" / "codes.npz", samples)
    back, count = read_code_maps(tmp_path / "new" / "codes.npz")
    assert_equal(back, samples)
    assert count == (256 if samples.codebook is None else 32)
    write_code_maps(str(tmp_path / "again.npz"), back)
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "new" / "codes.npz").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again.npz", "new"]


def test_int64_codes_are_written_but_codes_too_large_for_int16_are_refused(tmp_path):
    path = tmp_path / "codes.npz"
    write_code_maps(path, replace(FULL, values=CODES.astype(np.int64)))
    assert_equal(read_code_maps(path)[0], FULL)
    with pytest.raises(UserError) as caught:
        write_code_maps(path, replace(FULL, values=CODES + 65_507))
    assert str(caught.value) == "codes.npz reaches code 65,536; codebooks of up to 32,768 vectors are possible"
    assert_equal(read_code_maps(path)[0], FULL)


def test_of_a_run_the_newest_codes_are_read(tmp_path):
    run = tmp_path / "2026-01-31_12-00-00_a1b2c3"
    (run / "predict" / "2026-02-03_00-00-00_000000").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    assert user_error_of(run) == f"the run {run.name} has no code maps yet; make them with: adlx predict {run}"
    for name, detail in (("2026-02-02_10-00-00_aaaaaa", "newer"), ("2026-02-01_10-00-00_ffffff", "older")):
        write_code_maps(run / "predict" / name / "codes.npz", replace(FULL, detail=detail))
    assert read_code_maps(run)[0].detail == "newer"


FIT = "use codes and codebook of the same VQ-VAE"
WHOLE = "labels are whole numbers from 0"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"codes": CODES.astype(np.float32)},
            "codemaps.npy holds float32 numbers, but codes are whole numbers: convert them with .astype('int16')",
        ),
        ({"codes": CODES[0]}, "codemaps.npy has the shape 2 x 3, but code maps are (N, height, width)"),
        ({"codes": CODES[..., None]}, "codemaps.npy has the shape 5 x 2 x 3 x 1, but code maps are (N, height, width)"),
        ({"codes": CODES[:0]}, "codemaps.npy is empty: its shape is 0 x 2 x 3; give at least one map"),
        (
            {"codes": CODES - 1},
            "codemaps.npy holds the negative code -1; codes are counted from 0",
        ),
        (
            {"codes": CODES + 32_739},
            "codemaps.npy reaches code 32,768; codebooks of up to 32,768 vectors are possible",
        ),
        (
            {"codebook": CODEBOOK[:29]},
            f"codemaps.npy reaches code 29, but codebook.npy has only 29 vectors (codes 0 to 28); {FIT}",
        ),
        (
            {"codebook": CODEBOOK[0]},
            "codebook.npy is float32 of the shape 4, but a codebook is (codes, dimension) of floats",
        ),
        ({"codebook": CODEBOOK * np.nan}, "codebook.npy holds a number that is not finite; export the codebook again"),
        ({"labels": LABELS[:4]}, "codemaps.npy has 5 maps, but labels.npy holds 4; give one per map"),
        (
            {"labels": np.array([0, 1, 10**9, 0, 0])},
            "labels.npy: [2] is 1e+09; labels number the classes from 0, of which 100,000 are possible",
        ),
        ({"labels": np.eye(7)}, "codemaps.npy has 5 maps, but labels.npy holds 7; give one per map"),
        (
            {"labels": np.array([[1, 0], [0, 1], [1, 1], [0, 1], [0, 1]])},
            "labels.npy: row 2 is not one-hot (one 1, else 0) but sums to 2",
        ),
        (
            {"labels": np.array([[1, 0], [0.5, 0.5], [1, 0], [0, 1], [0, 1]])},
            "labels.npy: row 1 is not one-hot (one 1, else 0) but sums to 1",
        ),
        ({"labels": np.array([0, 1, 1.5, 0, 0])}, f"labels.npy: [2] is 1.5; {WHOLE}"),
        ({"labels": np.array([0, np.nan, 1, 0, 0])}, f"labels.npy: [1] is nan; {WHOLE}"),
        ({"labels": np.array([0, 1, 1, -1, 0])}, f"labels.npy: [3] is -1; {WHOLE}"),
        (
            {"labels": np.array(["happy"] * 5)},
            "labels.npy is <U5 of the shape 5, but labels are whole (N,) or one-hot (N, K)",
        ),
    ],
)
def test_each_fault_of_a_folder_is_one_line(tmp_path, arrays, message):
    assert user_error_of(folder(tmp_path, **arrays)) == message


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": np.array([0, 1, -2, 0, 0])}, f"codes.npz: labels: [2] is -2; {WHOLE} (-1: unknown)"),
        (
            {"codebook": CODEBOOK[:3]},
            "codes.npz: codes reaches code 29, but codes.npz: codebook has only 3 vectors (codes 0 to 2); " + FIT,
        ),
        (
            {"names": np.array(["a"])},
            "codes.npz: codes has 5 maps, but codes.npz: names holds 1; give one per map",
        ),
        ({"parts": np.zeros(6)}, "codes.npz: codes has 5 maps, but codes.npz: parts holds 6; give one per map"),
        ({"parts": np.full(5, 3)}, "codes.npz: parts may hold only 0 (train), 1 (validation) and 2 (test)"),
        ({"classes": np.array(["a", "b"])}, "codes.npz: labels reaches 6, but codes.npz: classes names only 2 classes"),
        (
            {"labels": np.array([{}] * 5)},
            "codes.npz cannot be read as npz: it is not a NumPy file, or it holds Python objects; "
            "write it with NumPy again",
        ),
    ],
)
def test_each_fault_of_an_npz_is_one_line(tmp_path, arrays, message):
    assert user_error_of(npz(tmp_path, **arrays)) == message


def test_each_fault_of_a_path_is_one_line(tmp_path):
    absent = tmp_path / "absent"
    assert user_error_of(absent) == f"data.path={absent} does not exist; check the spelling and the folder you are in"
    advice = "name a folder with codemaps.npy and labels.npy, an npz file with codes and labels, or a run"
    assert user_error_of(tmp_path) == f"data.path={tmp_path} holds no codemaps.npy; {advice}"
    whole = folder(tmp_path)
    assert user_error_of(whole / "labels.npy") == (
        "labels.npy is no npz but an npy, so name the folder that holds codemaps.npy"
    )
    (whole / "labels.npy").unlink()
    assert user_error_of(whole) == f"data.path={whole} holds no labels.npy; {advice}"
    np.savez(tmp_path / "x.npz", codes=CODES, target=LABELS)
    assert user_error_of(tmp_path / "x.npz") == (
        "x.npz holds no array labels (it has codes, target); it needs codes (N, h, w) and labels (N,)"
    )
    (tmp_path / "y.npz").write_bytes(npz(tmp_path).read_bytes()[:200])
    assert user_error_of(tmp_path / "y.npz") == (
        "y.npz cannot be read as npz: File is not a zip file; write it with NumPy again"
    )
    (tmp_path / "empty.npz").write_bytes(b"")
    assert user_error_of(tmp_path / "empty.npz") == (
        "empty.npz cannot be read as npz: No data left in file; write it with NumPy again"
    )
    np.savez(tmp_path / "z.npz", LABELS)
    (tmp_path / "z.npz").rename(whole / "labels.npy")
    assert user_error_of(whole) == "labels.npy is no npy but an npz; save it with np.save"
