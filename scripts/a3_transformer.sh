#!/usr/bin/env bash
# Study 3 end to end: the notebook's in-sample protocol, two models with two scalings, then prediction intervals.
# Further overrides go to each run: scripts/a3_transformer.sh data=csv data.path=prices.csv
set -euo pipefail

out="outputs/a3_transformer/$(date +%Y-%m-%d_%H-%M-%S)"
# Neighboring windows differ by one hour only. An epoch uses a quarter of them, so that the first validation comes
# before the model overfits.
words=(data=crypto trainer.limit_train_batches=0.25 trainer.max_epochs=20)

adlx train experiment=a3_transformer output_dir="$out/notebook" "$@"

adlx train -m model=transformer,seq2seq data.scaling=minmax,log seed=0,1,2 output_dir="$out/point" "${words[@]}" "$@"
adlx train model=naive output_dir="$out/point" "${words[@]}" "$@"
adlx compare "$out"/point/multirun/* "$out"/point/naive-*/* --out "$out/point.png"

adlx train -m model=transformer,seq2seq,nlinear loss=quantile seed=0,1,2 output_dir="$out/quantiles" "${words[@]}" "$@"
adlx train -m model=ewma model.power=1,2 output_dir="$out/quantiles" "${words[@]}" "$@"
adlx train model=naive loss=quantile output_dir="$out/quantiles" "${words[@]}" "$@"
adlx compare "$out"/quantiles/multirun/* "$out"/quantiles/naive-*/* --metric test/crps_skill --out "$out/quantiles.png"
