# Sourced: what scripts for a Cortex-M4F need, and Rust for it.
#
#   want PROGRAM PACKAGE [PROGRAM PACKAGE ...]   installs Debian packages whose program is missing, where root may
#   rust_for_cortex_m COMMAND [ARGUMENT ...]     cargo for thumbv7em-none-eabihf: rustup's where it has the target, else Debian's

want() {
    local missing=()
    while [[ $# -gt 0 ]]; do
        if ! command -v "$1" >/dev/null && [[ ! -e $1 ]]; then missing+=("$2"); fi
        shift 2
    done
    [[ ${#missing[@]} == 0 ]] && return
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "missing: ${missing[*]}; install them (apt-get install ${missing[*]})" >&2
        return 1
    fi
    apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"
}

rust_for_cortex_m() {
    local target=thumbv7em-none-eabihf
    if command -v rustup >/dev/null && rustup target list --installed 2>/dev/null | grep -qx $target; then
        cargo "$1" --target $target "${@:2}"
    else
        want /usr/bin/rustc rustc-web /usr/bin/cargo cargo-web /usr/lib/rustlib/src/rust/library rust-web-src
        RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo "$1" -Zbuild-std=core --target $target "${@:2}"
    fi
}
