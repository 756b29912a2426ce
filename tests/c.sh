#!/usr/bin/env bash
# The C border: builds the static library and the examples in C and C++ for the host and for a Cortex-M4F under QEMU, runs them
# over a network of f32, f16 and int8, and compares their samples and densities with core's own to 1e-5. Under valgrind too, where it is
# there.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/toolchain.sh
want gcc gcc g++ g++ make make python3 python3 arm-none-eabi-gcc gcc-arm-none-eabi \
    /usr/lib/arm-none-eabi/newlib/rdimon.specs libnewlib-arm-none-eabi qemu-system-arm qemu-system-arm

target=${CARGO_TARGET_DIR:-$PWD/target}
out=$target/c-example
f32=$PWD/examples/firmware/data/dino.safetensors
library=(-q -p picardy-c --profile c --features handler --crate-type staticlib)
mkdir -p "$out"

cargo rustc "${library[@]}"
CARGO_TARGET_DIR=$target/arm rust_for_cortex_m rustc "${library[@]}"
host_library=$target/c/libpicardy_c.a
arm_library=$target/arm/thumbv7em-none-eabihf/c/libpicardy_c.a

g++ -std=c++17 -O2 -Wall -Wextra -pedantic -Werror -fno-exceptions -fno-rtti -Icore/c/include -o "$out/callables" \
    core/c/tests/callables.cpp "$host_library"
"$out/callables" examples/firmware/data/navigate.safetensors

for weights in f32 f16 int8; do
    model=$f32 of=$out/$weights
    mkdir -p "$of"
    if [[ $weights != f32 ]]; then
        model=$of/model.safetensors
        python3 tests/narrow.py $weights "$f32" "$model"
    fi
    make -s -C examples/c OUT="$of" MODEL="$model" LIB="$host_library" host
    make -s -C examples/c OUT="$of" MODEL="$model" LIB="$arm_library" cortex-m
    cargo run -q -p picardy-c --example reference -- "$model" > "$of/rust.txt"
    "$of/host" > "$of/host.txt"
    "$of/host-cpp" > "$of/host-cpp.txt"
    timeout 120 qemu-system-arm -cpu cortex-m4 -machine mps2-an386 -nographic \
        -semihosting-config enable=on,target=native -kernel "$of/cortex-m.elf" > "$of/cortex-m.txt"
    if command -v valgrind >/dev/null; then
        valgrind -q --error-exitcode=9 "$of/host" > "$of/valgrind.txt"
        cmp "$of/host.txt" "$of/valgrind.txt"
    fi
done

python3 - "$out" <<'PYTHON'
import math, sys
def samples(name):
    rows = {}
    for line in open(f"{sys.argv[1]}/{name}.txt"):
        words = line.split()
        if words[:1] == ["sample"]:
            rows[tuple(words[1:3])] = [float(x) for x in words[3:]]
    return rows
seen = []
for weights in ["f32", "f16", "int8"]:
    rust = samples(f"{weights}/rust")
    assert len(rust) == 31, f"{len(rust)} samples of core's own"
    assert all(math.isfinite(x) for row in rust.values() for x in row), f"{weights}: core's own are not finite"
    assert rust["ddim", "0"] not in seen, f"{weights} is no other network"
    seen.append(rust["ddim", "0"])
    for name, least in [("host", 31), ("host-cpp", 19), ("cortex-m", 31)]:
        rows = samples(f"{weights}/{name}")
        assert len(rows) == least, f"{weights}: {name} printed {len(rows)} samples, not {least}"
        far = {key: (row, rust[key]) for key, row in rows.items()
               if not all(abs(a - b) <= 1e-5 for a, b in zip(row, rust[key], strict=True))}
        assert not far, f"{weights}: {name} is not core within 1e-5: {far}"
        worst = max(abs(a - b) for key in rows for a, b in zip(rows[key], rust[key]))
        print(f"{weights}, {name}: {len(rows)} samples, at most {worst:.1e} from core's own")
PYTHON
grep '^cost' "$out/f32/cortex-m.txt"
arm-none-eabi-size "$out/f32/cortex-m.elf"
