"""Images or code maps with labels as a data module: parts without equal samples, batches, counts of the classes."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from adlx.data.batches import BatchLoader
from adlx.data.datamodule import DataModule
from adlx.data.images.classes import count_classes, log_classes, match_classes
from adlx.data.images.sources.code_maps import write_code_maps
from adlx.data.images.sources.samples import Samples
from adlx.data.images.splits import split
from adlx.data.images.stored import StoredSamples, read_rows, writable_tensor
from adlx.data.splits import PARTS, check_at_least, check_shares
from adlx.errors import UserError
from adlx.specs import CodeSpec, ImageSpec

log = logging.getLogger("adlx")


class SampleLoader(BatchLoader):
    """Yields (samples, labels): images as float32 from 0 to 1, code maps as int64; labels int64.

    Args:
        values: (N, ...) as in `Samples`: a tensor on the training device, or a memory-mapped array, from which each
            batch reads its rows.
        labels: (N,) int64, on the training device; batches are moved there.
        indices, batch_size, seed, repeat, rank, world_size: as in `BatchLoader`.
        flip: mirror each image (N, C, H, W) of a shuffled pass from left to right with probability 1/2: index i + N
            is the mirror image of image i.
    """

    def __init__(
        self,
        values: Tensor | np.ndarray,
        labels: Tensor,
        indices: Tensor,
        batch_size: int,
        flip: bool = False,
        **order: Any,
    ) -> None:
        super().__init__(indices, batch_size, **order)
        self.values, self.labels, self.flip = values, labels, flip

    def shuffled(self, generator: torch.Generator) -> Tensor:
        indices = super().shuffled(generator)
        if self.flip:
            indices = indices + len(self.values) * torch.randint(2, indices.shape, generator=generator)
        return indices

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        device, rows = self.labels.device, indices % len(self.values)
        if isinstance(self.values, np.ndarray):
            values = read_rows(self.values, rows.cpu().numpy()).to(device)
        else:
            values = self.values.index_select(0, rows.to(device))
        if self.flip:
            mirrored = (indices >= len(self.values)).to(device)
            values = torch.where(mirrored[:, None, None, None], values.flip(-1), values)
        return as_input(values), self.labels.index_select(0, rows.to(device))


def as_input(values: Tensor) -> Tensor:
    """Converts stored samples to model inputs: bytes of images to floats from 0 to 1, codes to int64."""
    return values.float() / 255 if values.dtype == torch.uint8 else values.long()


class Labelled(DataModule):
    """Samples in memory, or in a memory-mapped file.

    Args:
        batch_size: samples in a batch.
        repeat: passes over the training samples in one epoch.
        split: shares for training, validation and test, if the source has no parts of its own. Each class is split by
            these shares, and samples with equal bytes are in one part.
        split_seed: seed of the split. It is not the run's seed, so runs of all seeds are tested on the same samples.

    Attributes:
        needs_labels: whether a sample without a label is refused even if the samples have no classes.
    """

    expected_spec: ImageSpec | CodeSpec | None = None
    view_keys = ("batch_size", "repeat")
    needs_labels: ClassVar[bool] = True

    def __init__(
        self,
        batch_size: int = 64,
        repeat: int = 1,
        split: tuple[float, float, float] = (0.8, 0.1, 0.1),
        split_seed: int = 0,
    ) -> None:
        super().__init__()
        check_at_least(1, batch_size=batch_size, repeat=repeat)
        check_at_least(0, split_seed=split_seed)
        check_shares(split)
        self.batch_size, self.repeat = batch_size, repeat
        self.split, self.split_seed = split, split_seed
        self.samples: Samples | None = None
        self.indices: dict[str, np.ndarray] = {}
        self.dropped = 0  # samples left out, because an equal sample is in a later part
        self.stored: tuple[Tensor | np.ndarray, Tensor] | None = None  # samples and labels, for the loaders

    def load(self) -> Samples:
        """Fetches the samples from their source; a subclass must write this method and `spec`."""
        raise NotImplementedError

    @property
    def loaded(self) -> Samples:
        if self.samples is None:
            raise RuntimeError("call setup() first")
        return self.samples

    def read(self) -> None:
        if self.samples is None:
            self.samples = match_classes(self.load(), self.expected_spec)

    def setup(self, stage: str) -> None:
        """Loads and splits the samples; a second call does nothing.

        Raises:
            UserError: labels are missing, or a part has no sample.
        """
        if self.indices:
            return
        self.read()
        if (missing := self.count_missing_labels()) > 0:
            raise UserError(
                f"{self.loaded.detail}: {missing:,} of {len(self.loaded):,} samples have no label, and a split needs "
                "them; for such samples use adlx predict"
            )
        self.indices, self.dropped = split(self.loaded, self.split, self.split_seed)
        if empty := [part for part in PARTS if not len(self.indices[part])]:
            raise UserError(
                f"{self.loaded.detail}: no sample for the {empty[0]} part (data.split={list(self.split)} of "
                f"{len(self.loaded):,}): give more samples, or change data.split"
            )

    def count_missing_labels(self) -> int:
        """Counts the samples without a label; 0 if neither the data set nor the trained model needs labels."""
        needed = self.needs_labels or len(self.loaded.classes) > 0
        return int((self.loaded.labels < 0).sum()) if needed else 0

    def check_training_part(self) -> None:
        """Logs the shares of the classes in the training part, and how many samples were left out."""
        if self.dropped:
            log.info(f"{self.dropped:,} samples left out, because equal ones are in the validation or test part")
        if self.loaded.classes:
            log_classes(self.loaded.classes, {part: self.class_counts(part) for part in PARTS})

    def class_counts(self, part: str) -> np.ndarray:
        """Returns (K,) the number of samples of each class in a part."""
        return count_classes(self.loaded.labels[self.indices[part]], self.loaded.classes)

    @property
    def majority(self) -> int:
        """The most frequent class of the training part; -1 if there are no classes."""
        return int(self.class_counts("train").argmax()) if self.loaded.classes else -1

    @property
    def codebook(self) -> np.ndarray | None:
        """(codes, dimension) float32: the vector of each code; None if unknown."""
        return self.loaded.codebook

    def origin(self) -> str:
        return f"{self.loaded.detail} (simulated)" if self.loaded.simulated else self.loaded.detail

    def about(self) -> dict[str, Any]:
        samples = self.loaded
        train = self.indices["train"] if self.indices else np.arange(len(samples))
        labels = samples.labels[train]
        digest = hashlib.sha256(repr((samples.classes, (len(train), *samples.values.shape[1:]))).encode())
        for start in range(0, len(train), 1024):  # the training part may be larger than the memory
            digest.update(samples.values[train[start : start + 1024]].tobytes())
        digest.update(labels.tobytes())
        return {
            "source": samples.source,
            "detail": samples.detail,
            "simulated": samples.simulated,
            "samples": {part: len(indices) for part, indices in self.indices.items()},
            "classes": dict(zip(samples.classes, count_classes(labels, samples.classes).tolist(), strict=True)),
            "left_out": self.dropped,
            "fingerprint": digest.hexdigest(),
        }

    def tested(self) -> str:
        return f"{len(self.indices['test']):,} samples"

    def train_dataloader(self) -> SampleLoader:
        return self.loader(self.indices["train"], seed=self.seed, repeat=self.repeat)

    def val_dataloader(self) -> SampleLoader:
        return self.loader(self.indices["val"])

    def test_dataloader(self) -> SampleLoader:
        return self.loader(self.indices["test"])

    def all_samples(self) -> SampleLoader:
        """Loads all samples in the order of the source, in one process."""
        return self.loader(np.arange(len(self.loaded)), shared=False)

    def training_samples(self) -> StoredSamples:
        """The training samples (N, ...) in their stored form, which are read batch by batch."""
        return StoredSamples(self.loaded.values, self.indices["train"])

    def loader(self, indices: np.ndarray, shared: bool = True, **order: Any) -> SampleLoader:
        """Loads batches of the samples at `indices`, on the training device.

        Args:
            shared: whether several processes share the samples.
            order: arguments of `SampleLoader`.
        """
        trainer = self.trainer
        strategy = trainer.strategy if trainer is not None else None
        device = strategy.root_device if strategy is not None else torch.device("cpu")
        if self.stored is None or self.stored[1].device != device:
            values, labels = self.loaded.values, writable_tensor(self.loaded.labels).to(device)
            # A mapped file may be larger than the memory, so each batch reads its own rows.
            self.stored = (values if isinstance(values, np.memmap) else writable_tensor(values).to(device), labels)
        if trainer and shared:
            order |= {"rank": trainer.global_rank, "world_size": trainer.world_size}
        return SampleLoader(*self.stored, torch.from_numpy(indices), self.batch_size, **order)

    def parts(self) -> np.ndarray | None:
        """Returns (N,) the part of each sample, -1 if it is left out; None if the samples cannot be split."""
        if self.count_missing_labels():
            return None
        try:
            self.setup("test")
        except UserError:
            return None
        parts = np.full(len(self.loaded), -1, dtype=np.int8)
        for number, part in enumerate(PARTS):
            parts[self.indices[part]] = number
        return parts

    def write_codes(self, path: Path, codes: np.ndarray, codebook: np.ndarray) -> None:
        """Writes code maps (N, h, w) of all samples with their labels and parts, as a file for `data=codes`."""
        samples, parts = replace(self.loaded, values=codes, codebook=codebook, parts=None), self.parts()
        if parts is not None:
            samples = replace(samples, parts=parts).at(np.flatnonzero(parts >= 0))
        write_code_maps(path, samples)

    def listing(self) -> pd.DataFrame:
        """Returns one row per sample: `sample`, its name or number; `part`, if there is a split; `label`, if known."""
        samples = self.loaded
        frame = pd.DataFrame({"sample": samples.names or range(len(samples))})
        if (parts := self.parts()) is not None:
            frame["part"] = [PARTS[part] if part >= 0 else "left out" for part in parts]
        if (samples.labels >= 0).any():
            frame["label"] = [samples.classes[label] if label >= 0 else "" for label in samples.labels]
        return frame

    def labels_and_indices(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns labels (N,) and indices (N,) of the samples of a part, in the order of its loader."""
        return self.loaded.labels[self.indices[part]], self.indices[part]
