"""The API prints nothing unless it is asked to show the progress."""

import logging
import sys
from collections.abc import Iterator

import pytest

import adlx
from adlx.api_output import quiet_call
from adlx.runs.progress import PlainProgress, RichProgressBar, progress


@pytest.fixture(autouse=True)
def lines_of_all_loggers(caplog) -> Iterator[None]:
    """As after `logging.basicConfig(level=logging.INFO)`, which many notebooks call."""
    caplog.set_level(logging.INFO)
    yield


def printed(capfd, caplog) -> list[str]:
    """All that went to stdout, stderr and the handlers of the root logger."""
    out, err = capfd.readouterr()
    return [text for text in (out, err, caplog.text) if text]


def test_nothing_is_printed(small, capfd, caplog, recwarn):
    run = small("trainer.max_epochs=1", "logger=tensorboard")
    adlx.evaluate(run)
    adlx.predict(run)
    adlx.compare([run])
    adlx.find_runs(run.path.parent)
    assert printed(capfd, caplog) == []
    shown = [one for one in recwarn if not issubclass(one.category, DeprecationWarning)]  # Python hides these
    assert [str(one.message) for one in shown] == []


def test_progress_is_printed_on_request(small_words, tmp_path, capfd, caplog):
    words = [*small_words, "trainer.max_epochs=1", f"output_dir={tmp_path}"]
    run = adlx.train(words, progress=True)
    out, err = capfd.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["data:", "epoch"]
    assert err == caplog.text == ""
    adlx.evaluate(run)
    assert printed(capfd, caplog) == []  # the next call is silent again
    assert logging.getLogger("adlx").handlers == []


def test_a_bar_needs_a_terminal_and_lines_that_are_shown(monkeypatch, caplog):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with caplog.at_level(logging.WARNING, "adlx"):
        assert isinstance(progress(), PlainProgress)
    with caplog.at_level(logging.INFO, "adlx"):
        assert isinstance(progress(), RichProgressBar)


def test_lines_reach_a_handler_of_the_user_who_sets_the_level_of_adlx(finished, caplog, capfd):
    with caplog.at_level(logging.INFO, "adlx"):
        with quiet_call():
            logging.getLogger("adlx").info("a line")
        assert [record.message for record in caplog.records] == ["a line"]
    assert capfd.readouterr() == ("", "")
