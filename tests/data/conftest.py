"""No data set shows a raw warning of a library: a warning is an error in all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            # Python hides deprecations in libraries from users.
            for rule in ("ignore::DeprecationWarning", "error"):
                item.add_marker(pytest.mark.filterwarnings(rule), append=False)


@pytest.fixture(autouse=True)
def torch_repeats_warnings() -> Iterator[None]:
    """PyTorch gives some warnings only once in a process, which an earlier test may have used up."""
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(always)
