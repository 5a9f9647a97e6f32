"""Pictures are decoded once: when a second read uses the cache, and when it decodes again."""

import logging
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adlx.data.images.sources import pictures
from adlx.data.images.sources.image_folder import read_any_folder
from adlx.errors import UserError

COUNT, SIZE = 6, (4, 4)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Grey pictures of the tones 0, 40, 80, ... and an empty cache."""
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "set"
    root.mkdir()
    for number in range(COUNT):
        paint(root / f"{number}.png", 40 * number)
    return root


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that are decoded, in order."""
    original, names = pictures.pixels, []

    def record(file, size, channels):
        names.append(file.name)
        return original(file, size, channels)

    monkeypatch.setattr(pictures, "pixels", record)
    return names


def paint(path: Path, tone: int, size: tuple[int, int] = SIZE) -> None:
    Image.fromarray(np.full(size, tone, dtype=np.uint8)).save(path)


def tones(folder: Path, size: tuple[int, int] = SIZE, channels: int = 1) -> list[int]:
    return read_any_folder(folder, size, channels).values[:, 0, 0, 0].tolist()


def cached(folder: Path, pattern: str = "*.npy") -> list[Path]:
    return sorted((folder.parent / "cache" / "pictures").glob(pattern))


ALL = [40 * number for number in range(COUNT)]


def test_a_second_read_decodes_nothing(folder, decoded, caplog):
    caplog.set_level(logging.INFO, "adlx")
    first = read_any_folder(folder, SIZE, 1)
    assert sorted(decoded) == [f"{number}.png" for number in range(COUNT)]
    (file,) = cached(folder)
    assert caplog.messages == [f"decoded 6 pictures to 4 x 4 into {file}"]
    second = read_any_folder(folder, SIZE, 1)
    assert len(decoded) == COUNT
    assert len(caplog.messages) == 1
    assert isinstance(second.values, np.memmap)
    assert np.array_equal(first.values, second.values)
    assert (first.names, first.detail) == (second.names, second.detail)


def test_a_write_to_the_memory_map_does_not_change_the_cache(folder):
    samples = read_any_folder(folder, SIZE, 1)
    samples.values[:] = 7
    assert tones(folder) == ALL


def test_every_shape_has_its_own_file(folder):
    paint(folder / "0.png", 9, (8, 8))
    assert read_any_folder(folder, (8, 8), 1).values.shape == (COUNT, 1, 8, 8)
    assert read_any_folder(folder, (2, 4), 1).values.shape == (COUNT, 1, 2, 4)
    assert read_any_folder(folder, (2, 4), 3).values.shape == (COUNT, 3, 2, 4)
    shapes = [file.stem.partition("_")[2] for file in cached(folder)]
    assert sorted(shapes) == ["2x4x1", "2x4x3", "8x8x1"]


def test_a_changed_picture_of_equal_file_size_and_time_is_decoded_again(folder):
    assert tones(folder) == ALL
    file = folder / "2.png"
    before = file.stat()
    for tone in range(256):  # until the file has the same size
        paint(file, tone)
        if tone != 80 and file.stat().st_size == before.st_size:
            break
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert tones(folder) == [0, 40, tone, 120, 160, 200]


def test_a_renamed_picture_is_decoded_again(folder, decoded):
    assert tones(folder) == ALL
    (folder / "0.png").rename(folder / "9.png")
    assert tones(folder) == [*ALL[1:], 0]
    assert len(decoded) == 2 * COUNT


def test_a_moved_folder_is_not_decoded_again(folder, decoded):
    assert tones(folder) == ALL
    assert tones(folder.rename(folder.with_name("moved"))) == ALL
    assert len(decoded) == COUNT


def test_unreadable_pictures_are_not_tried_again(folder, decoded, caplog):
    (folder / "3.png").write_bytes(b"no picture")
    (folder / "a.webp").write_bytes(b"")
    message = "set: skipped 2 of 7 pictures, unreadable: 3.png, a.webp"
    for _ in range(2):
        caplog.clear()
        samples = read_any_folder(folder, SIZE, 1)
        assert caplog.messages == [message]
        assert samples.names == ("0.png", "1.png", "2.png", "4.png", "5.png")
        assert samples.values[:, 0, 0, 0].tolist() == [0, 40, 80, 160, 200]
    assert len(decoded) == 7


def test_a_folder_without_readable_pictures_leaves_no_file(folder):
    for file in folder.iterdir():
        file.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"^set holds no picture that can be read \(tried 6\); 0.png: cannot identify"):
        read_any_folder(folder, SIZE, 1)
    assert cached(folder, "*.npy") == cached(folder, "*.json") == cached(folder, ".*.tmp") == []


def remove_last_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[-5] ^= 1
    path.write_bytes(whole)


@pytest.mark.parametrize("damage", [remove_last_byte, flip_a_bit, lambda path: path.write_bytes(b""), Path.unlink])
@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_a_damaged_cache_is_written_again(folder, decoded, caplog, damage, suffix):
    caplog.set_level(logging.INFO, "adlx")
    assert tones(folder) == ALL
    (file,) = cached(folder)
    damage(file.with_suffix(suffix))
    caplog.clear()
    assert tones(folder) == ALL
    assert len(decoded) == 2 * COUNT
    gone = damage is Path.unlink and suffix == ".npy"
    assert caplog.messages == [
        *([] if gone else [f"cache: {file} is damaged; decoding the pictures again"]),
        f"decoded 6 pictures to 4 x 4 into {file}",
    ]
    assert tones(folder) == ALL
    assert len(decoded) == 2 * COUNT


def test_an_interrupt_leaves_no_file(folder, monkeypatch):
    original = pictures.pixels

    def interrupt(file, size, channels):
        if file.name == "4.png":
            raise KeyboardInterrupt
        return original(file, size, channels)

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "pixels", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tones(folder)
    assert cached(folder, "*.npy") == cached(folder, ".*") == []
    assert tones(folder) == ALL


def test_temporary_files_of_killed_processes_are_removed(folder):
    tones(folder)
    (file,) = cached(folder)
    file.unlink()
    leftover = file.with_name(f".{file.name}.0123abcd.tmp")
    leftover.write_bytes(b"half")
    assert tones(folder) == ALL
    assert not leftover.exists()


def test_threads_that_start_at_once_decode_once(folder, decoded):
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tones, [folder] * 4)) == [ALL] * 4
    assert len(decoded) == COUNT


def test_processes_that_start_at_once_decode_once(folder):
    script = textwrap.dedent("""
        import logging, sys
        from adlx.data.images.sources.image_folder import read_any_folder
        logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
        print(read_any_folder(sys.argv[1], (4, 4), 1).values[:, 0, 0, 0].tolist())
    """)
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(folder)], env=environment, text=True, stdout=-1)
        for _ in range(2)
    ]
    lines = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [each[-1] for each in lines] == [str(ALL)] * 2
    assert sum(line.startswith("decoded 6 pictures") for each in lines for line in each) == 1


def test_without_a_writable_cache_pictures_are_decoded_each_time(folder, decoded, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "adlx")
    (folder.parent / "file").touch()
    monkeypatch.setenv("ADLX_CACHE", str(folder.parent / "file" / "below"))
    for _ in range(2):
        assert tones(folder) == ALL
    where = folder.parent / "file" / "below" / "pictures"
    assert caplog.messages == [f"cache: cannot use the folder {where} (Not a directory); going on without"] * 2
    assert len(decoded) == 2 * COUNT


def test_on_a_full_disk_pictures_are_decoded_into_memory(folder, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "adlx")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert tones(folder) == ALL
    (line,) = caplog.messages
    assert line.startswith("cache: cannot write ")
    assert line.endswith(" (No space left on device); continuing without the cache")
    assert cached(folder) == cached(folder, ".*.tmp") == []
