"""Checks the error messages that a user sees."""

from collections.abc import Callable
from typing import Any

import pytest

from adlx.errors import UserError


def user_error_of(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> str:
    """Calls a function that must raise a UserError, and returns its message, which must be a single line."""
    with pytest.raises(UserError) as caught:
        call(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)
