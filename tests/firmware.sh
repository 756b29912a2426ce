#!/usr/bin/env bash
# The firmware example: builds its images for a Cortex-M4F, runs them under QEMU, and checks
#   - that noise, schedules and plans are the host's to the bit, and samples within 1e-5;
#   - that no panic is left in the images of the samplers and solvers;
#   - that the network's kernels take few enough instructions (tests/firmware_count.sh), with the host's bits;
#   - that they fit: examples/firmware/sizes.toml has what they take, and they may not grow by more than 2%.
# The first also on a RISC-V without an FPU, and that core builds for a Cortex-M0, which has no atomics.
#
# `tests/firmware.sh --update` writes sizes.toml anew: look at what changed, and commit it with the reason.
#
# The toolchain is rustup's where it has the target, else Debian's (rustc-web, cargo-web, rust-web-src), which builds `core` too.
# What is missing is installed where root may.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
update=${1:-}

TARGET=thumbv7em-none-eabihf
RISCV=riscv32imac-unknown-none-elf
OTHERS="thumbv6m-none-eabi $RISCV"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/firmware"

has() { command -v "$1" >/dev/null; }
rustup_has() { rustup target list --installed 2>/dev/null | grep -qx "$1"; }
fail() {
    echo "tests/firmware.sh: $*" >&2
    exit 1
}

need=()
has qemu-system-arm || need+=(qemu-system-arm)
has qemu-system-riscv32 || need+=(qemu-system-misc)
has arm-none-eabi-size || need+=(binutils-arm-none-eabi)
has riscv64-unknown-elf-ld || need+=(binutils-riscv64-unknown-elf)
if has rustup && rustup_has $TARGET; then
    kind=rustup
else
    kind=debian
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -d /usr/lib/rustlib/src/rust/library ] \
        || need+=(rustc-web cargo-web rust-web-src)
fi
if [ ${#need[@]} -gt 0 ]; then
    has apt-get && [ "$(id -u)" = 0 ] || fail "${need[*]} missing. Install them (as root: apt-get install ${need[*]});" \
        "in place of Debian's compiler, \`rustup target add $TARGET\` does."
    apt-get update -q
    # Newer Debians have a package for it alone.
    if apt-cache show qemu-system-riscv >/dev/null 2>&1; then need=("${need[@]/qemu-system-misc/qemu-system-riscv}"); fi
    apt-get install -q -y --no-install-recommends "${need[@]}"
fi

# compile TARGET COMMAND ARGUMENTS...: cargo for a target that may have no `core` yet.
compile() {
    local target=$1 command=$2
    shift 2
    if [ $kind = rustup ]; then
        cargo "$command" -q --target "$target" "$@"
    else
        # Debian's compiler comes without linkers for the targets and without their `core`.
        CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER=arm-none-eabi-ld \
            CARGO_TARGET_RISCV32IMAC_UNKNOWN_NONE_ELF_LINKER=riscv64-unknown-elf-ld \
            RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
            /usr/bin/cargo "$command" -q -Zbuild-std=core --target "$target" "$@"
    fi
}

# emulate IMAGE, emulate_riscv IMAGE: what it prints; they fail as it does.
emulate() {
    timeout 120 qemu-system-arm -cpu cortex-m4 -machine mps2-an386 -nographic \
        -semihosting-config enable=on,target=native -kernel "$images/$1" </dev/null
}
emulate_riscv() {
    timeout 120 qemu-system-riscv32 -machine virt -bios none -nographic \
        -semihosting-config enable=on,target=native -kernel "$CARGO_TARGET_DIR/$RISCV/release/$1" </dev/null
}

echo "-- other targets"
for target in $OTHERS; do
    if [ $kind = rustup ] && ! rustup_has "$target"; then
        echo "$target: skipped, as rustup does not have it (rustup target add $target)"
        continue
    fi
    for features in "" nn; do
        compile "$target" check --manifest-path core/Cargo.toml --no-default-features --features "$features"
    done
    echo "$target: core builds, with and without nn"
done

echo "-- images"
cd examples/firmware
compile $TARGET build --release
images=$CARGO_TARGET_DIR/$TARGET/release
for image in solvers stored ddim every; do
    emulate $image || fail "$image ends with $?: 1 is a run that failed, 2 a panic, 124 one that hangs"
done
output=$CARGO_TARGET_DIR/sample.txt
emulate sample >"$output" || fail "sample ends with $?; its output is $output"
grep -E '^(sample|run)' "$output"

echo "-- the same on the host"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo test -q --target "$host" -p picardy-firmware-twin -p picardy-firmware-shared >/dev/null
twin() { cargo run -q --release --target "$host" -p picardy-firmware-twin -- "$1"; }
agreement=$(twin "$output")
echo "$TARGET: $agreement"
if [ $kind = debian ] || rustup_has $RISCV; then
    compile $RISCV build --release --bin sample
    emulate_riscv sample >"$output.riscv" || fail "sample ends with $? on $RISCV; its output is $output.riscv"
    agreement=$(twin "$output.riscv")
    echo "$RISCV: $agreement"
fi

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
compile $TARGET build --profile fast --bin count
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
sizes=$CARGO_TARGET_DIR/sizes.toml
{
    cat <<HEAD
# Bytes on a Cortex-M4F, opt-level s with LTO. Written by \`tests/firmware.sh --update\`; a growth by more than 2% fails there.
# flash: code and constants, without the vector table (1024). Weights and semihosting's texts are in none of them.
#   stored   sequential and Picard, over the two plans of ten steps that are the tables
#   solvers  the same, with the schedule, DDIM and DPM-Solver++ 2M in the image
#   ddim     sequential alone, over a stored plan
# ram: static memory. ddim: a state, an output and the sample of 64 numbers each.
# stack: the deepest of a run of \`sample\`, network included, from where the run is called.
compiler = "$(if [ $kind = rustup ]; then rustc --version; else /usr/bin/rustc --version; fi)"
HEAD
    for image in stored solvers ddim; do
        echo "flash-$image = $(($(section $image .text .rodata .data) - $(tables $image)))"
        echo "tables-$image = $(tables $image)"
    done
    echo "ram-ddim = $(section ddim .data .bss .uninit)"
    awk '/^stack / { print "stack-" $2 " = " $3 }' "$output" | tr -d +
} >"$sizes"
grep -v '^#' "$sizes"
value() { sed -n "s/^$1 = //p" "$2"; }
limit() { [ "$(value "$1" "$sizes")" -le "$2" ] || fail "$1 is $(value "$1" "$sizes") bytes, more than $2"; }
limit flash-stored $((32 * 1024))
# 4 d numbers and 256 bytes, for the d of that image.
limit ram-ddim $((4 * 64 * 4 + 256))
if [ "$update" = --update ]; then
    cp "$sizes" sizes.toml
    echo "sizes.toml is written"
elif [ "$(value compiler "$sizes")" != "$(value compiler sizes.toml)" ]; then
    echo "sizes.toml is of $(value compiler sizes.toml): not compared"
else
    awk -F ' = ' 'FNR == NR { if (/^[a-z]/ && $1 != "compiler") old[$1] = $2; next }
        /^[a-z]/ && $1 != "compiler" {
            if (!($1 in old)) { print $1 " is new: tests/firmware.sh --update"; bad = 1 }
            else if ($2 * 100 > old[$1] * 102) { print $1 " grew from " old[$1] " to " $2 " bytes: make it smaller, or tests/firmware.sh --update"; bad = 1 }
            else if ($2 * 100 < old[$1] * 98) print $1 " shrank from " old[$1] " to " $2 " bytes: tests/firmware.sh --update keeps it so"
        }
        END { exit bad }' sizes.toml "$sizes" || fail "images have grown by more than 2%"
fi
