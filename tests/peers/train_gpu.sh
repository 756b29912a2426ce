#!/usr/bin/env bash
# One training step by ONNX Runtime on a provider (forward, backward and Adam in one graph, weights on the device), beside the
# native path on one thread of the processor. One line of JSON for each network: microseconds of a step, steps per second, their
# ratio, and how far the losses are apart at the end.
#
#     tests/peers/train_gpu.sh [PROVIDER] [BATCH]
#
# PROVIDER is cpu (the default), cuda, cuda:1 or webgpu. $PEERS_STEPS says how many steps are timed (50).
set -euo pipefail
cd "$(dirname "$0")/../.."
provider="${1:-cpu}"
batch="${2:-128}"

cargo build --release --quiet -p picardy-trainer --bin train_gpu_bench
bench="${CARGO_TARGET_DIR:-target}/release/train_gpu_bench"
for model in mlp unet1d unet2d; do
    "$bench" --provider "$provider" --model "$model" --batch "$batch" --steps "${PEERS_STEPS:-50}"
done
