#!/usr/bin/env bash
# Study 6 end to end: transformers that roll out fields, with and without exchange between velocity, pressure and volume
# fraction, at equal numbers of parameters, beside what needs no training.
# Further words go to each run: scripts/a6_sea.sh data.batch_size=8. DATA=cylinder chooses one of the two, and FNO=yes
# adds a Fourier neural operator, which needs adlx[fno] and, on two cores, as long as all the rest.
set -euo pipefail

out="outputs/a6_sea/$(date +%Y-%m-%d_%H-%M-%S)"

# The name of the data, then each exchange and the inner width of its perceptrons that makes all equally large.
study() {
    local data="$1" && shift
    adlx train model=sea_autoencoder data="$data" trainer.max_epochs=20 \
        output_dir="$out/$data/autoencoder" "${words[@]}"
    local autoencoder
    autoencoder=$(echo "$out/$data"/autoencoder/*/*)
    for pair in "$@"; do
        adlx train -m model=sea model.autoencoder="$autoencoder" model.exchange="${pair%:*}" \
            model.feedforward="${pair#*:}" data="$data" trainer.max_epochs=80 trainer.check_val_every_n_epoch=5 \
            seed=0,1,2 output_dir="$out/$data" "${words[@]}"
    done
    adlx train model=persistence data="$data" output_dir="$out/$data/baselines" "${words[@]}"
    adlx train -m model=dmd model.seed_frames=1,4 data="$data" output_dir="$out/$data" "${words[@]}"
    if [ "${FNO:-no}" = yes ]; then
        adlx train model=fno model.noise=0.03 data="$data" trainer.max_epochs=6 \
            output_dir="$out/$data/baselines" "${words[@]}"
    fi
    adlx compare "$out/$data"/multirun/* "$out/$data"/baselines/*/* --reference exchange=none --out "$out/$data.png"
}

words=("$@")
case "${DATA:-both}" in cylinder | both) study cylinder sea:1024 addition:934 pool:806 none:1063 ;; esac
case "${DATA:-both}" in dambreak | both) study dambreak sea:1024 addition:940 pool:812 none:1069 ;; esac
