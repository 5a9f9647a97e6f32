#!/usr/bin/env bash
# Study 6 end to end: transformers that roll out fields, with and without exchange between velocity, pressure and volume
# fraction, all with the same number of parameters, and baselines that need no training.
# Further overrides go to each run: scripts/a6_sea.sh data.batch_size=8. DATA=cylinder chooses one of the two, and FNO=yes
# adds a Fourier neural operator, which needs adlx[fno] and, for the cylinder on two cores, eight minutes.
set -euo pipefail

out="outputs/a6_sea/$(date +%Y-%m-%d_%H-%M-%S)"

# Arguments: the data, overrides for them, epochs of the autoencoder, epochs of the transformer, then EXCHANGE:WIDTH for
# each exchange. The width of the perceptrons makes all transformers equally large.
study() {
    local name="$1" data="data=$1 $2" encoding="$3" epochs="$4" autoencoder pair && shift 4
    # shellcheck disable=SC2086  # words, not one word
    {
        adlx train model=sea_autoencoder $data trainer.max_epochs="$encoding" \
            output_dir="$out/$name/autoencoder" "${words[@]}"
        autoencoder=$(echo "$out/$name"/autoencoder/*/*)
        for pair in "$@"; do
            adlx train -m model=sea model.autoencoder="$autoencoder" model.exchange="${pair%:*}" \
                model.feedforward="${pair#*:}" $data trainer.max_epochs="$epochs" trainer.check_val_every_n_epoch=5 \
                seed=0,1,2 output_dir="$out/$name" "${words[@]}"
        done
        adlx train model=persistence $data output_dir="$out/$name/baselines" "${words[@]}"
        adlx train -m model=dmd model.seed_frames=1,4 $data output_dir="$out/$name" "${words[@]}"
        if [ "${FNO:-no}" = yes ]; then
            adlx train model=fno model.noise=0.03 $data data.stride=4 data.batch_size=8 trainer.max_epochs=10 \
                trainer.check_val_every_n_epoch=5 output_dir="$out/$name/baselines" "${words[@]}"
        fi
    }
    adlx compare "$out/$name"/multirun/* "$out/$name"/baselines/*/* --reference exchange=none --out "$out/$name.png"
}

words=("$@")
case "${DATA:-both}" in cylinder | both)
    study cylinder data.trajectories=32 12 40 sea:1024 addition:934 pool:806 none:1063 ;;
esac
case "${DATA:-both}" in dambreak | both)
    study dambreak "" 20 50 sea:1024 addition:940 pool:812 none:1069 ;;
esac
