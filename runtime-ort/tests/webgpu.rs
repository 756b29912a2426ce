//! What can go wrong with the WebGPU plugin: each case in a process of its own, as a plugin is
//! registered once.
//!
//! tests/webgpu.sh runs these tests; without it they are reported as ignored.

mod common;

use std::{path::Path, process::Command};

use common::command::{complaint, models, said};

fn info(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picardy-ort"));
    command.current_dir(dir).args(["info", "card.onnx", "--provider", "webgpu"]);
    command
}

#[test]
#[ignore = "needs a WebGPU adapter: run tests/webgpu.sh"]
fn a_software_adapter_is_used_where_it_is_asked_for_alone() {
    let dir = models();
    assert!(said(&info(dir.path()).output().unwrap()).contains("WebGpuExecutionProvider runs"));
    let output = info(dir.path()).env_remove("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER").output().unwrap();
    let complaint = complaint(&output);
    for part in ["webgpu", "found no adapter", "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1"] {
        assert!(complaint.contains(part), "{part} in {complaint}");
    }
    let mut auto = Command::new(env!("CARGO_BIN_EXE_picardy-ort"));
    auto.current_dir(dir.path()).args(["info", "card.onnx", "--provider", "auto"]);
    let auto = said(&auto.output().unwrap());
    // On a machine with a real GPU this suite is run on it, and there it is right to choose it.
    assert!(auto.contains("provider  cpu\nnote      the provider cuda cannot be used"), "{auto}");
    assert!(auto.contains("its adapter is a software one"), "{auto}");
}

#[test]
#[ignore = "needs a WebGPU adapter: run tests/webgpu.sh"]
fn a_machine_without_a_vulkan_driver_is_told() {
    let dir = models();
    let output = info(dir.path()).env("VK_ICD_FILENAMES", "/nowhere.json").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    // Vulkan's own warnings come before.
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = stderr.lines().last().unwrap_or_default();
    for part in ["error: the provider webgpu cannot be used", "found no adapter", "libvulkan1"] {
        assert!(last.contains(part), "{part} in {stderr}");
    }
}

/// A plugin cut short, at places before and after ONNX Runtime would have seen it.
#[test]
#[ignore = "needs a WebGPU adapter: run tests/webgpu.sh"]
fn a_plugin_that_was_cut_short_is_no_crash() {
    let dir = models();
    let name = "libonnxruntime_providers_webgpu.so";
    let cache = picardy_ort::places::cache_root().unwrap();
    let plugin = cache.join(picardy_ort::Bundle::WebGpu.directory()).join(name);
    let bytes = std::fs::read(plugin).unwrap();
    for length in [0, 10, 64, 4096, bytes.len() / 2, bytes.len() - 1] {
        let cut = dir.path().join(name);
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let complaint = complaint(&info(dir.path()).env("PICARDY_WEBGPU_PLUGIN", &cut).output().unwrap());
        assert!(complaint.contains("cut short"), "{length}: {complaint}");
    }
}
