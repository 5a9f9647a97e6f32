"""The `adlx` command: runs the verb, and turns an error into a one-line message and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence

from adlx.cli import light_imports
from adlx.cli.encoding import print_any_character
from adlx.cli.examples import examples
from adlx.cli.output import print_log_lines, protect_output

VERBS = {
    "train": "fit a model and test its best checkpoint; with -m, several models",
    "resume": "continue a run that was stopped",
    "eval": "score a run on its own test data or on other data",
    "predict": "make the product of a run: a forecast, classes, images, ...",
    "compare": "compare runs in a table",
    "export": "write a fine-tuned model as a whole model, or its adapter for HF PEFT",
    "list": "list models, data sets, experiments and other choices",
    "completion": "print a script that lets your shell complete commands",
}

HELP = """usage: adlx VERB ...

Config-driven deep-learning experiments with honest scores.

{verbs}

`adlx VERB --help` shows the settings and flags of a verb, with examples. A mistake is one line; ADLX_DEBUG=1 shows its
traceback.

"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits: 0 for success, 1 for failure, 2 for a user's mistake, 130 or 143 for a signal."""
    protect_output()
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(words: list[str]) -> int:
    """Runs a command and returns its exit code."""
    print_any_character()
    if words[:1] == ["help"] and len(words) > 1:
        words = [words[1], "--help"]
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
        hint = f"did you mean {close[0]}?" if close else "see adlx --help"
        print(f"adlx: no verb {verb}; {hint}", file=sys.stderr)
        return 2
    print_log_lines()
    light_imports.install()
    try:
        importlib.import_module(f"adlx.cli.{verb}").main(rest)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0 if leave.code is None else 1
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        if os.environ.get("ADLX_DEBUG") == "1":
            raise
        return _report(error)
    return 0


def _report(error: BaseException) -> int:
    """Prints an error in one line. Returns the exit code."""
    code = getattr(error, "exit_code", None)
    text = " ".join(str(error).split())
    if code is None:
        print(f"adlx: {type(error).__name__}: {text} (ADLX_DEBUG=1 shows where)", file=sys.stderr)
        return 1
    if code in (1, 2):  # else a signal stopped the run, and its last line says so
        print(f"adlx: {text}", file=sys.stderr)
    return code
