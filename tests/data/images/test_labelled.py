"""Labelled samples: their parts, which share no equal samples, and their batches."""

import logging

import numpy as np
import pytest
import torch

from adlx.data.images.codes import Codes
from adlx.data.images.faces import Faces
from adlx.data.images.labelled import Labelled, SampleLoader, as_input, split
from adlx.data.images.sources.code_maps import read_code_maps
from adlx.data.images.sources.samples import Samples
from adlx.data.splits import PARTS
from adlx.errors import UserError
from adlx.specs import CodeSpec

SHARES = (0.8, 0.1, 0.1)
CLASSES = ("a", "b", "c")


def samples_of(labels, values=None, **more) -> Samples:
    labels = np.asarray(labels, dtype=np.int64)
    if values is None:
        values = np.random.default_rng(0).integers(0, 200, (len(labels), 4, 4))
    return Samples(np.asarray(values).astype(np.int16), labels, CLASSES, "codes", "made up", **more)


def spec_with(*classes: str) -> CodeSpec:
    """The spec of a trained model with these classes."""
    return CodeSpec((4, 4), 200, None, classes)


class Given(Labelled):
    """A data set of given samples."""

    def __init__(self, samples: Samples, **arguments) -> None:
        super().__init__(**arguments)
        self.given = samples

    def load(self) -> Samples:
        return self.given


def set_up(samples: Samples, **arguments) -> Given:
    data = Given(samples, **arguments)
    data.setup("fit")
    return data


def parts_of(samples: Samples, shares=SHARES, seed: int = 0) -> tuple[dict[str, list[int]], int]:
    indices, dropped = split(samples, shares, seed)
    return {part: rows.tolist() for part, rows in indices.items()}, dropped


# Splits


@pytest.mark.parametrize("shares", [SHARES, (0.5, 0.25, 0.25), (0.34, 0.33, 0.33)])
def test_every_class_is_split_by_the_shares(shares):
    samples = samples_of(np.repeat([0, 1, 2], (200, 60, 17)))
    indices, dropped = split(samples, shares, 0)
    assert dropped == 0
    assert sorted(np.concatenate(list(indices.values()))) == list(range(277))
    for label, size in enumerate((200, 60, 17)):
        counts = np.array([(samples.labels[indices[part]] == label).sum() for part in PARTS])
        assert counts.sum() == size
        np.testing.assert_allclose(counts, np.array(shares) * size, atol=1)
    assert all((np.diff(rows) > 0).all() for rows in indices.values())


def test_another_split_seed_gives_another_split():
    samples = samples_of(np.arange(90) % 3)
    assert parts_of(samples) == parts_of(samples)
    assert parts_of(samples)[0]["test"] != parts_of(samples, seed=1)[0]["test"]


def test_the_seed_of_a_run_changes_the_order_of_batches_but_not_the_split():
    runs = []
    for seed in (0, 1):
        data = Given(samples_of(np.arange(90) % 3), batch_size=8)
        data.seed = seed
        data.setup("fit")
        runs.append(data)
    assert all(np.array_equal(runs[0].indices[part], runs[1].indices[part]) for part in PARTS)
    first, second = ([label.tolist() for _, label in data.train_dataloader()] for data in runs)
    assert first != second
    for data in runs:
        for part, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
            label, indices = data.labels_and_indices(part)
            assert torch.cat([labels for _, labels in loader]).tolist() == label.tolist()
            assert np.array_equal(data.loaded.labels[indices], label)


def test_equal_samples_are_in_one_part_of_a_drawn_split():
    """Each picture is there three times, with different labels: all three are in the part of the first."""
    values = np.random.default_rng(1).integers(0, 200, (60, 4, 4))
    order = np.random.default_rng(2).permutation(np.tile(np.arange(60), 3))
    samples = samples_of(np.random.default_rng(3).integers(0, 3, 180), values[order])
    indices, dropped = split(samples, (0.5, 0.25, 0.25), 0)
    assert dropped == 0
    pictures = {part: set(order[rows].tolist()) for part, rows in indices.items()}
    assert all(not pictures[a] & pictures[b] for a, b in (("train", "val"), ("train", "test"), ("val", "test")))
    assert [len(pictures[part]) for part in PARTS] == pytest.approx([30, 15, 15], abs=2)
    assert sum(map(len, indices.values())) == 180


def test_equal_samples_of_a_given_split_stay_in_the_last_part_only():
    """The test part keeps them before validation, and validation before training, so the test set does not change."""
    values = np.arange(10).repeat(16).reshape(10, 4, 4)
    values[1] = values[0]  # train, val
    values[3] = values[2]  # val, test
    values[5] = values[4]  # test, train
    values[7] = values[6]  # train, train
    parts = np.array([0, 1, 1, 2, 2, 0, 0, 0, 1, 2], dtype=np.int8)
    indices, dropped = parts_of(samples_of(np.zeros(10), values, parts=parts))
    assert indices == {"train": [6, 7], "val": [1, 8], "test": [3, 4, 9]}
    assert dropped == 3


def test_a_missing_validation_part_is_drawn_from_the_training_part():
    """It has its share of training and validation; copies of test samples are removed from training before."""
    labels = np.arange(100) % 2
    parts = np.repeat([0, 2], (80, 20)).astype(np.int8)
    samples = samples_of(labels, parts=parts)
    indices, dropped = parts_of(samples, (0.6, 0.2, 0.2))
    assert indices["test"] == list(range(80, 100))
    assert (len(indices["train"]), len(indices["val"]), dropped) == (60, 20, 0)
    assert labels[indices["val"]].sum() == 10
    assert sorted(indices["train"] + indices["val"]) == list(range(80))
    assert np.array_equal(parts, np.repeat([0, 2], (80, 20)))  # the source's array is not changed
    values = samples.values.copy()
    values[3] = values[90]
    indices, dropped = parts_of(samples_of(labels, values, parts=parts), (0.6, 0.2, 0.2))
    assert dropped == 1
    assert indices["test"] == list(range(80, 100))
    assert 3 not in indices["train"] + indices["val"]


def test_parts_without_test_samples_are_replaced_by_drawn_parts():
    samples = samples_of(np.arange(90) % 3)
    assert parts_of(samples_of(np.arange(90) % 3, parts=np.zeros(90, dtype=np.int8))) == parts_of(samples)


# Log lines


def test_class_shares_are_logged(caplog):
    values = np.random.default_rng(0).integers(0, 200, (60, 4, 4))
    values[0] = values[59]
    labels = np.repeat([0, 1, 2], (36, 16, 8))
    parts = np.full(60, 0, dtype=np.int8)
    parts[[1, 36, 52]], parts[[2, 37, 59]] = 1, 2
    with caplog.at_level(logging.INFO, logger="adlx"):
        data = set_up(samples_of(labels, values, parts=parts))
        assert caplog.messages == []
        data.check_training_part()
    assert caplog.messages == [
        "1 samples left out, because equal ones are in the validation or test part",
        "classes: a 62.3%, b 26.4%, c 11.3%; the most frequent one has 5.5 times the samples of c, "
        "and is right for 62.3% if it is always predicted",
    ]
    assert data.class_counts("train").tolist() == [33, 14, 6]
    assert (data.majority, data.tested()) == (0, "3 samples")
    about = data.about()
    assert about["samples"] == {"train": 53, "val": 3, "test": 3}
    assert about["classes"] == {"a": 33, "b": 14, "c": 6}
    assert about["left_out"] == 1


def test_the_fingerprint_depends_on_the_training_part_alone():
    labels, values = np.arange(60) % 3, np.random.default_rng(0).integers(0, 200, (60, 4, 4))
    parts = np.repeat([0, 1, 2], 20).astype(np.int8)
    fingerprints = [set_up(samples_of(labels, values, parts=parts)).about()["fingerprint"]]
    for index in (5, 25, 45):  # train, val, test
        other = values.copy()
        other[index, 0, 0] += 1
        fingerprints.append(set_up(samples_of(labels, other, parts=parts)).about()["fingerprint"])
    assert [fingerprint == fingerprints[0] for fingerprint in fingerprints] == [True, False, True, True]


def test_a_listing_has_the_part_and_the_label_of_each_sample(tmp_path):
    parts = np.repeat([0, 1, 2], 20).astype(np.int8)
    values = np.random.default_rng(0).integers(0, 200, (60, 4, 4))
    values[7] = values[50]
    data = set_up(samples_of(np.arange(60) % 3, values, parts=parts, names=tuple(f"{n}.png" for n in range(60))))
    frame = data.listing()
    assert frame["sample"].tolist() == [f"{n}.png" for n in range(60)]
    assert frame["label"].tolist() == [CLASSES[n % 3] for n in range(60)]
    expected = np.repeat(PARTS, 20).astype(object)
    expected[7] = "left out"
    assert frame["part"].tolist() == expected.tolist()
    codes, codebook = np.arange(240).reshape(60, 2, 2) % 8, np.eye(8, dtype=np.float32)
    data.write_codes(tmp_path / "codes.npz", codes, codebook)
    written, count = read_code_maps(tmp_path / "codes.npz")
    kept = np.delete(np.arange(60), 7)
    assert count == 8
    for stored, expected in ((written.values, codes), (written.labels, data.loaded.labels), (written.parts, parts)):
        assert np.array_equal(stored, expected[kept])
    assert np.array_equal(written.codebook, codebook)
    assert written.names == tuple(f"{n}.png" for n in kept)


def test_too_few_samples_to_split_can_still_be_predicted():
    data = Given(samples_of([0, 1, 2]))
    data.expected_spec = spec_with(*CLASSES)
    data.read()
    frame = data.listing()
    assert frame["label"].tolist() == list(CLASSES)
    assert "part" not in frame


# Batches


def test_samples_are_converted_to_model_inputs():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert as_input(images).tolist() == pytest.approx([0, 0.2, 1])
    assert as_input(images).dtype == torch.float32
    codes = torch.tensor([[3, 31_000]], dtype=torch.int16)
    assert torch.equal(as_input(codes), torch.tensor([[3, 31_000]], dtype=torch.int64))
    loader = SampleLoader(codes.repeat(5, 1), torch.arange(5), torch.tensor([4, 0, 2]), batch_size=2)
    assert [label.tolist() for _, label in loader] == [[4, 0], [2]]


# Errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Labelled(batch_size=0), "data.batch_size=0: must be at least 1"),
        (
            lambda: Labelled(split=(0.5, 0.5, 0.1)),
            "data.split=[0.5, 0.5, 0.1]: give three positive shares that sum to 1",
        ),
        (
            lambda: Labelled(split=(1.0, 0.0, 0.0)),
            "data.split=[1.0, 0.0, 0.0]: give three positive shares that sum to 1",
        ),
        (lambda: Labelled(split=(0.5, 0.5)), "data.split=[0.5, 0.5]: give three positive shares that sum to 1"),
        (
            lambda: set_up(samples_of([0, -1, 2, -1])),
            "made up: 2 of 4 samples have no label, and a split needs them; for such samples use adlx predict",
        ),
        (
            lambda: set_up(samples_of([0, 0, 0, 0])),
            "made up: no sample for the test part (data.split=[0.8, 0.1, 0.1] of 4): give more samples, or change "
            "data.split",
        ),
        (lambda: Faces(path="x"), "data.source=simulated does not use data.path; leave it out"),
        (lambda: Faces("fer2013"), "data.source=fer2013 needs data.path=FILE"),
        (lambda: Faces("folder"), "data.source=folder needs data.path=FOLDER"),
        (lambda: Faces(size=32), "data.size=32: the faces of data.source=simulated have 48 x 48 pixels"),
        (lambda: Faces(count=0), "data.count=0: must be at least 1"),
        (
            lambda: Codes("/no/where").load(),
            "data.path=/no/where does not exist; check the spelling and the folder you",
        ),
    ],
)
def test_each_user_error_is_one_line(make, message):
    with pytest.raises(UserError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
