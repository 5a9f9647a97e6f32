"""An error in one figure of a run affects neither the scores nor the other figures."""

import pytest

from adlx.runs.folder import RunFolder
from adlx.runs.train import train
from adlx.tasks.forecast import Forecast


@pytest.fixture
def words(small_words, tmp_path):
    return [*small_words, "trainer.max_epochs=1", f"output_dir={tmp_path}"]


def figures_of(run: RunFolder) -> list[str]:
    return sorted(path.name for path in (run.path / "figures").iterdir())


def test_a_figure_that_cannot_be_drawn_is_reported_in_one_line(words, monkeypatch, caplog):
    def save(figure, path):
        if path.stem == "forecast":
            raise ValueError("Expected end of text, found '$'\n  (at char 0)")
        path.parent.mkdir(exist_ok=True)
        path.touch()

    monkeypatch.setattr("adlx.figures.style.save", save)
    run = train(words)
    assert (run.status, "test/skill" in run.metrics) == ("finished", True)
    assert figures_of(run) == ["horizon_error.png", "series_skill.png", "training_curves.png"]
    reason = "ValueError: Expected end of text, found '$' (at char 0)"
    line = f"the figure forecast could not be drawn ({reason}); the numbers are not affected"
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [line]


def test_a_task_whose_figures_fail_keeps_its_scores(words, monkeypatch, caplog):
    monkeypatch.setattr(Forecast, "figures", lambda task, title: 1 / 0)
    run = train(words)
    assert (run.status, "test/skill" in run.metrics) == ("finished", True)
    assert figures_of(run) == ["training_curves.png"]
    assert "the figures could not be drawn (ZeroDivisionError: division by zero)" in caplog.text
