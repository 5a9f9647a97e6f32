#!/usr/bin/env bash
# Study 5 end to end: a transformer, as in the study and with convolutions around it, and the U-Net it replaces, each
# trained for the same time, then fine-tuning from five digits to the other five. Further overrides go to each run:
# scripts/a5_diffusion.sh data=images data.path=flowers
# SECONDS_EACH=600 sets the seconds of each run, and SEEDS=0,1,2 the seeds.
set -euo pipefail

out="outputs/a5_diffusion/$(date +%Y-%m-%d_%H-%M-%S)"
words=(data=digits "$@")

# The number of steps that fit into the time, from the speed of a run of two epochs.
steps_of() {
    local probe="$out/probe/$1" && shift
    adlx train "${words[@]}" "$@" trainer.max_epochs=2 output_dir="$probe" >&2
    python -c "import sys, json; print(round(float(sys.argv[1]) * json.load(open(sys.argv[2]))['fit/steps_per_second']))" \
        "${SECONDS_EACH:-600}" "$probe"/*/*/metrics.json
}

for name in dit dit_convolutions unet; do
    case "$name" in
    dit) net=(model=dit model.convolutions=0) ;;
    dit_convolutions) net=(model=dit) ;;
    unet) net=(model=unet) ;;
    esac
    steps=$(steps_of "$name" "${net[@]}")
    adlx train -m "${words[@]}" "${net[@]}" trainer.max_steps="$steps" trainer.max_epochs=-1 \
        seed="${SEEDS:-0}" output_dir="$out/nets"
done
adlx compare "$out"/nets/multirun/* --out "$out/nets.png"

# From five digits to the other five.
half=(model=dit data=digits trainer.max_epochs=20)
adlx train "${half[@]}" data.digits=[0,1,2,3,4] output_dir="$out/base"
base=$(echo "$out"/base/*/*)
other=("${half[@]}" data.digits=[5,6,7,8,9] output_dir="$out/transfer")
adlx train -m "${other[@]}" seed=0
adlx train -m "${other[@]}" finetune=full finetune.run="$base" seed=0
adlx train -m "${other[@]}" finetune=lora finetune.run="$base" finetune.rank=2,8 seed=0
adlx compare "$out"/transfer/multirun/* --out "$out/transfer.png"
