# Sourced: what scripts for microcontrollers need, and Rust for them.
#
#   want PROGRAM PACKAGE [PROGRAM PACKAGE ...]      installs Debian packages whose program (or file) is missing, where root may
#   rust_for TARGET COMMAND [ARGUMENT ...]          cargo for a target that may have no `core` here yet
#   rust_for_cortex_m COMMAND [ARGUMENT ...]        the same for thumbv7em-none-eabihf
#   rust_for_version                                the version of the compiler that they use
#
# rustup's toolchain where it has the target or can add it, else Debian's (rustc-web, cargo-web, rust-web-src), which builds `core`
# too. One toolchain for all targets of a script: the first target asked for chooses it, so ask for the main one first. The
# variable RUST_FROM=rustup or RUST_FROM=debian chooses it instead. A PACKAGE may be `a|b`: the first of them that there is.

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
    apt-get update -q || return
    local at
    for at in "${!missing[@]}"; do
        if apt-cache show "${missing[at]%%|*}" >/dev/null 2>&1; then
            missing[at]=${missing[at]%%|*}
        else
            missing[at]=${missing[at]##*|}
        fi
    done
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# rustup_has TARGET: whether rustup's toolchain has the target, which it adds where it can.
rustup_has() {
    command -v rustup >/dev/null || return 1
    rustup target list --installed 2>/dev/null | grep -qx "$1" || rustup target add "$1" >/dev/null 2>&1
}

# Sets RUST_FROM, `rustup` or `debian`, at the first call.
choose_rust() {
    case ${RUST_FROM:-} in
        rustup | debian) return ;;
        "") ;;
        *)
            echo "RUST_FROM is $RUST_FROM; give rustup, debian, or nothing" >&2
            return 1
            ;;
    esac
    if rustup_has "$1"; then
        RUST_FROM=rustup
    else
        RUST_FROM=debian
    fi
}

rust_for() {
    local target=$1
    choose_rust "$target" || return
    if [[ $RUST_FROM == rustup ]]; then
        rustup_has "$target" || {
            echo "rustup has no $target and cannot add it: rustup target add $target" >&2
            return 1
        }
        cargo "$2" --target "$target" "${@:3}"
    else
        want /usr/bin/rustc rustc-web /usr/bin/cargo cargo-web /usr/lib/rustlib/src/rust/library rust-web-src || {
            echo "in place of Debian's compiler, rustup's does: rustup target add $target" >&2
            return 1
        }
        # Debian's compiler comes without linkers for the targets and without their `core`.
        CARGO_TARGET_THUMBV7EM_NONE_EABI_LINKER=arm-none-eabi-ld \
            CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER=arm-none-eabi-ld \
            CARGO_TARGET_RISCV32IMAC_UNKNOWN_NONE_ELF_LINKER=riscv64-unknown-elf-ld \
            RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
            /usr/bin/cargo "$2" -Zbuild-std=core --target "$target" "${@:3}"
    fi
}

rust_for_cortex_m() { rust_for thumbv7em-none-eabihf "$@"; }

rust_for_version() {
    choose_rust thumbv7em-none-eabihf || return
    if [[ $RUST_FROM == rustup ]]; then rustc --version; else /usr/bin/rustc --version; fi
}
