#!/usr/bin/env bash
# One training step (forward, backward, Adam) of three networks, here and in PyTorch, on one and on two threads, in turns:
#
#   mlp     residual MLP, width 128, 2 blocks, dimension 2, batch 128
#   unet1d  temporal U-Net of 64, 128 and 256 channels, 16 places of 2, a condition of 20 numbers, batch 64
#   unet2d  U-Net of 32 and 64 channels with attention, images of 8 x 8 x 1, ten labels, batch 128
#
# The last line is a JSON object: of each network the larger of the two ratios of median times (one thread, two threads), and
# all figures.
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

lines=()
for model in mlp unet1d unet2d; do
    steps=100 warmup=20
    [ "$model" = mlp ] && steps=1000 warmup=200
    for threads in 1 2; do
        export OMP_NUM_THREADS=$threads MKL_NUM_THREADS=$threads
        for ((i = 1; i <= rounds; i++)); do
            ours=$("$bench" --model $model --threads $threads --steps $steps --warmup $warmup)
            theirs=$("$venv/bin/python" tests/peers/train_step.py --model $model --threads $threads --steps $steps --warmup $warmup)
            echo "$model, $threads threads, turn $i of $rounds: picardy $ours, PyTorch $theirs" >&2
            lines+=("{\"model\": \"$model\", \"threads\": $threads, \"ours\": $ours, \"theirs\": $theirs}")
        done
    done
done

"$venv/bin/python" - "${lines[@]}" <<'PYTHON'
import json, statistics, sys

turns = [json.loads(text) for text in sys.argv[1:]]
found, figures = {}, {}
for model in ("mlp", "unet1d", "unet2d"):
    for threads in (1, 2):
        mine = [turn for turn in turns if turn["model"] == model and turn["threads"] == threads]
        ours, theirs = (statistics.median(t[side]["microseconds"] for t in mine) for side in ("ours", "theirs"))
        figures[f"{model}_{threads}"] = {"us": round(ours, 1), "peer_us": round(theirs, 1), "ratio": round(ours / theirs, 3)}
        found[model] = max(found.get(model, 0.0), round(ours / theirs, 3))
print(json.dumps({**found, "figures": figures}))
PYTHON
