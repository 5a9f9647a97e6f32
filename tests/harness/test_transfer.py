"""Fine-tuning must be better than training from scratch: the base has long series, the new data only 20 windows."""

import numpy as np
import pytest
from generators import predictable_frame

import adlx

pytestmark = pytest.mark.usefixtures("unpainted")
MARGIN = 0.15  # difference in skill; measured with two seeds: 0.34 for the transformer, 0.24 for seq2seq
SIZES = {
    "transformer": ["model.hidden=16", "model.heads=2", "model.blocks=1"],
    "seq2seq": ["model.hidden=16"],
}


@pytest.fixture(scope="module", params=SIZES)
def train(request, tmp_path_factory):
    """Trains the same model on `from.csv` or on `onto.csv`, which have the same periods and other phases."""
    folder = tmp_path_factory.mktemp(request.param)
    for name, seed in (("from", 0), ("onto", 5)):
        predictable_frame(900, series=2, seed=seed).to_csv(folder / f"{name}.csv")
    model = [f"model={request.param}", *SIZES[request.param]]
    rest = ["logger=none", "trainer.accelerator=cpu", "trainer.threads=1", f"output_dir={folder}"]
    data = ["data=csv", "data.context=24", "data.horizon=4", "optimizer.lr=3e-3"]
    return lambda name, *words: adlx.train([*model, *data, *rest, f"data.path={folder / name}.csv", *words])


def test_finetuning_is_better_than_training_from_scratch(train):
    base = train("from", "trainer.max_epochs=8", "optimizer/schedule=cosine")
    few = ["data.train_windows=20", "data.repeat=30", "trainer.max_epochs=1", "optimizer/schedule=constant"]
    choices = {
        "scratch": [],
        "full": ["finetune=full", f"finetune.run={base.path}"],
        "lora": ["finetune=lora", f"finetune.run={base.path}", "finetune.rank=4"],
    }
    runs = {name: [train("onto", *few, *words, f"seed={seed}") for seed in (0, 1)] for name, words in choices.items()}
    assert {run.info["data"]["windows"]["train"] for group in runs.values() for run in group} == {20}
    skill = {name: np.mean([run.metrics["test/skill"] for run in group]) for name, group in runs.items()}
    assert skill["full"] > skill["scratch"] + MARGIN
    assert skill["lora"] > skill["scratch"] + MARGIN
