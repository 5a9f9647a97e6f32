#!/usr/bin/env bash
# Study 2 end to end: the notebook's in-sample protocol, then a comparison on a test part over seeds.
# Further overrides go to each run: scripts/a2_seq2seq.sh data.source=csv data.path=prices.csv
set -euo pipefail

adlx train experiment=a2_seq2seq "$@"
adlx train -m model=seq2seq,nlinear,drift,naive data=crypto seed=0,1,2 "$@"
