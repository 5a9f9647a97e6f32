"""A run shows no warning of the libraries in training, resume, eval and predict."""

import logging
import warnings

import pytest

from adlx.runs.evaluate import evaluate
from adlx.runs.folder import RunFolder
from adlx.runs.predict import predict
from adlx.runs.progress import quiet_lightning
from adlx.runs.resume import resume
from adlx.runs.train import train


@pytest.mark.parametrize("words", [["model=nlinear", "logger=tensorboard"], ["model=naive"]])
def test_no_verb_shows_a_warning_of_a_library(words, small_words, tmp_path, caplog, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet_lightning()
        run = train([*small_words, *words, "trainer.max_epochs=1", f"output_dir={tmp_path}"])
        resume(RunFolder.open(run.path), ["trainer.max_epochs=2"])
        evaluate(run)
        predict(run)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert capfd.readouterr() == ("", "")
