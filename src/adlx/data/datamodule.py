"""What every data set of adlx offers to a run, on top of Lightning's hooks."""

from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytorch_lightning as pl

from adlx.specs import Spec


class TrainedOn(NamedTuple):
    """The data of a trained run whose model is used on data.

    Attributes:
        about: its facts, as `DataModule.about` gave them.
        is_own: whether the data are the same source, perhaps with new samples.
        keeps_split: whether the test part is still where the run had it.
        file: the `run.json` with the facts.
    """

    about: dict[str, Any]
    is_own: bool
    keeps_split: bool
    file: Path


class DataModule(pl.LightningDataModule):
    """A data set: `setup` loads it, `spec` gives models its dimensions, and `about` gives runs the facts about it.

    Attributes:
        seed: seeds the order of training batches; the run sets it.
        expected_spec: the spec of the trained model that will use these data; data that do not fit it are refused.
        base_spec: the spec of the run from whose weights a new run starts; the order of what it names is followed.
        trained_on: the data of the trained run that these data are for, if they are; set before they are loaded.
        model_keys: arguments that a trained model depends on; `adlx eval` on other data keeps the run's values of them.
        view_keys: arguments that choose how the same data are cut and batched; all other arguments choose other data.
    """

    model_keys: ClassVar[tuple[str, ...]] = ()
    view_keys: ClassVar[tuple[str, ...]] = ()
    seed: int = 0
    expected_spec: Any = None
    base_spec: Any = None
    trained_on: TrainedOn | None = None

    @property
    def spec(self) -> Spec:
        """The dimensions from which a model is built; the return annotation says which kind of model fits."""
        raise NotImplementedError

    def check_training_part(self) -> None:
        """Raises UserError if a model cannot be trained on the training part; logs what the part contains."""

    def read(self) -> None:
        """Loads what a prediction needs; a subclass may leave out the split."""
        self.setup("predict")

    def origin(self) -> str:
        """Describes the data in a few words, for a title; says `simulated` for simulated data."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """Facts for `run.json`: `source`, `detail`, `simulated`, and `fingerprint`, a SHA-256 of the training part."""
        raise NotImplementedError

    def tested(self) -> str:
        """Describes the size of the test part in a few words."""
        raise NotImplementedError

    def pinned(self, about: dict[str, Any], newest: bool = False) -> dict[str, Any]:
        """Returns arguments with which a later run loads the same data, whatever `auto` would choose then.

        Args:
            about: the facts of the earlier run.
            newest: do not leave out what the source has got since then, for a prediction.
        """
        return {}
