#!/usr/bin/env bash
# Study 4 end to end: a transformer trained on cryptocurrencies, transferred to exchange rates and oil.
# Further overrides go to the pretraining: scripts/a4_transfer.sh data.source=csv data.path=prices.csv
set -euo pipefail

out="outputs/a4_transfer/$(date +%Y-%m-%d_%H-%M-%S)"

adlx train model=transformer data=crypto trainer.limit_train_batches=0.25 trainer.max_epochs=20 \
    output_dir="$out/base" "$@"
base=$(echo "$out"/base/*/*)

adlx train experiment=a4_lora finetune.run="$base" output_dir="$out/notebook"

# Each strategy for the two epochs of the study, until it converges, and with few training windows.
strategies() {
    adlx train -m model=transformer data=fx seed=0,1,2 "$@"
    adlx train -m model=transformer data=fx finetune=full finetune.run="$base" seed=0,1,2 "$@"
    adlx train -m model=transformer data=fx finetune=lora finetune.run="$base" finetune.rank="$ranks" seed=0,1,2 "$@"
}
ranks=2,8,16
strategies trainer.max_epochs=2 output_dir="$out/two_epochs"
strategies output_dir="$out/converged"
ranks=8
strategies data.train_windows=32,256,2048 output_dir="$out/windows"

# Prices have no pattern to transfer; seasonal series have one.
python "$(dirname "$0")/seasonal_tables.py" "$out/tables"
seasonal=(model=transformer data=csv data.context=48 model.hidden=32 model.blocks=2)
adlx train "${seasonal[@]}" data.path="$out/tables/base.csv" output_dir="$out/seasonal_base"
base=$(echo "$out"/seasonal_base/*/*)
few=(data.path="$out/tables/related.csv" data.train_windows=16,64,256,1000 seed=0,1,2 output_dir="$out/seasonal")
adlx train -m "${seasonal[@]}" "${few[@]}"
adlx train -m "${seasonal[@]}" "${few[@]}" finetune=full finetune.run="$base"
adlx train -m "${seasonal[@]}" "${few[@]}" finetune=lora finetune.run="$base"

adlx compare "$out"/two_epochs/multirun/* --metric test/mase --against model/trainable_parameters --out "$out/two_epochs.png"
adlx compare "$out"/converged/multirun/* --metric test/mase --against model/trainable_parameters --out "$out/converged.png"
adlx compare "$out"/windows/multirun/* --against data.train_windows --out "$out/windows.png"
adlx compare "$out"/seasonal/multirun/* --against data.train_windows --out "$out/seasonal.png"
