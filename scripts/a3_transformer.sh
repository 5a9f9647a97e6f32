#!/usr/bin/env bash
# Study 3 end to end: the notebook's in-sample protocol, two models under two scalings, then intervals.
# Further words go to each run: scripts/a3_transformer.sh data=csv data.path=prices.csv
set -euo pipefail

out="outputs/a3_transformer/$(date +%Y-%m-%d_%H-%M-%S)"
# Windows overlap by all but an hour: some of them make an epoch, so that validation sees a fit before it overfits.
words=(data=crypto trainer.limit_train_batches=0.25 trainer.max_epochs=20)

adlx train experiment=a3_transformer output_dir="$out/notebook" "$@"

adlx train -m model=transformer,seq2seq data.scaling=minmax,log seed=0,1,2 output_dir="$out/point" "${words[@]}" "$@"
adlx train model=naive output_dir="$out/point" "${words[@]}" "$@"
adlx compare "$out"/point/multirun/* "$out"/point/naive-*/* --out "$out/point.png"

adlx train -m model=transformer,seq2seq,nlinear loss=quantile seed=0,1,2 output_dir="$out/quantiles" "${words[@]}" "$@"
adlx train -m model=ewma model.power=1,2 output_dir="$out/quantiles" "${words[@]}" "$@"
adlx train model=naive loss=quantile output_dir="$out/quantiles" "${words[@]}" "$@"
adlx compare "$out"/quantiles/multirun/* "$out"/quantiles/naive-*/* --metric test/crps_skill --out "$out/quantiles.png"
