#!/usr/bin/env bash
# The C border: builds the static library and the examples in C and C++ for the host and for a Cortex-M4F under QEMU, runs them,
# and compares their samples with core's own to 1e-5. Under valgrind too, where it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/toolchain.sh
want gcc gcc g++ g++ make make python3 python3 arm-none-eabi-gcc gcc-arm-none-eabi \
    /usr/lib/arm-none-eabi/newlib/rdimon.specs libnewlib-arm-none-eabi qemu-system-arm qemu-system-arm

target=${CARGO_TARGET_DIR:-$PWD/target}
out=$target/c-example
model=$PWD/examples/firmware/data/dino.safetensors
library=(-q -p picardy-c --profile c --features handler --crate-type staticlib)
mkdir -p "$out"

cargo rustc "${library[@]}"
CARGO_TARGET_DIR=$target/arm rust_for_cortex_m rustc "${library[@]}"
make -s -C examples/c OUT="$out" MODEL="$model" LIB="$target/c/libpicardy_c.a" host
make -s -C examples/c OUT="$out" MODEL="$model" LIB="$target/arm/thumbv7em-none-eabihf/c/libpicardy_c.a" cortex-m

cargo run -q -p picardy-c --example reference -- "$model" > "$out/rust.txt"
"$out/host" > "$out/host.txt"
"$out/host-cpp" > "$out/host-cpp.txt"
timeout 120 qemu-system-arm -cpu cortex-m4 -machine mps2-an386 -nographic \
    -semihosting-config enable=on,target=native -kernel "$out/cortex-m.elf" > "$out/cortex-m.txt"
if command -v valgrind >/dev/null; then
    valgrind -q --error-exitcode=9 "$out/host" > "$out/valgrind.txt"
    cmp "$out/host.txt" "$out/valgrind.txt"
fi

python3 - "$out" <<'PYTHON'
import sys
def samples(name):
    rows = {}
    for line in open(f"{sys.argv[1]}/{name}.txt"):
        words = line.split()
        if words[:1] == ["sample"]:
            rows[tuple(words[1:3])] = [float(x) for x in words[3:]]
    return rows
rust = samples("rust")
assert len(rust) == 18, f"{len(rust)} samples of core's own"
for name, least in [("host", 18), ("host-cpp", 14), ("cortex-m", 18)]:
    rows = samples(name)
    assert len(rows) == least, f"{name} printed {len(rows)} samples, not {least}"
    worst = max(abs(a - b) for key in rows for a, b in zip(rows[key], rust[key], strict=True))
    assert worst <= 1e-5, f"{name} is {worst:.1e} from core"
    print(f"{name}: {len(rows)} samples, at most {worst:.1e} from core's own")
PYTHON
grep '^cost' "$out/cortex-m.txt"
arm-none-eabi-size "$out/cortex-m.elf"
