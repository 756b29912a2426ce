#!/usr/bin/env bash
# Picardy's parallel sampler (what Auto chooses for a wide device) beside ParaDiGMS (diffusers' parallel schedulers, Python onnxruntime): the same ONNX models, noise and
# machine, one thread each. On every row both sides take the loosest tolerance of their list whose results are on average at
# most 1e-3 (standard deviations of the data) from the sequential ones, so that equal errors are compared. Prints a table of
# ratios, Picardy's over ParaDiGMS's, the mean over the seeds, and last a JSON object.
#
# The models are made by parallel_models.sh. The peer lives in a virtual environment at $PEERS_VENV, or under
# target/peers-venv; it is made where it is missing. $PEERS_SEEDS says how many seeds (3). About ten minutes on one core; a row's name
# (`tests/peers/parallel.sh "dino ddpm 100"`) runs that alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv="${PEERS_VENV:-target/peers-venv}"

if ! "$venv/bin/python" -c 'import torch, diffusers, onnxruntime' 2>/dev/null; then
    echo "installing PyTorch, diffusers and onnxruntime into $venv" >&2
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet torch numpy diffusers onnxruntime >&2
fi

tests/peers/parallel_models.sh >&2
cargo build --release --quiet -p picardy-tests --bin parallel_bench
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
exec "$venv/bin/python" tests/peers/parallel_ratios.py \
    --bench "${CARGO_TARGET_DIR:-target}/release/parallel_bench" --seeds "${PEERS_SEEDS:-3}" "$@"
