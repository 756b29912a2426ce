#!/usr/bin/env bash
# The tests that need an NVIDIA GPU; without one they are skipped, which this says, and the exit status is 0.
#
#   tests/cuda.sh              all of them, and the benches (tests/peers/device.sh)
#   tests/cuda.sh NAME         those whose name contains NAME
#   tests/cuda.sh --errors     the error paths of CUDA, which need no GPU but a C compiler and 5 GB of disk
#
# Fetches ONNX Runtime with CUDA and the CUDA libraries (1.6 GB, 2.4 GB unpacked) where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
# Everything is built as `cargo test --workspace` builds it (--workspace below): of one package alone, the features and with them
# the dependencies are others, and all is built a second time.

if [[ ${1:-} == --errors ]]; then
    shift
    cargo build -q --workspace --bin picardy-ort
    "${CARGO_TARGET_DIR:-target}/debug/picardy-ort" install --gpu cuda
    exec cargo test --workspace --test cuda_errors -- --ignored "$@"
fi
if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
    echo "skipped: no NVIDIA GPU on this machine (nvidia-smi -L lists none)"
    exit 0
fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
cargo build -q --workspace --bin picardy-ort
"${CARGO_TARGET_DIR:-target}/debug/picardy-ort" install --gpu cuda
export PICARDY_TEST_PROVIDER=cuda

# Tests of any GPU's provider. More test programs of the device path go here.
tests=(gpu gpu_graphs)
cargo test --workspace "${tests[@]/#/--test=}" -- --ignored "$@"
# Those that run on the processor's provider elsewhere.
tests=(resident resident_forms resident_plans resident_misuse)
cargo test --workspace "${tests[@]/#/--test=}" -- "$@"
# The same with captured runs, and what a round takes as usual and captured.
PICARDY_TEST_GRAPHS=1 cargo test --workspace "${tests[@]/#/--test=}" -- "$@"
cargo test --workspace --test gpu_graphs -- --ignored --nocapture what_a_round_takes
cargo test --workspace --test=onnx_training --test=device -- "$@"
# The benches, where all was asked for.
if [[ $# == 0 ]]; then
    tests/peers/device.sh cuda
    tests/peers/train_gpu.sh cuda
fi
