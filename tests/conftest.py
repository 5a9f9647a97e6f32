"""Fixtures for all tests; `generators.py` makes the tables that they use."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adlx.config.trusted_packages import trust_file

# One thread a worker: with more, the workers of pytest-xdist wait for each other. Torch, imported later, reads this.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["small_runs"]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests use a temporary cache, and never the cache of the user."""
    os.environ["ADLX_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["ADLX_CONFIG"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(autouse=True)
def no_stored_trust() -> Iterator[None]:
    """Removes the trust that a test gives to a package, so that the next test does not have it."""
    yield
    trust_file().unlink(missing_ok=True)


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., str]:
    """Returns a function that writes a frame with all digits into the folder of the test, and returns the path."""

    def write(frame: pd.DataFrame, name: str = "series.csv") -> str:
        path = tmp_path / name
        frame.to_csv(path)
        return str(path)

    return write


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are empty files: drawing needs half the time of a tiny run, and tests/figures tests it."""

    def save(figure: object, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.touch()

    monkeypatch.setattr("adlx.figures.style.save", save)


@pytest.fixture(scope="module")
def plain_films() -> Iterator[None]:
    """Films are simple and figures are empty files, because films need most of the time of a tiny run of fields.

    tests/figures tests both. Each frame of a film has a mark at another position."""

    import adlx.comparison.comparison  # noqa: F401  (before the patch: it keeps the original `save`)

    def film(truth: object, predicted: np.ndarray, *rest: object) -> list[np.ndarray]:
        marks = 255 * np.eye(len(predicted), dtype=np.uint8)
        return [np.broadcast_to(row[:, None], (4, len(row), 3)).copy() for row in marks]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adlx.figures.fields.film", film)
        patch.setattr("adlx.figures.style.save", lambda figure, path: (path.parent.mkdir(exist_ok=True), path.touch()))
        yield


@pytest.fixture(scope="session")
def real_crypto_path() -> str:
    """Path of 10,968 hours of real prices of seven coins, which are not part of the project."""
    folders = [Path(__file__).resolve().parents[1].parent / "shared" / "data"]
    if os.environ.get("ADLX_TEST_DATA"):
        folders.insert(0, Path(os.environ["ADLX_TEST_DATA"]))
    path = next((f / "crypto_hourly.csv.gz" for f in folders if (f / "crypto_hourly.csv.gz").exists()), None)
    if path is None:
        pytest.skip("crypto_hourly.csv.gz is neither in $ADLX_TEST_DATA nor in ../shared/data")
    return str(path)
