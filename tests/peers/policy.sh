#!/usr/bin/env bash
# How long a robot waits for a plan: DDIM of 10 steps of a diffusion policy's temporal U-Net (horizon 16, channels 64, 128 and 256,
# kernel 5, an observation of 20 numbers, 4.16 million weights), batch 1, on one core: here with the weights in place, here by ONNX
# Runtime, and with PyTorch and diffusers. All take turns on core 0; the plans must agree to 1e-4. The last line is a JSON object:
#
#   ratio        our time over PyTorch's, median of the turns' ratios, of time on the core (others on the machine do not count)
#   wall_ratio   the same of time on the clock
#   ort_ratio, ort_wall_ratio   the same of ONNX Runtime's here
#
# PyTorch and diffusers live in a virtual environment at $PEERS_VENV, or under target/peers-venv; it is made where it is missing.
# $PEERS_ROUNDS says how many turns each side takes (7), $PEERS_CORE on which core.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv="${PEERS_VENV:-target/peers-venv}"
rounds="${PEERS_ROUNDS:-7}"
core="${PEERS_CORE:-0}"

if ! "$venv/bin/python" -c 'import torch, diffusers, safetensors' 2>/dev/null; then
    echo "installing PyTorch and diffusers into $venv" >&2
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet torch numpy diffusers safetensors >&2
fi

cargo build --release --quiet -p picardy-trainer --bin picardy-train
cargo build --release --quiet -p picardy-tests --bin policy_bench
built="${CARGO_TARGET_DIR:-target}/release"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"$venv/bin/python" tests/peers/policy.py "$folder/policy" --batch 1 --widths 64,128,256 --horizon 16 --condition 20 >&2
"$built/picardy-train" import "$folder/policy" --out "$folder/taken" >&2
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

on_core() { taskset -c "$core" "$@"; }
runs=()
for ((i = 1; i <= rounds; i++)); do
    ours="$(on_core "$built/policy_bench" "$folder/policy" "$folder/taken")"
    ort="$(on_core "$built/policy_bench" "$folder/policy" "$folder/taken" --engine ort)"
    theirs="$(on_core "$venv/bin/python" tests/peers/policy_time.py "$folder/policy" 2>/dev/null | tail -n 1)"
    echo "turn $i of $rounds: here $ours, ONNX Runtime $ort, PyTorch $theirs" | sed 's/"plan": \?\[[^]]*\],\? \?//g' >&2
    runs+=("{\"ours\": $ours, \"ort\": $ort, \"theirs\": $theirs}")
done

"$venv/bin/python" - "${runs[@]}" <<'PYTHON'
import json, statistics, sys

runs = [json.loads(text) for text in sys.argv[1:]]
worst = 0.0
for run in runs:
    plan = run["theirs"]["plan"]
    for side in ("ours", "ort"):
        other = run[side]["plan"]
        assert len(other) == len(plan), (side, len(other), len(plan))
        worst = max(worst, max(abs(a - b) for a, b in zip(other, plan)))
assert worst < 1e-4, f"the plans are {worst} apart"


def ratio(side, key):
    return round(statistics.median(run[side][key] / run["theirs"][key] for run in runs), 3)


def median(side, key):
    return round(statistics.median(run[side][key] for run in runs), 2)


print(json.dumps({
    "ratio": ratio("ours", "core"), "wall_ratio": ratio("ours", "wall"),
    "ort_ratio": ratio("ort", "core"), "ort_wall_ratio": ratio("ort", "wall"),
    "core_ms": median("ours", "core"), "ort_core_ms": median("ort", "core"), "peer_core_ms": median("theirs", "core"),
    "wall_ms": median("ours", "wall"), "ort_wall_ms": median("ort", "wall"), "peer_wall_ms": median("theirs", "wall"),
    "parameters": runs[0]["theirs"]["parameters"], "apart": worst, "turns": len(runs), "ratio_is": "ours / peer",
}))
PYTHON
