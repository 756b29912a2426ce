#!/usr/bin/env bash
# The remote denoiser against two MLServers of one ONNX file on loopback, one of them killed in the middle of a run: the
# samples are those of the model run here. `tests/remote.sh [parallel model.onnx]`; without a file, the exact digits.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
venv=$target/mlserver-venv
work=$(mktemp -d)

if ! "$venv/bin/python" -c 'import mlserver, onnxruntime' 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q mlserver==1.7.1 onnxruntime==1.32.0
fi
cargo build -q --release -p picardy-trainer --bin exact_onnx -p picardy-tests --bin remote_check
model=${1:-$work/model.onnx}
[ -n "${1:-}" ] || "$target/release/exact_onnx" digits "$model"

pids=()
stop() { for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done; rm -rf "$work"; }
trap stop EXIT

# Ports that are free now; each server takes three.
base=$(python3 -c 'import random, socket
while True:
    base = random.randrange(20000, 30000)
    try:
        sockets = [socket.socket() for _ in range(6)]
        for offset, s in enumerate(sockets): s.bind(("127.0.0.1", base + offset))
        print(base); break
    except OSError: pass')
for i in 0 1; do
    folder=$work/server$i
    "$venv/bin/python" tests/remote/settings.py "$model" "$folder" $((base + 3 * i))
    cp tests/remote/onnx_runtime.py "$folder"
    (cd "$folder" && exec "$venv/bin/mlserver" start . >"$work/log$i" 2>&1) &
    pids+=($!)
    disown $!
done
for i in 0 1; do
    for _ in $(seq 120); do
        if python3 - "http://127.0.0.1:$((base + 3 * i))/v2/models/digits/ready" 2>/dev/null <<'PY'
import sys, urllib.request
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=2)
PY
        then continue 2; fi
        kill -0 "${pids[$i]}" 2>/dev/null || break
        sleep 0.5
    done
    echo "server $i did not start:" >&2
    tail -20 "$work/log$i" >&2
    exit 1
done
"$target/release/remote_check" "$model" "${pids[0]}" \
    "http://127.0.0.1:$base/digits" "http://127.0.0.1:$((base + 3))/v2/models/digits"
