"""Images or code maps with labels as a data module: splits that share nothing, batches, what is in the classes."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from adlx.data.batches import BatchLoader
from adlx.data.datamodule import DataModule
from adlx.data.sources.code_maps import write_code_maps
from adlx.data.sources.samples import PARTS, Samples
from adlx.errors import UserError

log = logging.getLogger("adlx")


class SampleLoader(BatchLoader):
    """Yields (samples, labels): images as float32 from 0 to 1, code maps as int64; labels int64.

    Args:
        values: (N, ...) as in `Samples`, on the device that trains.
        labels: (N,) int64, there too.
        places, batch_size, seed, rank, world_size: as in `BatchLoader`.
    """

    def __init__(self, values: Tensor, labels: Tensor, places: Tensor, batch_size: int, **order: Any) -> None:
        super().__init__(places, batch_size, **order)
        self.values, self.labels = values, labels

    def gather(self, places: Tensor) -> tuple[Tensor, Tensor]:
        places = places.to(self.values.device)
        return as_input(self.values.index_select(0, places)), self.labels.index_select(0, places)


def as_input(values: Tensor) -> Tensor:
    """Stored samples as models see them: bytes of an image from 0 to 1, codes as whole numbers."""
    return values.float() / 255 if values.dtype == torch.uint8 else values.long()


class Labelled(DataModule):
    """Samples in memory.

    Args:
        batch_size: samples a batch.
        split: shares for training, validation and test, where the source does not say which are which. Each class is
            split by them, and what is equal to the last byte stays together.
        split_seed: of that draw. It is not the run's seed, so runs of several seeds are tested on the same samples.
    """

    view_keys = ("batch_size",)

    def __init__(
        self, batch_size: int = 64, split: tuple[float, float, float] = (0.8, 0.1, 0.1), split_seed: int = 0
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise UserError(f"data.batch_size={batch_size}: must be at least 1")
        if len(split) != 3 or min(split) <= 0 or not np.isclose(sum(split), 1):
            raise UserError(f"data.split={list(split)}: three positive shares that sum to 1")
        self.batch_size, self.split, self.split_seed = batch_size, split, split_seed
        self.samples: Samples | None = None
        self.places: dict[str, np.ndarray] = {}
        self.dropped = 0  # samples left out, since the same is in a later part
        self.tensors: tuple[Tensor, Tensor] | None = None

    def load(self) -> Samples:
        """Fetches the samples from their source; the one method a subclass must write, beside `spec`."""
        raise NotImplementedError

    @property
    def loaded(self) -> Samples:
        if self.samples is None:
            raise RuntimeError("call setup() first")
        return self.samples

    def read(self) -> None:
        if self.samples is None:
            self.samples = conform(self.load(), self.trained_spec)

    def setup(self, stage: str) -> None:
        """Loads and splits, once.

        Raises:
            UserError: labels are missing, or a part holds no sample.
        """
        if self.places:
            return
        self.read()
        if (unknown := int((self.loaded.labels < 0).sum())) > 0:
            raise UserError(
                f"{self.loaded.detail}: {unknown:,} of {len(self.loaded):,} samples have no label, and a split needs "
                "them; without labels there is adlx predict"
            )
        self.places, self.dropped = split(self.loaded, self.split, self.split_seed)
        if empty := [part for part in PARTS if not len(self.places[part])]:
            raise UserError(
                f"{self.loaded.detail}: no sample for the {empty[0]} part (data.split={list(self.split)} of "
                f"{len(self.loaded):,}): give more samples, or change data.split"
            )
        if self.trained_spec is None:
            self.tell_classes()

    def tell_classes(self) -> None:
        """Logs how the classes of the training part are balanced, and what was left out."""
        if self.dropped:
            log.info(f"{self.dropped:,} samples left out: the same ones are in the validation or test part")
        classes = self.loaded.classes
        if len(classes) > 1:
            counts = self.class_counts("train")
            shares = counts / counts.sum()
            told = ", ".join(f"{name} {share:.1%}" for name, share in zip(classes, shares, strict=True))
            rarest = int(counts.argmin())
            ratio = counts.max() / max(1, counts[rarest])
            if ratio < 1.5:
                log.info(f"classes: {', '.join(classes)}, each {shares.min():.1%} to {shares.max():.1%} of the samples")
                return
            log.info(
                f"classes: {told}; the commonest is {ratio:.1f} times as common as {classes[rarest]}, "
                f"and guessing it always is right in {shares.max():.1%}"
            )

    def class_counts(self, part: str) -> np.ndarray:
        """(K,) samples of each class in a part."""
        return np.bincount(self.loaded.labels[self.places[part]], minlength=len(self.loaded.classes))

    @property
    def majority(self) -> int:
        """The commonest class of the training part."""
        return int(self.class_counts("train").argmax())

    @property
    def codebook(self) -> np.ndarray | None:
        """(codes, dimension) float32: the vectors that codes name, where they are known."""
        return self.loaded.codebook

    def origin(self) -> str:
        return f"{self.loaded.detail} (simulated)" if self.loaded.simulated else self.loaded.detail

    def about(self) -> dict[str, Any]:
        samples = self.loaded
        train = samples if not self.places else samples.at(self.places["train"])
        digest = hashlib.sha256(repr((samples.classes, train.values.shape)).encode())
        for array in (train.values, train.labels):
            digest.update(np.ascontiguousarray(array).tobytes())
        return {
            "source": samples.source,
            "detail": samples.detail,
            "simulated": samples.simulated,
            "samples": {part: len(places) for part, places in self.places.items()},
            "classes": {
                name: int(count)
                for name, count in zip(
                    samples.classes, np.bincount(train.labels + 1, minlength=len(samples.classes) + 1)[1:], strict=True
                )
            },
            "left_out": self.dropped,
            "fingerprint": digest.hexdigest(),
        }

    def tested(self) -> str:
        return f"{len(self.places['test']):,} samples"

    def train_dataloader(self) -> SampleLoader:
        return self.loader(self.places["train"], seed=self.seed)

    def val_dataloader(self) -> SampleLoader:
        return self.loader(self.places["val"])

    def test_dataloader(self) -> SampleLoader:
        return self.loader(self.places["test"])

    def everything(self) -> SampleLoader:
        """All samples in their order, on one device."""
        return self.loader(np.arange(len(self.loaded)), shared=False)

    def training(self) -> Tensor:
        """(N, ...) all training samples, as they are stored."""
        return torch.from_numpy(self.loaded.values)[torch.from_numpy(self.places["train"])]

    def loader(self, places: np.ndarray, seed: int | None = None, shared: bool = True) -> SampleLoader:
        """Batches of the samples at `places`, on the device that trains."""
        trainer = self.trainer
        strategy = trainer.strategy if trainer is not None else None
        device = strategy.root_device if strategy is not None else torch.device("cpu")
        if self.tensors is None or self.tensors[0].device != device:
            arrays = (self.loaded.values, self.loaded.labels)
            self.tensors = (torch.from_numpy(arrays[0]).to(device), torch.from_numpy(arrays[1]).to(device))
        ranks = {"rank": trainer.global_rank, "world_size": trainer.world_size} if trainer and shared else {}
        return SampleLoader(*self.tensors, torch.from_numpy(places), self.batch_size, seed=seed, **ranks)

    def parts(self) -> np.ndarray | None:
        """(N,) the part of each sample, -1 where it is left out; None where labels are missing or too few to split."""
        if (self.loaded.labels < 0).any():
            return None
        try:
            self.setup("test")
        except UserError:
            return None
        parts = np.full(len(self.loaded), -1, dtype=np.int8)
        for number, part in enumerate(PARTS):
            parts[self.places[part]] = number
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
        """Labels (N,) and places (N,) of a part's samples, in the order of its loader."""
        return self.loaded.labels[self.places[part]], self.places[part]


def conform(samples: Samples, trained: dict[str, Any] | None) -> Samples:
    """Puts the classes into the order that a trained model knows.

    Raises:
        UserError: there are others.
    """
    known = tuple(trained["classes"]) if trained else samples.classes
    if samples.classes == known:
        return samples
    if extra := [name for name in samples.classes if name not in known]:
        raise UserError(
            f"the run knows the classes {', '.join(known)}; {samples.detail} has {', '.join(extra)}, which it does not"
        )
    place = np.array([known.index(name) for name in samples.classes] + [-1])  # the last one is that of label -1
    return Samples(**{**vars(samples), "labels": place[samples.labels], "classes": known})


def split(samples: Samples, shares: tuple[float, float, float], seed: int) -> tuple[dict[str, np.ndarray], int]:
    """Places of each part, in their order, and how many samples were left out.

    Samples that are equal to the last byte are in one part alone. Where the source says the parts, it is the last of
    test, validation and training that keeps them, so that a test set stays what it is. Without a validation part,
    one is drawn from the training part.
    """
    twins = np.unique(
        [hashlib.blake2b(value.tobytes(), digest_size=16).digest() for value in samples.values], return_inverse=True
    )[1]
    parts = samples.parts
    if parts is None or not (parts == 2).any():
        parts = draw(samples.labels, twins, shares, seed)
    elif not (parts == 1).any():
        train = np.flatnonzero(parts == 0)
        rest = shares[0] / (shares[0] + shares[1])
        parts = parts.copy()
        parts[train] = draw(samples.labels[train], twins[train], (rest, 1 - rest, 0.0), seed)
    last = np.full(twins.max() + 1, -1, dtype=parts.dtype)
    np.maximum.at(last, twins, parts)
    kept = parts == last[twins]
    places = {name: np.flatnonzero(kept & (parts == number)) for number, name in enumerate(PARTS)}
    return places, int((~kept).sum())


def draw(labels: np.ndarray, twins: np.ndarray, shares: tuple[float, float, float], seed: int) -> np.ndarray:
    """(N,) a part for each sample: every class is split by `shares`, and twins go where the first of them goes."""
    parts = np.zeros(twins.max() + 1, dtype=np.int8)
    present, first = np.unique(twins, return_index=True)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        group = present[labels[first] == label]
        borders = np.round(np.cumsum(shares) * len(group)).astype(int)
        order = rng.permutation(group)
        parts[order[borders[0] : borders[1]]] = 1
        parts[order[borders[1] :]] = 2
    return parts[twins]
