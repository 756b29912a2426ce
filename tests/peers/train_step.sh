#!/usr/bin/env bash
# One training step of the residual MLP (width 128, 2 blocks, dimension 2, batch 128, Adam), here and in PyTorch, one
# thread each, in turns. The last line is a JSON object: the median microseconds of both sides and their ratio.
#
# PyTorch lives in a virtual environment at $PEERS_VENV, or under target/peers-venv; it is made where it is missing.
# $PEERS_ROUNDS says how many turns each side takes (5).
set -euo pipefail
cd "$(dirname "$0")/../.."
venv="${PEERS_VENV:-target/peers-venv}"
rounds="${PEERS_ROUNDS:-5}"

if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    echo "installing PyTorch into $venv" >&2
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet torch numpy >&2
fi

cargo build --release --quiet -p picardy-trainer --bin train_step_bench
bench="${CARGO_TARGET_DIR:-target}/release/train_step_bench"
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

ours=() theirs=()
for ((i = 1; i <= rounds; i++)); do
    ours+=("$("$bench")")
    theirs+=("$("$venv/bin/python" tests/peers/train_step.py)")
    echo "turn $i of $rounds: picardy ${ours[-1]}, PyTorch ${theirs[-1]}" >&2
done

"$venv/bin/python" - "${ours[@]}" "${theirs[@]}" <<'PYTHON'
import json, statistics, sys

runs = [json.loads(text)["microseconds"] for text in sys.argv[1:]]
half = len(runs) // 2
ours, theirs = statistics.median(runs[:half]), statistics.median(runs[half:])
print(json.dumps({"microseconds": round(ours, 1), "peer_microseconds": round(theirs, 1), "ratio": round(ours / theirs, 3)}))
PYTHON
