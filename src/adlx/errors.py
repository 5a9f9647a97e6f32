"""What a user did wrong or a run could not do, in one line each; commands turn these into exit codes."""


class UserError(Exception):
    """A mistake the user can mend: one line that says what, where, and what to do instead."""

    exit_code = 2


class RunFailed(Exception):
    """A run that started well and could not go on (a diverging loss, a failed download), in one line."""

    exit_code = 1
