#!/usr/bin/env bash
# Fuzzes the artifact reader, the C border and networks behind it: `tests/fuzz/run.sh [artifact|border|network] [RUNS]`, 5 million
# runs each by default. Without libFuzzer, on any compiler: `cargo run --release --bin border -- --changes 1000 seeds/border`.
#
# cargo-fuzz drives libFuzzer, with the address sanitizer (SANITIZER=none is three times as fast, and still sees panics and
# overflows); RUSTC_BOOTSTRAP makes a stable compiler take its flags. The seeds are in
# tests/fuzz/seeds, what is found beside them goes to target/fuzz-corpus.
set -euo pipefail
cd "$(dirname "$0")"
targets=(artifact border network)
if [[ ${1:-} ]]; then targets=("$1"); fi
runs=${2:-5000000}
export RUSTC_BOOTSTRAP=1
if ! command -v cargo-fuzz >/dev/null; then
    root=$(cd ../.. && pwd)/target/tools
    [[ -x $root/bin/cargo-fuzz ]] || cargo install -q cargo-fuzz --root "$root"
    PATH=$root/bin:$PATH
fi
for target in "${targets[@]}"; do
    corpus=${FUZZ_CORPUS:-../../target/fuzz-corpus}/$target
    mkdir -p "$corpus"
    nice -n 19 cargo fuzz run --fuzz-dir . -s "${SANITIZER:-address}" "$target" "$corpus" "seeds/$target" -- \
        -runs="$runs" -max_len=32768 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
