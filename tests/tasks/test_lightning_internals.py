"""The installed Lightning has the private parts that adlx uses; a failed test names the part that is missing."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from adlx.tasks import lightning_internals
from adlx.tasks.lightning_internals import batches_done, forward_context, has_trainer, is_last_batch


class Watched(pl.LightningModule):
    """Stores the values of the private attributes in each of three steps."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.hooks: set[str] = set()
        self.done: list[tuple[int, bool]] = []
        self.dtypes: list[torch.dtype] = []

    def __setattr__(self, name: str, value: object) -> None:
        if name == lightning_internals.CURRENT_HOOK and value is not None:
            self.hooks.add(str(value))
        super().__setattr__(name, value)

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.layer(batch).mean()

    def on_train_batch_end(self, *_: object) -> None:
        self.done.append((batches_done(self.trainer), is_last_batch(self.trainer)))
        with forward_context(self):
            self.dtypes.append(self.layer(torch.ones(1, 1)).dtype)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(scope="module")
def watched() -> Watched:
    module = Watched()
    assert not has_trainer(module), "LightningModule._trainer"
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", precision="bf16-mixed", enable_model_summary=False, **quiet)
    trainer.fit(module, DataLoader(torch.ones(3, 1)))
    return module


def test_lightning_stores_which_hook_runs(watched):
    """`_current_fx_name`: without it, `Task.__setattr__` saves no time and can be removed."""
    assert {"training_step", "on_train_batch_end"} <= watched.hooks


def test_the_batches_of_an_epoch_are_counted(watched):
    """`fit_loop.epoch_loop.batch_progress.current.processed` and `.is_last_batch`: checkpoints count steps by them."""
    assert watched.done == [(1, False), (2, False), (3, True)]


def test_a_module_has_a_trainer_or_none(watched):
    """`LightningModule._trainer`, `Trainer.precision_plugin.forward_context`: images are generated in its precision."""
    assert has_trainer(watched)
    assert watched.dtypes == [torch.bfloat16] * 3
    with forward_context(Watched()):
        assert torch.nn.Linear(1, 1)(torch.ones(1, 1)).dtype == torch.float32
