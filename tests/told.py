"""What a user is told."""

from collections.abc import Callable
from typing import Any

import pytest

from adlx.errors import UserError


def error_of(call: Callable[..., Any], *arguments: Any, **more: Any) -> str:
    """The one line by which a call is refused."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)
