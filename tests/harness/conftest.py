from collections.abc import Callable

import pytest
from generators import walk_frame
from tiny_models import EPOCHS, ROWS, TinyRuns, tiny_words

from adlx.api import Run

pytest.register_assert_rewrite("requirements_of_runs")  # so that its assertions show the values


TESTS_WITH_FIGURES = {"test_fit", "test_fit_and_eval"}
"""Tests that train the first run of a model; its figures are drawn. Other tests need figures as files only."""


@pytest.fixture(autouse=True)
def unpainted_runs(request: pytest.FixtureRequest) -> None:
    if request.node.originalname not in TESTS_WITH_FIGURES:
        request.getfixturevalue("unpainted")


@pytest.fixture(scope="session")
def tiny_runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    runs = TinyRuns(tmp_path_factory.mktemp("tiny_runs"))
    walk_frame(ROWS).to_csv(runs.table)
    return runs


@pytest.fixture(scope="session")
def trained(tiny_runs: TinyRuns) -> Callable[..., Run]:
    """Trains a tiny run of a model; each run is trained once per session."""
    runs: dict[tuple[str | int, ...], Run] = {}

    def get(model: str, *words: str, epochs: int = EPOCHS) -> Run:
        key = (model, *words, epochs)
        if key not in runs:
            runs[key] = tiny_runs.train([*tiny_words(model), *words], epochs)
        return runs[key]

    return get
