"""The output of a command. If its reader ends early, as in `adlx train ... | head -1`, the command continues."""

import io
import logging
import os
import sys


class Output(io.TextIOWrapper):
    """A stdout or stderr that drops the rest of the output once its reader has closed the pipe."""

    @classmethod
    def like(cls, stream: io.TextIOWrapper) -> "Output":
        return cls(
            stream.buffer,
            stream.encoding,
            stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._drop_the_rest()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._drop_the_rest()

    def _drop_the_rest(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


class Lines(logging.StreamHandler):
    """Prints log messages on stdout as plain lines. An error while printing, such as a full disk, ends the command."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)
        self.setFormatter(logging.Formatter("%(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exception(), OSError):
            raise
        super().handleError(record)


def protect_output() -> None:
    """Replaces stdout and stderr of this process by an `Output`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, Output):
            setattr(sys, name, Output.like(stream))


def print_log_lines() -> None:
    """Lets the `adlx` logger print its messages on stdout."""
    logger = logging.getLogger("adlx")
    if not logger.handlers:
        logger.addHandler(Lines())
        is_first = os.environ.get("LOCAL_RANK", "0") == "0"  # of the processes of a run, one prints
        logger.setLevel(logging.INFO if is_first else logging.WARNING)
        logger.propagate = False
