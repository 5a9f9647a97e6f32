"""The private names of Hydra that adlx uses. No other file uses any.

A test checks that the installed version of Hydra still has them.
"""

from collections.abc import Sequence
from typing import NoReturn

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser

from adlx.errors import UserError


def grid_jobs(words: Sequence[str]) -> list[list[str]]:
    """The overrides of each job of a grid sweep, in the order in which Hydra's own sweeper runs them."""
    overrides = OverridesParser.create().parse_overrides(list(words))
    for override in overrides:
        if override.is_sweep_override() and next(iter(override.sweep_string_iterator()), None) is None:
            raise UserError(f"{str(override.input_line).removeprefix('++')}: gives no value")
    batches = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [job for batch in batches for job in batch]


def flags_error(words: Sequence[str]) -> str | None:
    """The error of Hydra's command line for these words, such as a missing value of `--cfg`; None if there is none."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ValueError(message)

    parser.error = refuse  # type: ignore[method-assign]
    try:
        parser.parse_args(list(words))
    except ValueError as error:
        return str(error)
    return None


def flags() -> dict[str, bool]:
    """The flags of Hydra's command line, such as `-m`, and whether each is followed by a value."""
    actions = get_args_parser()._actions
    return {name: action.nargs != 0 for action in actions for name in action.option_strings}
