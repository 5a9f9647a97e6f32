from collections.abc import Callable

import pytest
from generators import walk_frame
from workshop import EPOCHS, ROWS, Workshop, tiny_words

from adlx.api import Run

pytest.register_assert_rewrite("demands")  # its assertions then say what differs


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    walk_frame(ROWS).to_csv(made.table)
    return made


@pytest.fixture(scope="session")
def trained(workshop: Workshop) -> Callable[..., Run]:
    """Runs of the project's models, each trained once a session."""
    runs: dict[tuple[str | int, ...], Run] = {}

    def get(model: str, *words: str, epochs: int = EPOCHS) -> Run:
        key = (model, *words, epochs)
        if key not in runs:
            runs[key] = workshop.train([*tiny_words(model), *words], epochs)
        return runs[key]

    return get
