"""Errors with a message of one line. A command prints the message and exits with the `exit_code` of the error."""

import os
import signal
from collections.abc import Callable


class OneLineError(BaseException):
    """An error that IPython and Jupyter show as one line; with ADLX_DEBUG=1, as a traceback."""

    @property
    def _render_traceback_(self) -> Callable[[], list[str]]:
        """IPython's hook: a function that returns the lines to show."""
        if os.environ.get("ADLX_DEBUG") == "1":
            raise AttributeError("ADLX_DEBUG=1 asks for the traceback")  # then IPython sees no hook
        return lambda: [self.line]

    @property
    def line(self) -> str:
        """The type and the message in one line."""
        return f"{type(self).__name__}: {' '.join(str(self).split())}"


class UserError(OneLineError, Exception):
    """A mistake that the user can correct. The message says what is wrong, where, and what to do instead."""

    exit_code = 2


class RunFailed(OneLineError, Exception):
    """A run that started and could not go on, because of a diverging loss or a failed download for example."""

    exit_code = 1


class Interrupted(OneLineError):
    """A signal stopped the run. This is no Exception, so that only a command or a function of `adlx.api` catches it.

    Attributes:
        advice: how to continue the run; empty until the run folder is known.
    """

    def __init__(self, signum: int, advice: str = "") -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum, self.advice = signum, advice
        self.exit_code = 128 + signum

    @property
    def line(self) -> str:
        return f"stopped by {self}" + (f"; {self.advice}" if self.advice else "")


class InterruptedByKeyboard(Interrupted, KeyboardInterrupt):
    """SIGINT as the KeyboardInterrupt that Python programs expect.

    It is raised only after training has ended, because Lightning catches a KeyboardInterrupt.
    """

    def __init__(self, advice: str) -> None:
        super().__init__(signal.SIGINT, advice)
        if advice:
            self.add_note(advice)  # Python prints it under a traceback


class WriteFailed(RunFailed, OSError):
    """A file could not be written, such as on a full disk."""
