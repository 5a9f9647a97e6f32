"""Memory-mapped samples: batches and statistics read only the rows they need, and equal those of a copy in memory."""

import tracemalloc
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from adlx.data.images.labelled import Labelled
from adlx.data.images.sources.samples import Samples
from adlx.metrics.neighbours import nearest
from adlx.models.classification.classifier import Inputs
from adlx.specs import CodeSpec, ImageSpec
from adlx.tasks.denoise import Denoise
from adlx.tasks.reconstruct import Reconstruct

COUNT, SHAPE = 40_000, (1, 6, 6)


class CountedReads(np.memmap):
    """A memory map that stores how many rows each read returns."""

    reads: list[int] = []  # noqa: RUF012

    def __getitem__(self, index):
        rows = super().__getitem__(index)
        self.reads.append(len(rows))
        return rows


class Given(Labelled):
    """A data set of given samples."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__(batch_size=500)
        parts = np.repeat([0, 1, 2], [COUNT - 200, 100, 100]).astype(np.int8)
        labels = np.arange(COUNT) % 2
        self.given = Samples(values, labels, ("a", "b"), "folder", "given", parts=parts)
        self.samples = self.given
        self.indices = {name: np.flatnonzero(parts == part) for part, name in enumerate(("train", "val", "test"))}


@pytest.fixture(params=["r", "c"], ids=["read-only", "copy-on-write"])
def mapped(tmp_path, request) -> Given:
    values = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)
    np.save(tmp_path / "values.npy", values)
    return Given(np.load(tmp_path / "values.npy", mmap_mode=request.param))


def in_memory(data: Given) -> torch.Tensor:
    """The training part as one tensor."""
    return torch.from_numpy(np.array(data.loaded.values)[data.indices["train"]])


def statistics_of(samples) -> list[torch.Tensor]:
    """All statistics that tasks and models compute from the training part."""
    inputs = Inputs(ImageSpec(1, (6, 6), ("a", "b")), "auto")
    inputs.fit(samples, None)
    denoise = SimpleNamespace(mean=torch.zeros(1, 1, 1), std=torch.zeros(1, 1, 1))
    Denoise.fit_brightness(denoise, samples)  # type: ignore[arg-type]
    reconstruct = SimpleNamespace(mean_image=torch.zeros(SHAPE), mean=torch.tensor(0.0), std=torch.tensor(0.0))
    Reconstruct.fit_brightness(reconstruct, samples)  # type: ignore[arg-type]
    distances = nearest(samples[torch.tensor([5, 17])], samples)
    return [
        *(inputs.mean, inputs.std, denoise.mean, denoise.std),
        *(reconstruct.mean_image, reconstruct.mean, reconstruct.std, *distances),
    ]


def test_statistics_of_stored_samples_equal_those_of_a_tensor(mapped):
    for stored, in_ram in zip(statistics_of(mapped.training_samples()), statistics_of(in_memory(mapped)), strict=True):
        assert torch.equal(stored, in_ram)


def test_statistics_of_codes_equal_those_of_all_code_vectors():
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 8, (9000, 3, 3)).astype(np.int16))
    inputs = Inputs(CodeSpec((3, 3), 8, 2, ("a", "b")), "embedding")
    codebook = torch.randn(8, 2)
    inputs.fit(codes, codebook)
    vectors = codebook.double()[codes.flatten().long()]
    assert torch.allclose(inputs.mean, vectors.mean(dim=0).float())
    assert torch.allclose(inputs.std, vectors.std(dim=0, correction=0).float())


def test_a_mapped_file_is_never_copied_whole(mapped):
    mapped.about()  # the first call allocates buffers that stay
    tracemalloc.start()
    try:
        mapped.about()
        statistics_of(mapped.training_samples())
        for loader in (mapped.train_dataloader(), mapped.all_samples()):
            assert sum(len(labels) for _, labels in loader) >= COUNT - 200
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mapped.loaded.values.nbytes / 2


def test_statistics_read_a_mapped_file_in_parts(mapped):
    counted = mapped.loaded.values.view(CountedReads)
    training = Given(counted).training_samples()
    CountedReads.reads.clear()
    statistics_of(training)
    assert sum(CountedReads.reads) >= 4 * len(training)
    assert max(CountedReads.reads) <= 4096


def test_batches_of_a_mapped_file_equal_those_in_memory_and_give_no_warning(mapped):
    copied = Given(np.array(mapped.loaded.values))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = list(mapped.train_dataloader())
    for (images, labels), (expected, expected_labels) in zip(batches, copied.train_dataloader(), strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(labels, expected_labels)


@pytest.mark.filterwarnings("error")
def test_read_only_samples_in_memory_give_no_warning():
    values = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)
    data = Given(values)
    values.flags.writeable = data.loaded.labels.flags.writeable = False
    images, labels = next(iter(data.all_samples()))
    assert torch.equal(images, torch.from_numpy(values[:500].copy()) / 255)
    assert labels.tolist() == [0, 1] * 250
