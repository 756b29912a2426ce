//! Providers that cannot be used: an error that says why, and never another provider in its place.

mod common;

use std::{
    path::Path,
    process::{Command, Output},
};

use common::{
    PlainMlp,
    command::{complaint, models, picardy_ort, said},
};
use picardy_ort::{
    Model, Options, OrtError, Provider, Runtime,
    device::{self, DeviceMemory, DeviceTensor},
    ensure_runtime, placement,
    provider::Cause,
};
use picardy_trainer::onnx::{Element, Extent, GraphBuilder};

/// The command in a user's home where nothing is installed but the ONNX Runtime that is named.
fn bare(dir: &Path, args: &[&str], plugin: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picardy-ort"));
    let runtime = Runtime::load(None).unwrap();
    command.current_dir(dir).args(args).env("XDG_CACHE_HOME", dir.join("cache"));
    command.env("ORT_DYLIB_PATH", runtime.path()).env_remove("PICARDY_WEBGPU_PLUGIN");
    if let Some(plugin) = plugin {
        command.env("PICARDY_WEBGPU_PLUGIN", plugin);
    }
    command.output().unwrap()
}

#[test]
fn a_library_without_the_provider_is_named() {
    ensure_runtime().unwrap();
    let file = PlainMlp::new(2, 8, 1).onnx(&[]);
    for (name, lacks) in [
        ("cuda", "CUDAExecutionProvider"),
        ("cuda:1", "CUDAExecutionProvider"),
        ("tensorrt-fp16", "TensorrtExecutionProvider"),
    ] {
        let provider: Provider = name.parse().unwrap();
        let error = Model::from_bytes(&file, Options { provider, ..Options::default() }).unwrap_err();
        let OrtError::Provider(error) = error else { panic!("{error}") };
        assert_eq!(error.provider, provider);
        assert!(matches!(&error.cause, Cause::NotInThisBuild { .. }), "{error:?}");
        let message = error.to_string();
        for part in [name, lacks, "libonnxruntime", "install --gpu cuda"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
}

/// The device's interface on the processor, so that code written for it needs no GPU.
#[test]
fn the_processors_memory_is_a_devices_too() {
    ensure_runtime().unwrap();
    let memory = DeviceMemory::new(Provider::Cpu).unwrap();
    let mut x: DeviceTensor<f32> = memory.tensor(&[2, 2]).unwrap();
    let mut y: DeviceTensor<f32> = memory.tensor(&[4]).unwrap();
    device::upload(&[1.0, 2.0, 3.0, 4.0], &mut x).unwrap();
    device::copy(&x, &mut y).unwrap();
    let mut held = [0.0; 4];
    device::download(&y, &mut held).unwrap();
    assert_eq!(held, [1.0, 2.0, 3.0, 4.0]);
    let error = device::download(&y, &mut held[..3]).unwrap_err();
    assert!(matches!(error, OrtError::Copy { from: 4, to: 3 }), "{error}");
    assert_eq!(held, [1.0, 2.0, 3.0, 4.0]);
    let mut whole: DeviceTensor<i64> = memory.tensor(&[3]).unwrap();
    device::upload(&[-1i64, 0, 1], &mut whole).unwrap();
}

#[test]
fn nothing_is_sampled_on_another_provider() {
    let dir = models();
    for provider in ["cuda", "tensorrt", "webgpu"] {
        for args in [["info", "card.onnx"], ["sample", "card.onnx"]] {
            let output = bare(dir.path(), &[&args[..], &["--provider", provider]].concat(), None);
            let complaint = complaint(&output);
            assert!(complaint.contains(&format!("the provider {provider} cannot be used")), "{complaint}");
        }
    }
    assert!(!dir.path().join("samples.npy").exists());
    let output = picardy_ort(dir.path(), &["info", "card.onnx", "--provider", "gpu"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("tensorrt-fp16"));
}

#[test]
fn a_plugin_that_is_missing_or_bad_is_named_with_its_mend() {
    let dir = models();
    let args = ["info", "card.onnx", "--provider", "webgpu"];
    let missing = complaint(&bare(dir.path(), &args, None));
    for part in ["its plugin was not found", "cache", "onnxruntime-ep-webgpu", "install --gpu webgpu"] {
        assert!(missing.contains(part), "{part} in {missing}");
    }
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("text.so"), vec![b'x'; 4096]).unwrap();
    std::fs::write(path("empty.so"), "").unwrap();
    // A library, but no plugin: ONNX Runtime would take the process down after its registration.
    let other = Runtime::load(None).unwrap().path().to_path_buf();
    for (plugin, part) in [
        (path("nowhere.so"), "there is no such file"),
        (path("text.so"), "text.so"),
        (path("empty.so"), "cut short"),
        (dir.path().to_path_buf(), "there is no such file"),
        (other, "CreateEpFactories"),
    ] {
        let complaint = complaint(&bare(dir.path(), &args, Some(&plugin)));
        assert!(complaint.contains(part) && complaint.contains("PICARDY_WEBGPU_PLUGIN"), "{complaint}");
    }
}

#[test]
fn auto_says_what_it_chose_and_why() {
    let dir = models();
    let info = said(&bare(dir.path(), &["info", "card.onnx", "--provider", "auto"], None));
    for part in [
        "provider  cpu\n",
        "note      the provider cuda cannot be used",
        "note      the provider webgpu cannot be used: its plugin was not found",
    ] {
        assert!(info.contains(part), "{part} in {info}");
    }
    let args = ["sample", "card.onnx", "--batch", "2", "--provider", "auto"];
    let output = bare(dir.path(), &args, None);
    said(&output);
    let note = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(note.contains("note: sampled on cpu") && note.contains("webgpu"), "{note}");
}

#[test]
fn nodes_and_what_they_run_on_are_shown() {
    let dir = models();
    let info = said(&picardy_ort(dir.path(), &["info", "plain.onnx"]));
    let lines: Vec<&str> = info.lines().filter(|line| line.starts_with("node")).collect();
    assert!(lines[0].starts_with("nodes     CPUExecutionProvider runs "), "{info}");
    assert!(lines.iter().any(|line| line.contains("Gemm: CPUExecutionProvider")), "{info}");
    // A model of many nodes is cut unless all are asked for.
    let file = PlainMlp::new(2, 8, 6).onnx(&[]);
    std::fs::write(dir.path().join("deep.onnx"), &file).unwrap();
    let nodes = |args: &[&str]| {
        let info = said(&picardy_ort(dir.path(), args));
        let shown = info.lines().filter(|line| line.starts_with("node  ")).count();
        (shown, info)
    };
    let (shown, info) = nodes(&["info", "deep.onnx"]);
    assert!(shown == 20 && info.contains("more nodes: --nodes shows them"), "{info}");
    let (shown, info) = nodes(&["info", "deep.onnx", "--nodes"]);
    let model = Model::from_bytes(&file, Options::default()).unwrap();
    assert_eq!(shown, model.placements().len());
    assert_eq!(placement::counts(model.placements())["CPUExecutionProvider"], shown);
    assert!(!info.contains("more nodes"), "{info}");
}

/// Names that would steer a terminal, or fill it.
#[test]
fn hostile_names_of_nodes_are_shown_harmless() {
    let dir = models();
    let long = "n".repeat(100_000);
    for name in ["\u{1b}[2Jgone", "two\nlines", long.as_str(), "\u{202e}right to left"] {
        let mut graph = GraphBuilder::new("hostile");
        let shape = [Extent::Free("n"), Extent::Fixed(2)];
        graph.input("x", Element::F32, &shape);
        graph.node(name, "Relu", &["x"], &[]);
        graph.node("y", "Neg", &[name], &[]);
        graph.output("y", &shape);
        std::fs::write(dir.path().join("hostile.onnx"), graph.finish().unwrap()).unwrap();
        let info = said(&picardy_ort(dir.path(), &["info", "hostile.onnx"]));
        assert!(!info.contains('\u{1b}') && !info.contains('\u{202e}'), "{info}");
        assert!(info.len() < 4000, "{} bytes", info.len());
        assert_eq!(info.lines().filter(|line| line.starts_with("node  ")).count(), 2, "{info}");
    }
}

#[test]
fn what_an_install_would_fetch_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, parts) in [
        ("cuda", &["onnxruntime-gpu==", "nvidia-cudnn-cu13==", "would be fetched"][..]),
        ("webgpu", &["onnxruntime==", "onnxruntime-ep-webgpu==", "would be fetched"]),
    ] {
        let args = ["install", "--gpu", kind, "--list", "--into", "."];
        let listed = said(&picardy_ort(dir.path(), &args));
        for part in parts {
            assert!(listed.contains(part), "{part} in {listed}");
        }
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
