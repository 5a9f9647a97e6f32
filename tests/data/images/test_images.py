"""`data=images`: any layout of folders, with and without labels; its splits, its passes and its mirror images."""

import hashlib
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from user_errors import user_error_of

from adlx.data.images.classes import match_classes
from adlx.data.images.images import Images
from adlx.data.images.labelled import SampleLoader
from adlx.data.images.sources.code_maps import read_code_maps
from adlx.data.images.sources.samples import Samples
from adlx.data.images.splits import split
from adlx.data.splits import PARTS
from adlx.specs import ImageSpec

SIZE = 4


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ADLX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "set"


def fill(root: Path, *names: str) -> None:
    """Saves pictures of noise, each different."""
    for name in names:
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        pixels = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **({"lossless": True} if name.endswith("webp") else {}))


def flowers(root: Path, count: int = 40) -> None:
    fill(root, *(f"jpg/image_{number:05d}.png" for number in range(count)))


def data_of(root: Path, **arguments) -> Images:
    data = Images(str(root), **{"size": SIZE, **arguments})
    data.setup("fit")
    return data


def read(root: Path) -> Images:
    data = Images(str(root), size=SIZE)
    data.read()
    return data


# Layouts


def test_one_flat_folder_has_no_labels(root, caplog):
    caplog.set_level(logging.INFO, "adlx")
    flowers(root)
    data = data_of(root)
    assert data.spec == ImageSpec(3, (SIZE, SIZE), ())
    assert data.loaded.labels.tolist() == [-1] * 40
    assert {part: len(data.indices[part]) for part in PARTS} == {"train": 32, "val": 4, "test": 4}
    assert len(caplog.messages) == 1  # decoded
    about = data.about()
    assert about["detail"] == "set (40 pictures)"
    assert (about["source"], about["simulated"], about["classes"]) == ("folder", False, {})
    assert (data.majority, data.class_counts("train").tolist()) == (-1, [])
    frame = data.listing()
    assert list(frame) == ["sample", "part"]
    assert frame["sample"][0] == "jpg/image_00000.png"
    assert (frame["part"] == "val").sum() == 4


def test_pictures_at_any_depth_of_a_class_folder_have_its_class(root):
    fill(root, *(f"tulip/a/b/{n}.webp" for n in range(10)), *(f"rose/c/{n}.png" for n in range(10)))
    (root / "notes").mkdir()
    data = data_of(root)
    assert data.spec.classes == ("rose", "tulip")
    assert data.loaded.labels.tolist() == [0] * 10 + [1] * 10
    assert data.class_counts("test").tolist() == [1, 1]
    assert data.about()["classes"] == {"rose": 8, "tulip": 8}
    with Image.open(root / "tulip" / "a" / "b" / "3.webp") as picture:
        expected = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    index = data.loaded.names.index("tulip/a/b/3.webp")
    assert np.array_equal(data.loaded.values[index], expected)


def test_part_folders_above_class_folders_give_the_parts(root):
    fill(root, *(f"{part}/{name}/{n}.png" for part in ("train", "validation", "test") for name in "ab" for n in "12"))
    data = data_of(root)
    names = np.array(data.loaded.names)
    for part, folder in zip(PARTS, ("train", "validation", "test"), strict=True):
        assert all(name.startswith(f"{folder}/") for name in names[data.indices[part]])
        assert data.class_counts(part).tolist() == [2, 2]


def test_part_folders_without_classes_give_the_parts(root):
    fill(root, "train/1.png", "train/2.png", "valid/1.png", "test/1.png")
    data = data_of(root)
    assert [len(data.indices[part]) for part in PARTS] == [2, 1, 1]
    assert data.spec.classes == ()


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["1.png", "a/1.png", "b/1.png"], "set holds pictures such as 1.png next to class folders such as a"),
        (["train/a/1.png", "test/1.png"], "set/test holds pictures such as 1.png next to class folders such as a"),
        (["train/1.png", "z.png"], "set holds pictures such as z.png next to the parts train"),
        (["train/a/1.png", "test/a/1.png", "more/1.png"], "set holds the parts test, train and also the"),
        (["only/1.png", "only/deep/2.png"], None),
        (["angry/1.png", "anger/1.png"], None),  # two names of one expression
        (["test/1.png", "test/2.png"], None),  # a single part is no split
    ],
)
def test_any_other_layout_has_neither_labels_nor_parts(root, names, why, caplog):
    caplog.set_level(logging.INFO, "adlx")
    fill(root, *names)
    samples = read(root).loaded
    assert samples.names == tuple(sorted(names))
    assert (samples.classes, set(samples.labels.tolist()), samples.parts) == ((), {-1}, None)
    lines = [line for line in caplog.messages if line.startswith("the folders give no classes and no parts: ")]
    assert len(lines) == (why is not None)
    assert why is None or why in lines[0]


def test_a_folder_with_only_unreadable_pictures_is_no_class(root, caplog):
    fill(root, "a/1.png", "b/1.png", "c/1.png")
    (root / "b" / "1.png").write_bytes(b"no picture")
    samples = read(root).loaded
    assert caplog.messages == ["set: skipped 1 of 3 pictures, unreadable: b/1.png"]
    assert (samples.classes, samples.labels.tolist()) == (("a", "c"), [0, 1])


def test_the_training_part_is_empty_if_the_source_has_only_test_samples():
    samples = Samples(np.arange(4).reshape(4, 1, 1, 1), np.zeros(4, int), ("a",), "made", "up", parts=np.full(4, 2))
    indices, dropped = split(samples, (0.8, 0.1, 0.1), 0)
    assert ([indices[part].tolist() for part in PARTS], dropped) == ([[], [], [0, 1, 2, 3]], 0)


# Trained models


def test_a_model_without_classes_gets_samples_without_labels(root):
    fill(root, "a/1.png", "b/1.png")
    samples = match_classes(read(root).loaded, ImageSpec(3, (SIZE, SIZE)))
    assert (samples.classes, samples.labels.tolist()) == ((), [-1, -1])


def test_a_model_with_classes_cannot_be_tested_without_labels(root):
    flowers(root)
    data = Images(str(root), size=SIZE)
    data.expected_spec = ImageSpec(3, (SIZE, SIZE), ("a", "b"))
    data.read()
    assert list(data.listing()) == ["sample"]
    assert user_error_of(data.setup, "test") == (
        "set (40 pictures): 40 of 40 samples have no label, and a split needs them; for such samples use adlx predict"
    )


def test_codes_of_unlabelled_pictures_keep_their_parts(root, tmp_path):
    flowers(root)
    data = data_of(root)
    data.write_codes(tmp_path / "codes.npz", np.arange(160).reshape(40, 2, 2) % 8, np.eye(8, dtype=np.float32))
    written, _ = read_code_maps(tmp_path / "codes.npz")
    assert np.array_equal(np.flatnonzero(written.parts == 2), data.indices["test"])
    assert (set(written.labels.tolist()), written.names) == ({-1}, data.loaded.names)


# Passes


def pixels_of(loader: SampleLoader) -> list[list[float]]:
    return [batch.flatten().tolist() for batch, _ in loader]


def test_an_epoch_has_the_configured_number_of_passes(root):
    flowers(root)
    data = data_of(root, batch_size=10, repeat=3, flip=True)
    loader = data.train_dataloader()
    assert len(loader) == 3 * 4
    assert len(data.val_dataloader()) == len(data.test_dataloader()) == 1
    orders = [loader.order(number) for number in range(3)]
    for order in orders:
        assert sorted((order % 40).tolist()) == data.indices["train"].tolist()
    assert all(orders[a].tolist() != orders[b].tolist() for a, b in ((0, 1), (0, 2), (1, 2)))
    loader.set_epoch(1)
    assert torch.equal(next(iter(loader))[0], loader.gather(loader.order(3)[:10])[0])


def test_mirror_images_depend_on_seed_and_pass(root):
    flowers(root, 400)
    loader = data_of(root, flip=True).train_dataloader()
    plain = data_of(root).train_dataloader()
    flipped = [loader.order(number) >= 400 for number in range(4)]
    assert [int(bits.sum()) for bits in flipped] == pytest.approx([160] * 4, abs=30)  # 3 deviations
    for number, bits in enumerate(flipped):
        again = data_of(root, flip=True).train_dataloader().order(number)
        assert torch.equal(again, loader.order(number))
        assert torch.equal(again % 400, plain.order(number))  # mirroring does not change the order
        assert not torch.equal(bits, flipped[number - 1])
    other = data_of(root, flip=True)
    other.seed = 1
    assert not torch.equal(other.train_dataloader().order(0) >= 400, flipped[0])


def test_indices_above_the_count_give_mirror_images(root):
    flowers(root)
    data = data_of(root, flip=True)
    image, _ = data.train_dataloader().gather(torch.tensor([3, 43, 7]))
    expected = data.loaded.values[[3, 3, 7]].astype(np.float32) / 255
    assert np.array_equal(image[0], expected[0])
    assert np.array_equal(image[1], expected[1][:, :, ::-1])
    assert np.array_equal(image[2], expected[2])
    for part, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        images = torch.cat([batch for batch, _ in loader])
        assert np.array_equal(images, data.loaded.values[data.indices[part]].astype(np.float32) / 255)
    assert data.about()["fingerprint"] == data_of(root).about()["fingerprint"]


def test_a_resumed_epoch_with_mirror_images_continues_with_the_next_batch(root):
    flowers(root)
    arguments = {"batch_size": 10, "repeat": 2, "flip": True}
    whole = pixels_of(data_of(root, **arguments).train_dataloader())
    for step in (1, 4, 7):
        loader = data_of(root, **arguments).train_dataloader()
        loader.start_at(0, step)
        assert pixels_of(loader) == whole[step:]


def test_a_mapped_file_stays_in_place_and_its_batches_are_moved_to_the_device(root):
    flowers(root)
    data = data_of(root)
    device = torch.device("meta")  # stands in for a GPU
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=device), global_rank=0, world_size=1)
    loader = data.train_dataloader()
    assert loader.values is data.loaded.values
    assert [tensor.device for tensor in next(iter(loader))] == [device] * 2


def test_the_fingerprint_is_the_hash_of_training_samples_and_labels(root):
    flowers(root)
    data = data_of(root)
    train = data.loaded.at(data.indices["train"])
    digest = hashlib.sha256(repr(((), train.values.shape)).encode())
    digest.update(train.values.tobytes() + train.labels.tobytes())
    assert data.about()["fingerprint"] == digest.hexdigest()


# Errors


def test_too_few_pictures_to_split_are_refused(root):
    flowers(root, 4)
    assert user_error_of(data_of, root) == (
        "set (4 pictures): no sample for the test part (data.split=[0.8, 0.1, 0.1] of 4): give more samples, or change "
        "data.split"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "data.size=0: must be at least 1"),
        ({"channels": 2}, "data.channels=2: choose 1 (grey) or 3 (colour)"),
        ({"repeat": 0}, "data.repeat=0: must be at least 1"),
        ({"batch_size": 0}, "data.batch_size=0: must be at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    assert user_error_of(Images, "x", **arguments) == message


def test_a_folder_that_does_not_exist_is_refused(root):
    expected = f"data.path={root} does not exist; check the spelling and the folder you are in"
    assert user_error_of(data_of, root) == expected
