#!/usr/bin/env bash
# How dino.safetensors and navigate.safetensors were made: the same commands give the same bytes.
set -euo pipefail
cd "$(dirname "$0")/../../.."
run=$(mktemp -d)
trap 'rm -r "$run"' EXIT
cargo run --release --quiet -p picardy-trainer --bin picardy-train -- \
    train --data dino --loss standard --width 32 --blocks 3 --steps 20000 --seed 0 --out "$run"
cp "$run/model.safetensors" examples/firmware/data/dino.safetensors

# The robot's network, small enough for a microcontroller; it is in half precision.
cargo run --release --quiet --bin navigate -- \
    --losses physics --widths 16,32 --episodes 1 --half --out "$run/navigate"
cp "$run/navigate/physics.safetensors" examples/firmware/data/navigate.safetensors
