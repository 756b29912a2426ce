#!/usr/bin/env bash
# The tests that need a WebGPU adapter, on a software Vulkan: no GPU is needed. Installs what is missing: Debian's chromium,
# whose SwiftShader is that Vulkan, the Vulkan loader, ONNX Runtime and its WebGPU plugin.
#
#   tests/webgpu.sh            all of them
#   tests/webgpu.sh NAME       those whose name contains NAME
set -euo pipefail
cd "$(dirname "$0")/.."
# Everything is built as `cargo test --workspace` builds it (--workspace below): of one package alone, the features and with them
# the dependencies are others, and all is built a second time.

find_icd() {
    # chromium-common holds it in some releases, chromium in others.
    dpkg -L chromium-common chromium 2>/dev/null | grep -m1 '/vk_swiftshader_icd\.json$' || true
}

icd=${VK_ICD_FILENAMES:-$(find_icd)}
loader=$(ldconfig -p | grep -c 'libvulkan\.so\.1' || true)
if [[ -z $icd || $loader == 0 ]]; then
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "error: no software Vulkan: install Debian's packages chromium and libvulkan1 (as root: apt-get install chromium libvulkan1), or name another driver's file in VK_ICD_FILENAMES" >&2
        exit 1
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium libvulkan1
    icd=$(find_icd)
fi
if [[ ! -f $icd ]]; then
    echo "error: there is no \`$icd\`: VK_ICD_FILENAMES, or the package chromium, must name a Vulkan driver's .json file" >&2
    exit 1
fi
# That driver alone, and WebGPU takes an adapter that is a program.
export VK_ICD_FILENAMES=$icd ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1 PICARDY_TEST_PROVIDER=webgpu
echo "Vulkan: $icd"
cargo build -q --workspace --bin picardy-ort
"${CARGO_TARGET_DIR:-target}/debug/picardy-ort" install --gpu webgpu

# Tests of any GPU's provider; those of the WebGPU plugin. More test programs of the device path go here.
tests=(gpu gpu_graphs webgpu)
cargo test --workspace "${tests[@]/#/--test=}" -- --ignored "$@"
# Those that run on the processor's provider elsewhere.
tests=(resident resident_forms resident_plans resident_misuse)
cargo test --workspace "${tests[@]/#/--test=}" -- "$@"
# The same with captured runs, but for resident_forms: all of its tests pass, and at the exit of its process a thread of SwiftShader
# crashed in 2 runs of 31.
tests=(resident resident_plans resident_misuse)
PICARDY_TEST_GRAPHS=1 cargo test --workspace "${tests[@]/#/--test=}" -- "$@"
# (The larger networks take minutes in software.)
cargo test --workspace --test=onnx_training --test=device -- --skip twenty_steps --skip images "$@"
