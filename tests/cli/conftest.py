import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shell import Ended, Shell

from adlx.cli.main import run


@pytest.fixture(scope="session")
def new_shell(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Shell]:
    return lambda name: Shell(tmp_path_factory.mktemp(name))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Ended]]:
    """Returns a function that runs a command in this process. Afterwards, the logger is as before."""
    logger = logging.getLogger("adlx")
    before = logger.handlers[:], logger.level, logger.propagate
    monkeypatch.delenv("ADLX_DEBUG", raising=False)

    def call(*words: str) -> Ended:
        logger.handlers.clear()  # an older handler writes to an older stdout
        capsys.readouterr()
        return Ended(run(list(words)), *capsys.readouterr())

    yield call
    logger.handlers[:], logger.level, logger.propagate = before
    logger.setLevel(logger.level)  # clears the cache of levels
