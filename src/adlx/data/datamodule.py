"""What every data set of adlx offers to a run, on top of Lightning's hooks."""

from typing import Any, ClassVar

import pytorch_lightning as pl

from adlx.specs import Spec


class DataModule(pl.LightningDataModule):
    """A data set: `setup` loads it, `spec` gives models its dimensions, and `about` gives runs the facts about it.

    Attributes:
        seed: seeds the order of training batches; the run sets it.
        expected_spec: the spec of the trained model that will use these data; data that do not fit it are refused.
        model_keys: arguments that a trained model depends on; `adlx eval` on other data keeps the run's values of them.
        view_keys: arguments that choose how the same data are cut and batched; all other arguments choose other data.
    """

    model_keys: ClassVar[tuple[str, ...]] = ()
    view_keys: ClassVar[tuple[str, ...]] = ()
    seed: int = 0
    expected_spec: Any = None

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

    def pinned(self, about: dict[str, Any]) -> dict[str, Any]:
        """Returns arguments with which a later run loads the same data, whatever `auto` would choose then."""
        return {}
