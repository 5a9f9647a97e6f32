"""In all tests of this folder a warning is an error, so that no data set shows a raw warning of a library."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            # Python does not show users the deprecation warnings of libraries.
            for rule in ("ignore::DeprecationWarning", "error"):
                item.add_marker(pytest.mark.filterwarnings(rule), append=False)


@pytest.fixture(autouse=True)
def torch_repeats_warnings() -> Iterator[None]:
    """PyTorch gives some warnings only once per process, which may have been in an earlier test."""
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(always)
