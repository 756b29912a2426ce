#!/usr/bin/env bash
# Builds the firmware example for a Cortex-M4F and runs it under QEMU.
#
# The toolchain is rustup's where it has the target, else Debian's (rustc-web, cargo-web, rust-web-src), which builds `core` too.
# What is missing is installed where root may.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

TARGET=thumbv7em-none-eabihf
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/firmware"

need=()
has() { command -v "$1" >/dev/null; }
has qemu-system-arm || need+=(qemu-system-arm)
has arm-none-eabi-size || need+=(binutils-arm-none-eabi)
if has rustup && rustup target list --installed 2>/dev/null | grep -qx "$TARGET"; then
    kind=rustup
else
    kind=debian
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -d /usr/lib/rustlib/src/rust/library ] \
        || need+=(rustc-web cargo-web rust-web-src)
fi
if [ ${#need[@]} -gt 0 ]; then
    if has apt-get && [ "$(id -u)" = 0 ]; then
        apt-get update -q && apt-get install -q -y --no-install-recommends "${need[@]}"
    else
        echo "tests/firmware.sh needs ${need[*]}. Install them (apt-get install ${need[*]}); in place of Debian's compiler" \
            "\`rustup target add $TARGET\` does." >&2
        exit 1
    fi
fi

# build TARGET ARGUMENTS...: a release build in examples/firmware (or of the manifest that the arguments name).
build() {
    local target=$1
    shift
    if [ $kind = rustup ]; then
        cargo build -q --release --target "$target" "$@"
    else
        # Debian's compiler comes without a linker for the target and without its `core`.
        CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER=arm-none-eabi-ld RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
            /usr/bin/cargo build -q -Zbuild-std=core --release --target "$target" "$@"
    fi
}

# emulate IMAGE: its output; fails as the image does.
emulate() {
    timeout 120 qemu-system-arm -cpu cortex-m4 -machine mps2-an386 -nographic \
        -semihosting-config enable=on,target=native -kernel "$1" </dev/null
}

cd examples/firmware
build $TARGET
emulate "$CARGO_TARGET_DIR/$TARGET/release/hello"
