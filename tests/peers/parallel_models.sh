#!/usr/bin/env bash
# Makes the models of the parallel bench in a folder, those that are not there yet: dino.onnx and digits.onnx, trained
# residual MLPs (with their .safetensors), and exact-dino.onnx and exact-digits.onnx, the data sets' exact denoisers. About three
# minutes on one core.
#
#     tests/peers/parallel_models.sh [FOLDER]       FOLDER is target/parallel-models without
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
folder="$(realpath -m "${1:-$root/target/parallel-models}")"
cd "$root"
cargo build --release --quiet -p picardy-trainer --bins
bin="${CARGO_TARGET_DIR:-target}/release"
mkdir -p "$folder"

# train NAME FLAGS...: a run's model under a name of its own. A run that was stopped begins anew.
train() {
    local name="$1" run="$folder/runs/$1"
    shift
    if [ ! -e "$folder/$name.onnx" ]; then
        "$bin/picardy-train" train --out "$run" --overwrite "$@" >&2
        mv "$run/model.safetensors" "$folder/$name.safetensors"
        mv "$run/model.onnx" "$folder/$name.onnx"
    fi
}

train dino --loss contrastive --data dino
train digits --loss standard --data trainer/data/digits.npy --scaling overall --width 256 --blocks 3 --steps 20000
for data in dino digits; do
    [ -e "$folder/exact-$data.onnx" ] || "$bin/exact_onnx" "$data" "$folder/exact-$data.onnx" >&2
done
