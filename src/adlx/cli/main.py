"""The `adlx` command: picks the verb, and turns what goes wrong into one line and an exit code."""

import importlib
import logging
import os
import sys
from collections.abc import Sequence

from adlx.cli import light_imports
from adlx.cli.examples import examples

VERBS = {
    "train": "fit, then test the best checkpoint; -m for several",
    "resume": "go on with a run that was stopped",
    "eval": "score a run on its own test data or on others",
    "predict": "make what a run is for: a forecast, classes, images, ...",
    "compare": "several runs side by side",
    "export": "a whole model of a fine-tuned run, or its adapter for HF PEFT",
    "list": "models, data sets and experiments to choose from",
    "completion": "a script that makes your shell complete all this",
}

HELP = """usage: adlx VERB ...

Config-driven deep-learning experiments with honest scores.

{verbs}

adlx VERB --help says more. A mistake is told in one line; ADLX_DEBUG=1 shows the traceback.

"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0 done, 1 the run failed, 2 a mistake of the user, 130 or 143 stopped by a signal."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(words: list[str]) -> int:
    """The exit code of a command."""
    if not words or words[0] in ("-h", "--help", "help"):
        verbs = "\n".join(f"  {verb:<11} {text}" for verb, text in VERBS.items())
        print(HELP.format(verbs=verbs) + examples("adlx"), end="")
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        from adlx import __version__

        print(f"adlx {__version__}")
        return 0
    verb, *rest = words
    if verb not in VERBS:
        from difflib import get_close_matches

        close = get_close_matches(verb, VERBS, n=1)
        print(
            f"adlx: no verb {verb}" + (f"; did you mean {close[0]}?" if close else "; see adlx --help"), file=sys.stderr
        )
        return 2
    speak()
    light_imports.install()
    try:
        importlib.import_module(f"adlx.cli.{verb}").main(rest)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0 if leave.code is None else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `adlx list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseException as error:
        if os.environ.get("ADLX_DEBUG") == "1":
            raise
        code = getattr(error, "exit_code", None)
        if code is None:
            print(f"adlx: {type(error).__name__}: {_one_line(error)} (ADLX_DEBUG=1 shows where)", file=sys.stderr)
        elif code in (1, 2):
            print(f"adlx: {_one_line(error)}", file=sys.stderr)
        return code or 1
    return 0


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def speak() -> None:
    """Lets the `adlx` logger print: what a user is told goes to stdout, as plain lines."""
    logger = logging.getLogger("adlx")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        first_of_its_run = os.environ.get("LOCAL_RANK", "0") == "0"  # of the processes that share a run, one speaks
        logger.setLevel(logging.INFO if first_of_its_run else logging.WARNING)
        logger.propagate = False
