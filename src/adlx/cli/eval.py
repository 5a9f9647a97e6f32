"""`adlx eval RUN`."""

import sys

from adlx.cli.examples import examples

HELP = """usage: adlx eval RUN [data=NAME] [data.k=v ...]

Scores the best checkpoint of a run on the test part of its own data, or of others that have the same series or classes.

"""


def main(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(HELP + examples("eval"), end="")
        sys.exit(0 if words else 2)
    from adlx.reporting.outcomes import report_evaluation
    from adlx.runs.evaluate import evaluate
    from adlx.runs.folder import RunFolder

    report_evaluation(evaluate(RunFolder.open(words[0]), words[1:]))
