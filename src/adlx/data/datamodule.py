"""What every data set of adlx offers to a run, on top of Lightning's hooks."""

from typing import Any, ClassVar

import pytorch_lightning as pl

from adlx.specs import Spec


class DataModule(pl.LightningDataModule):
    """A data set: `setup` loads it, `spec` gives models its dimensions, and `about` gives runs the facts about it.

    Attributes:
        seed: seeds the order of training batches; the run sets it.
        expected_spec: the spec of a trained model that these data are for; they conform to it or refuse.
        model_keys: arguments that a trained model depends on; other data keep the run's values for them.
        view_keys: arguments that choose how the same data are cut and served; all others choose other data.
    """

    model_keys: ClassVar[tuple[str, ...]] = ()
    view_keys: ClassVar[tuple[str, ...]] = ()
    seed: int = 0
    expected_spec: Any = None

    @property
    def spec(self) -> Spec:
        """The dimensions a model is built from; its return annotation says which kind of model fits."""
        raise NotImplementedError

    def check_training_part(self) -> None:
        """Refuses, by UserError, a training part that a model cannot be trained on, and logs what is in it."""

    def read(self) -> None:
        """Loads what a prediction needs, without splits."""
        self.setup("predict")

    def origin(self) -> str:
        """What the data are, in a few words, for a title; says `simulated` where they are."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """Facts for `run.json`: `source`, `detail`, `simulated`, and `fingerprint`, a SHA-256 of the training part."""
        raise NotImplementedError

    def tested(self) -> str:
        """How much the test part holds, in a few words."""
        raise NotImplementedError

    def pinned(self, about: dict[str, Any]) -> dict[str, Any]:
        """The arguments that make a later run load what `about` describes, whatever `auto` would choose by then."""
        return {}
