#!/usr/bin/env bash
# How dino.safetensors was made: the same command gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/../../.."
run=$(mktemp -d)
trap 'rm -r "$run"' EXIT
cargo run --release --quiet -p picardy-trainer --bin picardy-train -- \
    train --data dino --loss standard --width 32 --blocks 3 --steps 20000 --seed 0 --out "$run"
cp "$run/model.safetensors" examples/firmware/data/dino.safetensors
