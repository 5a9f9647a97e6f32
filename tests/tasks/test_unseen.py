"""The scores of an in-sample run on earlier windows that it was not trained on."""

import numpy as np
import pytest
from generators import walk_frame

import adlx
from adlx.data.series import series
from adlx.data.series.csv import CSV

ROWS, SPAN = 160, 101


@pytest.fixture
def words(write_csv, tmp_path) -> list[str]:
    return [
        "experiment=a3_transformer",
        "data=csv",
        f"data.path={write_csv(walk_frame(ROWS))}",
        "data.context=20",
        "data.horizon=3",
        "model.blocks=1",
        "model.hidden=8",
        "trainer.max_epochs=1",
        "data.repeat=2",
        "data.batch_size=32",
        "logger=none",
        "trainer.threads=1",
        "trainer.accelerator=cpu",
        f"output_dir={tmp_path / 'outputs'}",
    ]


def test_the_score_by_hand(words):
    """As an evaluation of the same weights on the earlier rows gives it."""
    run = adlx.train(words)
    earlier = ROWS - SPAN
    assert run.metrics["unseen/windows"] == earlier - 20 - 3 + 1
    other = run.evaluate([f"data.end={walk_frame(ROWS).index[earlier - 1].isoformat()}", f"data.last={earlier}"])
    assert run.metrics["unseen/mase"] == pytest.approx(other["test/mase"], rel=1e-6)
    assert run.metrics["unseen/naive_mase"] == pytest.approx(other["baseline/mase"], rel=1e-6)
    assert run.metrics["unseen/skill"] == pytest.approx(other["test/skill"], abs=1e-6)
    assert run.metrics["unseen/mase"] != pytest.approx(run.metrics["test/mase"], rel=1e-3)


def unseen_of(scores: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in scores.items() if key.startswith("unseen/")}


def test_evaluate_and_resume_give_the_unseen_scores_of_the_uninterrupted_run(words, write_csv):
    """A later run is pinned to the rows of the first one, and still knows the rows before them."""
    run = adlx.train([*words, f"data.start={walk_frame(ROWS).index[5].isoformat()}"])
    unseen = unseen_of(run.metrics)
    assert unseen["unseen/windows"] == ROWS - 5 - SPAN - 20 - 3 + 1
    scores = {key: value for key, value in run.metrics.items() if key.startswith(("test/", "insample/", "unseen/"))}
    write_csv(walk_frame(ROWS + 30))  # rows at the end that were not there when it was trained
    again = run.evaluate()
    assert {key: again[key] for key in scores} == scores
    run.update(status="interrupted")  # killed after the last checkpoint: nothing is left but the test
    assert unseen_of(run.resume().metrics) == unseen


def test_without_earlier_rows_there_are_no_unseen_scores(words):
    run = adlx.train([*words, f"data.last={ROWS}"])
    assert not [key for key in run.metrics if key.startswith("unseen/")]
    assert "insample/mse" in run.metrics


def test_the_windows_before_the_last_rows(write_csv):
    data = CSV(write_csv(walk_frame(400)), context=20, horizon=3, last=300)
    data.setup("fit")
    assert len(data.earlier.frame) == 100
    loader = data.unseen()
    assert loader is not None
    windows = list(loader)
    assert sum(len(batch.past) for batch in windows) == 100 - 23 + 1
    ahead = data.scaler.inverse(windows[-1][1])[-1].numpy()
    np.testing.assert_allclose(ahead, walk_frame(400).to_numpy()[97:100], rtol=1e-5)


def test_the_number_of_windows_is_limited(write_csv, monkeypatch):
    monkeypatch.setattr(series, "UNSEEN", 10)
    data = CSV(write_csv(walk_frame(400)), context=20, horizon=3, last=200)
    data.setup("fit")
    loader = data.unseen()
    assert loader is not None
    assert sum(len(batch.past) for batch in loader) == 10
