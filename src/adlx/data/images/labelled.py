"""Images or code maps with labels as a data module: splits that share nothing, batches, what is in the classes."""

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
from adlx.data.images.classes import conform, counts, log_classes
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
        values: (N, ...) as in `Samples`: a tensor on the device that trains, or a memory-mapped array, of which each
            batch reads its own rows.
        labels: (N,) int64, on the device that trains, to which batches go.
        indices, batch_size, seed, repeat, rank, world_size: as in `BatchLoader`.
        flip: mirror images (N, C, H, W) of a shuffled pass from left to right, each with probability 1/2: place p + N
            is the mirror image of p.
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
        device, own = self.labels.device, indices % len(self.values)
        if isinstance(self.values, np.ndarray):
            values = read_rows(self.values, own.cpu().numpy()).to(device)
        else:
            values = self.values.index_select(0, own.to(device))
        if self.flip:
            mirrored = (indices >= len(self.values)).to(device)
            values = torch.where(mirrored[:, None, None, None], values.flip(-1), values)
        return as_input(values), self.labels.index_select(0, own.to(device))


def as_input(values: Tensor) -> Tensor:
    """Stored samples as models see them: bytes of an image from 0 to 1, codes as whole numbers."""
    return values.float() / 255 if values.dtype == torch.uint8 else values.long()


class Labelled(DataModule):
    """Samples in memory, or in a file that is mapped into it.

    Args:
        batch_size: samples a batch.
        repeat: passes over the training samples that count as one epoch.
        split: shares for training, validation and test, where the source does not say which are which. Each class is
            split by them, and what is equal to the last byte stays together.
        split_seed: of that draw. It is not the run's seed, so runs of several seeds are tested on the same samples.

    Attributes:
        needs_labels: whether a sample without a label is refused, where no trained model knows classes.
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
        self.dropped = 0  # samples left out, since the same is in a later part
        self.stored: tuple[Tensor | np.ndarray, Tensor] | None = None  # samples and labels, as loaders read them

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
            self.samples = conform(self.load(), self.expected_spec)

    def setup(self, stage: str) -> None:
        """Loads and splits, once.

        Raises:
            UserError: labels are missing, or a part holds no sample.
        """
        if self.indices:
            return
        self.read()
        if (unknown := self.unlabelled()) > 0:
            raise UserError(
                f"{self.loaded.detail}: {unknown:,} of {len(self.loaded):,} samples have no label, and a split needs "
                "them; for such samples use adlx predict"
            )
        self.indices, self.dropped = split(self.loaded, self.split, self.split_seed)
        if empty := [part for part in PARTS if not len(self.indices[part])]:
            raise UserError(
                f"{self.loaded.detail}: no sample for the {empty[0]} part (data.split={list(self.split)} of "
                f"{len(self.loaded):,}): give more samples, or change data.split"
            )

    def unlabelled(self) -> int:
        """Counts the samples without a label, if the split or the trained model needs labels."""
        asked = self.needs_labels or len(self.loaded.classes) > 0
        return int((self.loaded.labels < 0).sum()) if asked else 0

    def check_training_part(self) -> None:
        """Logs how the classes of the training part are balanced, and what was left out."""
        if self.dropped:
            log.info(f"{self.dropped:,} samples left out, because equal ones are in the validation or test part")
        if self.loaded.classes:
            log_classes(self.loaded.classes, {part: self.class_counts(part) for part in PARTS})

    def class_counts(self, part: str) -> np.ndarray:
        """(K,) samples of each class in a part."""
        return counts(self.loaded.labels[self.indices[part]], self.loaded.classes)

    @property
    def majority(self) -> int:
        """The most frequent class of the training part; -1 if there are no classes."""
        return int(self.class_counts("train").argmax()) if self.loaded.classes else -1

    @property
    def codebook(self) -> np.ndarray | None:
        """(codes, dimension) float32: the vectors that the codes stand for; None if unknown."""
        return self.loaded.codebook

    def origin(self) -> str:
        return f"{self.loaded.detail} (simulated)" if self.loaded.simulated else self.loaded.detail

    def about(self) -> dict[str, Any]:
        samples = self.loaded
        train = self.indices["train"] if self.indices else np.arange(len(samples))
        labels = samples.labels[train]
        digest = hashlib.sha256(repr((samples.classes, (len(train), *samples.values.shape[1:]))).encode())
        for part in range(0, len(train), 1024):  # which may be more than fit into memory together
            digest.update(samples.values[train[part : part + 1024]].tobytes())
        digest.update(labels.tobytes())
        return {
            "source": samples.source,
            "detail": samples.detail,
            "simulated": samples.simulated,
            "samples": {part: len(indices) for part, indices in self.indices.items()},
            "classes": dict(zip(samples.classes, counts(labels, samples.classes).tolist(), strict=True)),
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

    def everything(self) -> SampleLoader:
        """All samples in their order, on one device."""
        return self.loader(np.arange(len(self.loaded)), shared=False)

    def training(self) -> StoredSamples:
        """All training samples (N, ...), as they are stored; they are read batch by batch."""
        return StoredSamples(self.loaded.values, self.indices["train"])

    def loader(self, indices: np.ndarray, shared: bool = True, **order: Any) -> SampleLoader:
        """Batches of the samples at `indices`, on the device that trains; `order` is as `SampleLoader` has it."""
        trainer = self.trainer
        strategy = trainer.strategy if trainer is not None else None
        device = strategy.root_device if strategy is not None else torch.device("cpu")
        if self.stored is None or self.stored[1].device != device:
            values, labels = self.loaded.values, writable_tensor(self.loaded.labels).to(device)
            # A mapped file may be larger than the memory, so its rows are read as batches need them.
            self.stored = (values if isinstance(values, np.memmap) else writable_tensor(values).to(device), labels)
        if trainer and shared:
            order |= {"rank": trainer.global_rank, "world_size": trainer.world_size}
        return SampleLoader(*self.stored, torch.from_numpy(indices), self.batch_size, **order)

    def parts(self) -> np.ndarray | None:
        """(N,) the part of each sample, -1 where it is left out; None where labels are missing or too few to split."""
        if self.unlabelled():
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
        """Writes code maps (N, h, w) of all samples with their labels and parts, for `data=codes`."""
        samples, parts = replace(self.loaded, values=codes, codebook=codebook, parts=None), self.parts()
        if parts is not None:
            samples = replace(samples, parts=parts).at(np.flatnonzero(parts >= 0))
        write_code_maps(path, samples)

    def listing(self) -> pd.DataFrame:
        """A row a sample: `sample`, its name or number; `part`, where there is a split; `label`, where it is known."""
        samples = self.loaded
        frame = pd.DataFrame({"sample": samples.names or range(len(samples))})
        if (parts := self.parts()) is not None:
            frame["part"] = [PARTS[part] if part >= 0 else "left out" for part in parts]
        if (samples.labels >= 0).any():
            frame["label"] = [samples.classes[label] if label >= 0 else "" for label in samples.labels]
        return frame

    def actual(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Labels (N,) and indices (N,) of a part's samples, in the order of its loader."""
        return self.loaded.labels[self.indices[part]], self.indices[part]
