#!/usr/bin/env bash
# core's unit tests under Miri, which finds undefined behaviour. Installs a nightly compiler with Miri by rustup where there is none.
# Takes minutes, so it is not part of .ci/run. Arguments go to the tests: `tests/miri.sh plan` runs those with `plan` in their name.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly miri --version >/dev/null 2>&1; then
    if ! command -v rustup >/dev/null || ! rustup toolchain install nightly --profile minimal --component miri,rust-src; then
        echo "tests/miri.sh: no Miri here. It comes with rustup: rustup toolchain install nightly --component miri,rust-src" >&2
        exit 1
    fi
fi
# A target for which libm has no assembly, which Miri cannot run (on x86-64 it takes the square root by its instruction).
exec cargo +nightly miri test -p picardy --lib --target riscv64gc-unknown-linux-gnu --target-dir "${CARGO_TARGET_DIR:-target}/miri" -- "$@"
