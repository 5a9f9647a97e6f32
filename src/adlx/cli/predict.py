"""`adlx predict RUN`."""

import sys

HELP = """usage: adlx predict RUN [data=NAME] [data.k=v ...]

Makes what the run's task is for. A forecaster forecasts the steps after the end of its data, or of fresh data:
forecast.csv in original units and forecast.png, in a folder that the last line names.

examples:
  adlx predict outputs/seq2seq-crypto/2026-01-31_12-00-00_a1b2c3
  adlx predict outputs/seq2seq-crypto/2026-01-31_12-00-00_a1b2c3 data.source=auto
  adlx predict outputs/seq2seq-crypto/2026-01-31_12-00-00_a1b2c3 data=csv data.path=prices.csv
"""


def main(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        sys.exit(0 if words else 2)
    from adlx.runs.folder import Run

    Run.open(words[0]).predict(words[1:])
