#!/usr/bin/env bash
# Study 1 end to end: a VQ-VAE makes codes of faces, extreme learning machines and an MLP classify them.
# Further overrides go to the VQ-VAE: scripts/a1_elm.sh data.source=fer2013 data.path=fer2013.csv
set -euo pipefail

out="outputs/a1_elm/$(date +%Y-%m-%d_%H-%M-%S)"

adlx train model=vqvae data=faces trainer.max_epochs=6 output_dir="$out/vqvae" "$@"
vqvae=$(echo "$out"/vqvae/*/*)
adlx predict "$vqvae"
words=(data=codes data.path="$vqvae" seed=0,1,2)

adlx train experiment=a1_elm data.path="$vqvae" output_dir="$out/notebook"

adlx train -m model=elm model.weights=gaussian,binary model.readout=none,ridge,lasso,elasticnet \
    output_dir="$out/codes" "${words[@]}"
adlx train -m model=mlp trainer.max_epochs=6 output_dir="$out/codes" "${words[@]}"
adlx compare "$out"/codes/multirun/* --out "$out/codes.png"

# The effect of the input (how a code becomes numbers) and of the field (how much of the map a hidden unit sees).
adlx train -m model=elm model.input=standardize,onehot,embedding model.field=null,auto \
    output_dir="$out/inputs" "${words[@]}"
adlx compare "$out"/inputs/multirun/* --out "$out/inputs.png"
