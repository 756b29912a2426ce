#!/usr/bin/env bash
# What a call of a small ONNX model costs (the dino model: a residual MLP, width 128, two blocks), and a whole sequential run of
# DDIM 50, batch 1, CPU, one thread: here, and with Python onnxruntime and diffusers. Both sides take turns; the last line is a
# JSON object. `call_ratio` and `run_ratio` are Picardy's time over the peer's, medians over the turns; `call_bound_ratio` is
# beside the peer's IO binding. Both must end in the same sample.
#
#     tests/peers/onnx_sampling.sh [MODEL.onnx]
#
# Without MODEL, target/parallel-models/dino.onnx, which parallel_models.sh makes (about three minutes, once). diffusers,
# PyTorch and onnxruntime live in a virtual environment at $PEERS_VENV, or under target/peers-venv; it is made where it is
# missing. $PEERS_ROUNDS says how many turns each side takes (7).
set -euo pipefail
model="${1:+$(realpath "$1")}"
cd "$(dirname "$0")/../.."
venv="${PEERS_VENV:-target/peers-venv}"
rounds="${PEERS_ROUNDS:-7}"

if ! "$venv/bin/python" -c 'import torch, diffusers, onnxruntime' 2>/dev/null; then
    echo "installing PyTorch, diffusers and onnxruntime into $venv" >&2
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet torch numpy diffusers onnxruntime >&2
fi
if [ -z "$model" ]; then
    model="target/parallel-models/dino.onnx"
    [ -e "$model" ] || tests/peers/parallel_models.sh >&2
fi

cargo build --release --quiet -p picardy-tests --bin onnx_sampling
bench="${CARGO_TARGET_DIR:-target}/release/onnx_sampling"
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

runs=()
for ((i = 1; i <= rounds; i++)); do
    ours="$("$bench" "$model")"
    theirs="$("$venv/bin/python" tests/peers/onnx_sampling.py "$model" 2>/dev/null | tail -n 1)"
    echo "turn $i of $rounds: picardy $ours, peer $theirs" >&2
    runs+=("{\"ours\": $ours, \"theirs\": $theirs}")
done

"$venv/bin/python" - "${runs[@]}" <<'PYTHON'
import json, statistics, sys

runs = [json.loads(text) for text in sys.argv[1:]]
for run in runs:
    ours, theirs = run["ours"]["sample"], run["theirs"]["sample"]
    assert max(abs(a - b) for a, b in zip(ours, theirs)) < 1e-3, (ours, theirs)


def median(side, key):
    return statistics.median(run[side][key] for run in runs)


def ratio(key, peer_key):
    return statistics.median(run["ours"][key] / run["theirs"][peer_key] for run in runs)


result = {
    "call_ratio": round(ratio("call", "call"), 3),
    "call_bound_ratio": round(ratio("call", "call_bound"), 3),
    "run_ratio": round(ratio("run", "run"), 3),
    "call_microseconds": round(median("ours", "call"), 2),
    "peer_call_microseconds": round(median("theirs", "call"), 2),
    "run_microseconds": round(median("ours", "run"), 1),
    "peer_run_microseconds": round(median("theirs", "run"), 1),
    "ratio_is": "ours / peer",
}
print(json.dumps(result))
PYTHON
