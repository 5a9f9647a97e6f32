"""`adlx predict RUN`."""

import sys

from adlx.cli.examples import examples, product_lines

HELP = """usage: adlx predict RUN [data=NAME] [data.k=v ...] [predict.k=v ...]

Makes what the run's task is for, of its own data or of others, in a folder that the last line names:
{products}
"""


def main(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(HELP.format(products=product_lines()) + examples("predict"), end="")
        sys.exit(0 if words else 2)
    from adlx.reporting.outcomes import report_prediction
    from adlx.runs.folder import RunFolder
    from adlx.runs.predict import predict

    report_prediction(predict(RunFolder.open(words[0]), words[1:]))
