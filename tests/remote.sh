#!/usr/bin/env bash
# The remote denoiser against two model servers of one ONNX file (the exact digits) on loopback, one of them killed in the
# middle of a run: the samples are those of the model run here.
#
#     tests/remote.sh           MLServer, which takes JSON
#     tests/remote.sh kserve    KServe's own server, with binary tensors
#
# The servers live in virtual environments under target/ (400 and 530 MB), made where they are missing. For that size .ci/run
# leaves this script out: run it by hand after a change of runtime-ort/src/remote. What it needs no real server for is in
# runtime-ort/tests/remote.rs and remote_fleet.rs, which .ci/run has.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
case ${1:-mlserver} in
    mlserver) server=mlserver version=1.7.1 transfer=json ;;
    kserve) server=kserve version=0.21.0 transfer=binary ;;
    *) echo "no server \`$1\`: give mlserver or kserve" >&2 && exit 2 ;;
esac
venv=$target/$server-venv
work=$(mktemp -d)

if ! "$venv/bin/python" -c "import $server, onnxruntime" 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q "$server==$version" onnxruntime==1.32.0
fi
cargo build -q --release -p picardy-trainer --bin exact_onnx -p picardy-tests --bin remote_check
model=$work/model.onnx
"$target/release/exact_onnx" digits "$model" >/dev/null

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
    port=$((base + 3 * i))
    if [ "$server" = mlserver ]; then
        folder=$work/server$i
        "$venv/bin/python" tests/remote/settings.py "$model" "$folder" "$port"
        cp tests/remote/onnx_runtime.py "$folder"
        (cd "$folder" && exec "$venv/bin/mlserver" start . >"$work/log$i" 2>&1) &
    else
        "$venv/bin/python" tests/remote/kserve_server.py "$model" "$port" >"$work/log$i" 2>&1 &
    fi
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
"$target/release/remote_check" "$model" "${pids[0]}" "$transfer" \
    "http://127.0.0.1:$base/digits" "http://127.0.0.1:$((base + 3))/v2/models/digits"
