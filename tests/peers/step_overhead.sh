#!/usr/bin/env bash
# What a step costs outside of the model, here and in diffusers' schedulers: batch 1, 50 steps, the same Gaussian model,
# states of 16 numbers and of 16384, one thread each, in turns. The last line is a JSON object. `ratio` is diffusers' time
# over Picardy's, the least over the solvers, at 16 numbers; `ratio_16384` the same at 16384. The deterministic runs of both sides
# must end in the same sample.
#
# diffusers and PyTorch live in a virtual environment at $PEERS_VENV, or under target/peers-venv; it is made where it is
# missing. $PEERS_ROUNDS says how many turns each side takes (5).
set -euo pipefail
cd "$(dirname "$0")/../.."
venv="${PEERS_VENV:-target/peers-venv}"
rounds="${PEERS_ROUNDS:-5}"

if ! "$venv/bin/python" -c 'import torch, diffusers' 2>/dev/null; then
    echo "installing PyTorch and diffusers into $venv" >&2
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet torch numpy diffusers >&2
fi

cargo build --release --quiet -p picardy-tests --bin step_overhead
bench="${CARGO_TARGET_DIR:-target}/release/step_overhead"
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

runs=()
for ((i = 1; i <= rounds; i++)); do
    for dim in 16 16384; do
        ours="$("$bench" "$dim")"
        theirs="$("$venv/bin/python" tests/peers/step_overhead.py --dim "$dim" 2>/dev/null | tail -n 1)"
        echo "turn $i of $rounds, $dim numbers: picardy $ours, diffusers $theirs" >&2
        runs+=("{\"dim\": $dim, \"ours\": $ours, \"theirs\": $theirs}")
    done
done

"$venv/bin/python" - "${runs[@]}" <<'PYTHON'
import json, statistics, sys

runs = [json.loads(text) for text in sys.argv[1:]]
for run in runs:
    for solver in ("ddim", "dpmsolver++"):
        ours, theirs = run["ours"][solver]["sample"], run["theirs"][solver]["sample"]
        assert max(abs(a - b) for a, b in zip(ours, theirs)) < 1e-4, (solver, ours, theirs)

result = {}
for dim in (16, 16384):
    ratios = []
    for solver in runs[0]["ours"]:
        ours, theirs = (
            statistics.median(run[side][solver]["microseconds"] for run in runs if run["dim"] == dim)
            for side in ("ours", "theirs")
        )
        result[f"{solver}_{dim}_microseconds"] = round(ours, 3)
        result[f"{solver}_{dim}_peer_microseconds"] = round(theirs, 1)
        ratios.append(theirs / ours)
    result["ratio" if dim == 16 else f"ratio_{dim}"] = round(min(ratios), 1)
result["ratio_is"] = "peer / ours"
print(json.dumps(result))
PYTHON
