"""What a user did wrong or a run could not do, in one line each; commands turn these into exit codes."""

import os
import signal
from collections.abc import Callable


class OneLineError(BaseException):
    """An error that IPython and Jupyter show as one line; with ADLX_DEBUG=1, as a traceback."""

    @property
    def _render_traceback_(self) -> Callable[[], list[str]]:
        """IPython's hook: a function that returns the lines to show."""
        if os.environ.get("ADLX_DEBUG") == "1":
            raise AttributeError("ADLX_DEBUG=1 asks for the traceback")  # so IPython finds no hook
        return lambda: [self.line]

    @property
    def line(self) -> str:
        return f"{type(self).__name__}: {' '.join(str(self).split())}"


class UserError(OneLineError, Exception):
    """A mistake the user can mend: one line that says what, where, and what to do instead."""

    exit_code = 2


class RunFailed(OneLineError, Exception):
    """A run that started well and could not go on (a diverging loss, a failed download), in one line."""

    exit_code = 1


class Interrupted(OneLineError):
    """A signal asked the run to stop. Not an Exception: nothing between here and the command should catch it.

    Attributes:
        advice: how to go on, once the run knows.
    """

    def __init__(self, signum: int, advice: str = "") -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum, self.advice = signum, advice
        self.exit_code = 128 + signum

    @property
    def line(self) -> str:
        return f"stopped by {self}" + (f"; {self.advice}" if self.advice else "")


class InterruptedByKeyboard(Interrupted, KeyboardInterrupt):
    """SIGINT, as Python programs expect it. Raised only after training: Lightning catches a KeyboardInterrupt."""

    def __init__(self, advice: str) -> None:
        super().__init__(signal.SIGINT, advice)
        if advice:
            self.add_note(advice)  # Python prints it under a traceback


class WriteFailed(RunFailed, OSError):
    """A file could not be written, such as on a full disk."""
