"""`adlx predict RUN`."""

import sys

HELP = """usage: adlx predict RUN [data=NAME] [data.k=v ...] [predict.k=v ...]

Makes what the run's task is for, of its own data or of others, in a folder that the last line names:
  a forecaster forecasts the steps after the end of its data: forecast.csv in original units, and forecast.png
  a classifier classifies every sample: classes.csv
  an autoencoder encodes every image: codes.npz, which data=codes reads, and reconstructions.png
  a diffusion model draws images: samples.npz and samples.png; predict.n=64, predict.steps=20, predict.eta=0, seed=1,
    predict.batch_size=64 and predict.pictures=true, a PNG of each, say how

examples:
  adlx predict outputs/seq2seq-crypto/2026-01-31_12-00-00_a1b2c3
  adlx predict outputs/seq2seq-crypto/2026-01-31_12-00-00_a1b2c3 data.source=auto
  adlx predict outputs/seq2seq-crypto/2026-01-31_12-00-00_a1b2c3 data=csv data.path=prices.csv
  adlx predict outputs/vqvae-faces/2026-01-31_12-00-00_a1b2c3 data.source=folder data.path=photographs
"""


def main(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        sys.exit(0 if words else 2)
    from adlx.reporting.outcomes import report_prediction
    from adlx.runs.folder import RunFolder
    from adlx.runs.predict import predict

    report_prediction(predict(RunFolder.open(words[0]), words[1:]))
