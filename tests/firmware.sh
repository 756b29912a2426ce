#!/usr/bin/env bash
# The firmware example: builds its images for a Cortex-M4F, runs them under QEMU, and checks
#   - that noise, schedules and plans are the host's to the bit, and samples within 1e-5;
#   - that no panic is left in the images of the samplers and solvers;
#   - that the network's kernels take few enough instructions (tests/firmware_count.sh), with the host's bits;
#   - that networks of odd sizes give the host's bits too, in every build of the kernels;
#   - that a diffusion policy plans with the host's bits, a small one and one of 4.2 million weights, within 512 KiB of memory;
#   - that they fit: examples/firmware/sizes-*.toml has what they take, and they may not grow by more than 2%.
# The first also on a RISC-V without an FPU, and that core builds for a Cortex-M0, which has no atomics, and a Cortex-M33.
#
# `tests/firmware.sh --update` writes the file of sizes anew: look at what changed, and commit it with the reason. There is one for
# rustup's compiler and one for Debian's (tests/toolchain.sh chooses); beside another version's sizes they may be 10% larger.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
update=${1:-}

TARGET=thumbv7em-none-eabihf
RISCV=riscv32imac-unknown-none-elf
SOFT=thumbv7em-none-eabi
OTHERS="thumbv6m-none-eabi $SOFT thumbv8m.main-none-eabihf $RISCV"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/firmware"

fail() {
    echo "tests/firmware.sh: $*" >&2
    exit 1
}

. tests/toolchain.sh
want qemu-system-arm qemu-system-arm arm-none-eabi-size binutils-arm-none-eabi \
    qemu-system-riscv32 "qemu-system-riscv|qemu-system-misc"
choose_rust $TARGET
[ "$RUST_FROM" = rustup ] || want riscv64-unknown-elf-ld binutils-riscv64-unknown-elf
compile() { rust_for "$1" "$2" -q "${@:3}"; }

# emulate PATH, emulate_riscv PATH: what the image prints; they fail as it does.
emulate() {
    timeout 120 qemu-system-arm -cpu cortex-m4 -machine mps2-an386 -nographic \
        -semihosting-config enable=on,target=native -kernel "$1" </dev/null
}
emulate_riscv() {
    timeout 120 qemu-system-riscv32 -machine virt -bios none -nographic \
        -semihosting-config enable=on,target=native -kernel "$1" </dev/null
}

echo "-- other targets"
for target in $OTHERS; do
    for features in "" nn; do
        compile "$target" check --manifest-path core/Cargo.toml --no-default-features --features "$features"
    done
    echo "$target: core builds, with and without nn"
done

echo "-- images"
cd examples/firmware
compile $TARGET build --release --features wide
images=$CARGO_TARGET_DIR/$TARGET/release
for image in solvers stored ddim every; do
    emulate "$images/$image" || fail "$image ends with $?: 1 is a run that failed, 2 a panic, 124 one that hangs"
done
output=$CARGO_TARGET_DIR/sample.txt
emulate "$images/sample" >"$output" || fail "sample ends with $?; its output is $output"
grep -E '^(sample|run)' "$output"

echo "-- the same on the host"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo test -q --target "$host" -p picardy-firmware-twin -p picardy-firmware-shared >/dev/null
twin() { cargo run -q --release --target "$host" -p picardy-firmware-twin -- "$@"; }
twin need data/dino.safetensors
agreement=$(twin "$output")
echo "$TARGET: $agreement"
compile $RISCV build --release --bin sample --bin kernels
riscv=$CARGO_TARGET_DIR/$RISCV/release
emulate_riscv "$riscv/sample" >"$output.riscv" || fail "sample ends with $? on $RISCV; its output is $output.riscv"
agreement=$(twin "$output.riscv")
echo "$RISCV: $agreement"

emulate "$images/navigate" >"$output.navigate" || fail "navigate ends with $?; its output is $output.navigate"
grep -E '^(run|stack|memory)' "$output.navigate"
awk '/^(stack|memory) navigate/ { gsub("[+]", ""); sum += $3 } END { exit !(sum > 0 && sum <= 65536) }' "$output.navigate" \
    || fail "navigate takes more than 64 KiB of memory, stack included"
agreement=$(twin navigate "$output.navigate")
echo "$TARGET: navigate: $agreement"

echo "-- kernels"
# Opt-level s and 3, and a Cortex-M4 without its FPU: three builds of the kernels for a Cortex-M.
compile $SOFT build --release --bin kernels
compile $TARGET build --profile fast --bin kernels --bin count
# kernels_agree WHAT EMULATE PATH
kernels_agree() {
    local printed
    printed=$($2 "$3") || fail "$1: kernels ends with $?: 1 is outputs of other bits than the host's, 2 a panic. It printed:
$printed"
    echo "$1: $(sed -n 's/^others //p' <<<"$printed") numbers have other bits than the host's"
}
kernels_agree "$TARGET" emulate "$images/kernels"
kernels_agree "$TARGET, fast" emulate "$CARGO_TARGET_DIR/$TARGET/fast/kernels"
kernels_agree "$SOFT" emulate "$CARGO_TARGET_DIR/$SOFT/release/kernels"
kernels_agree "$RISCV" emulate_riscv "$riscv/kernels"

echo "-- policies"
# The weights of the wide one lie in memory that stands for flash outside of the chip.
for image in policy policy_wide; do
    emulate "$images/$image" >"$output.$image" || fail "$image ends with $?: 1 is plans of other bits than the host's, 2 a panic. It printed:
$(cat "$output.$image")"
    cat "$output.$image"
done
memory=$(awk '{ for (i = 1; i < NF; i++) if ($i == "memory" || $i == "stack") sum += $(i + 1) } END { print sum + 0 }' "$output.policy_wide")
[ "$memory" -gt 0 ] && [ "$memory" -le $((512 * 1024)) ] || fail "the wide policy takes $memory bytes of memory, more than 512 KiB"
echo "the wide policy: $memory bytes of memory of $((512 * 1024)), stack included"

echo "-- panics"
# A panic needs a function of core::panicking, which the linker keeps only where something calls it. That the symbols would be
# seen: `sample` has them, as it formats numbers. That the check fails where it should: `values[at]` with an `at` that the compiler
# cannot follow, in any sampler, brings panic_bounds_check into `stored` and `every`.
panics() { arm-none-eabi-nm -C "$images/$1" | grep -F core::panicking || true; }
[ -n "$(panics sample)" ] || fail "sample has no symbol of core::panicking: they are not seen any more, mend this check"
for image in solvers stored ddim every; do
    [ -z "$(panics $image)" ] || fail "$image can panic: $(panics $image)
Who calls it: arm-none-eabi-objdump -dC $images/$image"
    echo "$image: none"
done

echo "-- instructions"
"$root/tests/firmware_count.sh" "$CARGO_TARGET_DIR/$TARGET/fast/count"

echo "-- sizes"
# section IMAGE NAMES...: the bytes of its sections.
section() {
    local image=$1
    shift
    arm-none-eabi-size -A "$images/$image" | awk -v names="$*" '
        BEGIN { split(names, list, " "); for (i in list) wanted[list[i]] = 1 }
        $1 in wanted { sum += $2 }
        END { print sum + 0 }'
}
# The plans that lie in flash are tables, not code.
tables() {
    arm-none-eabi-nm -C -S "$images/$1" | awk '/picardy_firmware::plans::/ { print $2 }' | while read -r size; do echo $((16#$size)); done \
        | awk '{ sum += $1 } END { print sum + 0 }'
}
committed=sizes-$RUST_FROM.toml
sizes=$CARGO_TARGET_DIR/$committed
value() { sed -n "s/^$1 = //p" "$2"; }
stack=$(emulate "$images/stack" | awk '$1 == "stack" { print $3 }')
[ -n "$stack" ] || fail "stack has not printed how deep the stack goes"
ram=$(section ddim .data .bss .uninit)
{
    cat <<HEAD
# Bytes on a Cortex-M4F, opt-level s with LTO. Written by \`tests/firmware.sh --update\`; a growth by more than 2% fails there.
# flash: code and constants, without the vector table (1024). Weights and semihosting's texts are in none of them.
#   stored   sequential and Picard, over the two plans of ten steps that are the tables
#   solvers  the same, with the schedule, DDIM and DPM-Solver++ 2M in the image
#   ddim     sequential alone, over a stored plan
# ram: static memory. ddim: a state, an output and the sample of d = 64 numbers each, 12 d bytes.
# stack: the deepest, from where the run is called (interrupts are extra).
#   ddim-stored       the run of \`ddim\` over a network of no size, its start drawn too; the same for every d
#   the others        the runs of \`sample\`, the artifact's reader, the solver and the network included
# ram-and-stack-ddim: the sum of ram-ddim and stack-ddim-stored.
compiler = "$(rust_for_version)"
HEAD
    for image in stored solvers ddim; do
        echo "flash-$image = $(($(section $image .text .rodata .data) - $(tables $image)))"
        echo "tables-$image = $(tables $image)"
    done
    echo "ram-ddim = $ram"
    echo "stack-ddim-stored = $stack"
    echo "ram-and-stack-ddim = $((ram + stack))"
    awk '/^stack / { print "stack-" $2 " = " $3 }' "$output" | tr -d +
} >"$sizes"
grep -v '^#' "$sizes"
limit() { [ "$(value "$1" "$sizes")" -le "$2" ] || fail "$1 is $(value "$1" "$sizes") bytes, more than $2"; }
limit flash-stored $((32 * 1024))
# Static memory within 4 d numbers and 256 bytes, for the d of that image.
limit ram-ddim $((4 * 64 * 4 + 256))
# With the stack: 12 d + stack is within them from some d on.
limit stack-ddim-stored 640
echo "a DDIM run's static memory and stack: 12 d + $stack bytes, within 4 d numbers and 256 bytes from d = $(((stack - 256 + 3) / 4)) on"
if [ "$update" = --update ]; then
    cp "$sizes" "$committed"
    echo "$committed is written"
elif [ ! -f "$committed" ]; then
    fail "there is no $committed: tests/firmware.sh --update writes it"
else
    # What another compiler does to sizes is not the change's doing: only a growth beyond that is.
    growth=2
    if [ "$(value compiler "$sizes")" != "$(value compiler "$committed")" ]; then
        growth=10
        echo "$committed is of $(value compiler "$committed"), this is $(value compiler "$sizes"): images may be $growth% larger." \
            "tests/firmware.sh --update takes this compiler's sizes."
    fi
    awk -v growth=$growth -F ' = ' 'FNR == NR { if (/^[a-z]/ && $1 != "compiler") old[$1] = $2; next }
        /^[a-z]/ && $1 != "compiler" {
            if (!($1 in old)) { print $1 " is new: tests/firmware.sh --update"; bad = 1 }
            else if ($2 * 100 > old[$1] * (100 + growth)) { print $1 " grew from " old[$1] " to " $2 " bytes: make it smaller, or tests/firmware.sh --update"; bad = 1 }
            else if ($2 * 100 < old[$1] * 98) print $1 " shrank from " old[$1] " to " $2 " bytes: tests/firmware.sh --update keeps it so"
        }
        END { exit bad }' "$committed" "$sizes" || fail "images have grown by more than $growth%"
fi
