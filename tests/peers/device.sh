#!/usr/bin/env bash
# DDPM 1000 of the digits model, batch 1, with the states on a device: Picardy in parallel beside its own sequential run, and beside
# ParaDiGMS (diffusers' parallel scheduler, Python onnxruntime) on the same provider. Each side takes the loosest tolerance of its list that keeps a
# mean distance of 1e-3 from the sequential sample, the mean over the seeds. The last line is a JSON object: `own_ratio` is sequential seconds over
# parallel ones (15 is asked for), `peer_ratio` the peer's parallel seconds over ours (3).
#
#     tests/peers/device.sh             on CUDA; skipped where there is no NVIDIA GPU
#     tests/peers/device.sh cpu         on the processor's provider, to see that it works
#
# The peer's virtual environment ($PEERS_VENV, or target/peers-venv) must hold onnxruntime-gpu for CUDA: it is made so where it is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
provider="${1:-cuda}"
venv="${PEERS_VENV:-target/peers-venv}"
if [ "$provider" = cuda ] && ! nvidia-smi >/dev/null 2>&1; then
    echo "skipped: no NVIDIA GPU"
    exit 0
fi
case $provider in
    cuda) package=onnxruntime-gpu peer=CUDAExecutionProvider ;;
    cpu) package=onnxruntime peer=CPUExecutionProvider ;;
    *) echo "no peer for the provider \`$provider\`: give cuda or cpu" >&2 && exit 2 ;;
esac
if ! "$venv/bin/python" -c "import torch, diffusers, onnxruntime as o; assert '$peer' in o.get_available_providers()" 2>/dev/null; then
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet torch numpy diffusers "$package" >&2
fi
tests/peers/parallel_models.sh >&2
cargo build --release --quiet -p picardy-tests --bin parallel_bench
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
exec "$venv/bin/python" - "$provider" "$peer" "${CARGO_TARGET_DIR:-target}/release/parallel_bench" "${PEERS_SEEDS:-3}" <<'PY'
import json, pathlib, statistics, subprocess, sys, tempfile

provider, peer, bench, seeds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
MODEL = "target/parallel-models/digits.onnx"
ERROR = 1e-3


def output(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()}")
    return json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])


def loosest(run, tolerances):
    for tolerance in tolerances:
        runs = [run(tolerance, seed) for seed in range(seeds)]
        if statistics.mean(one["mean_abs_diff"] for one in runs) <= ERROR:
            mean = {key: statistics.mean(one[key] for one in runs) for key in ("rounds", "evaluations", "sequential_s", "parallel_s")}
            return {"tolerance": tolerance, **mean}
    sys.exit(f"no tolerance keeps a mean distance of {ERROR}")


with tempfile.TemporaryDirectory() as folder:
    common = ["--solver", "ddpm", "--steps", 1000]

    def theirs(tolerance, seed):
        tape = pathlib.Path(folder) / f"{seed}.npz"
        return output(
            [sys.executable, "tests/peers/parallel.py", MODEL, *common, "--batch", 1, "--provider", peer, "--repeat", 3]
            + ["--tolerance", tolerance, "--seeds", seed, "--save", tape]
        )

    def ours(tolerance, seed):
        tape = pathlib.Path(folder) / f"{seed}.npz"
        return output(
            [bench, MODEL, *common, "--provider", provider, "--resident", "--method", "picard", "--stride", 1, "--repeat", 5]
            + ["--tolerance", tolerance, "--noise", tape]
        )

    peer_side = loosest(theirs, [0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.003])
    own_side = loosest(ours, [1.0, 0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.003])
print(json.dumps({
    "provider": provider,
    "own_ratio": round(own_side["sequential_s"] / own_side["parallel_s"], 2),
    "peer_ratio": round(peer_side["parallel_s"] / own_side["parallel_s"], 2),
    "picardy": own_side,
    "paradigms": peer_side,
}))
PY
