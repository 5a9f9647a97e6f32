"""Output in an encoding that lacks some of the printed characters."""

import io
import logging
import shutil
import sys
from collections.abc import Callable

import pytest

from adlx.api import Run
from adlx.cli.encoding import print_any_character
from adlx.cli.main import VERBS, run
from adlx.reporting.terminal import console, report


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Returns a function that runs an action with stdout in an encoding, and returns the printed text."""
    logger = logging.getLogger("adlx")
    monkeypatch.setattr(logger, "handlers", [])  # an older one writes to another stdout
    for name in ("level", "propagate"):
        monkeypatch.setattr(logger, name, getattr(logger, name))

    def printed(action: Callable[[], object], encoding: str = "ascii") -> str:
        logger.handlers.clear()
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
        print_any_character()
        action()
        sys.stdout.flush()
        return raw.getvalue().decode(encoding)

    return printed


def test_characters_that_an_encoding_lacks_are_replaced(printed):
    text = "± − … → × │ ┏ ━ é 中 \udcff"
    assert printed(lambda: print(text)) == "+/- - ... -> x | + - \\xe9 \\u4e2d \\udcff\n"
    assert printed(lambda: print(text), "latin-1") == "± - ... -> × | + - é \\u4e2d \\udcff\n"
    assert printed(lambda: print("é \udcff"), "utf-8") == "é \\udcff\n"


def test_every_verb_prints_in_ascii(printed, finished: Run, tmp_path):
    folders = [tmp_path / name for name in ("é", "b")]
    for folder in folders:
        shutil.copytree(finished.path, folder)
    (folders[1] / "config.yaml").write_text((finished.path / "config.yaml").read_text().replace("seed: 0", "seed: 1"))
    first, second = map(str, folders)
    commands = [["--help"], ["list"], *([verb, "--help"] for verb in VERBS)]
    commands += [["eval", first], ["predict", first], ["compare", first, second]]
    for words in commands:
        codes: list[int] = []
        text = printed(lambda words=words, codes=codes: codes.append(run(words)))
        assert codes == [0], words
        assert "(?)" not in text, words
        assert "??" not in text, words
    assert "+/- " in text  # from the comparison, the last command
    assert "+---" in text
    assert "| mase" in printed(lambda: report(finished))
    assert printed(lambda: console().print(":smile: [red] [/]")) == ":smile: [red] [/]\n"
