//! `--device`: training by ONNX Runtime, and what it says where that cannot be.

use super::*;

#[test]
fn a_run_on_a_device_leaves_what_a_native_one_does() {
    picardy_ort::ensure_runtime().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (native, device) = (folder.path().join("native"), folder.path().join("device"));
    let more =
        ["--steps", "40", "--threads", "1", "--set", "data.held-out=0.2", "--set", "run.evaluate-every=20"];
    let more = [&more[..], &["--set", "run.log-every=10", "--device"]].concat();
    for (out, name) in [(&native, "native"), (&device, "cpu")] {
        let output = train(out, &[&more[..], &[name]].concat());
        assert!(output.status.success(), "{}", said(&output));
    }
    let config = String::from_utf8(read(&device, "config.toml")).unwrap();
    assert!(config.contains("device = \"cpu\""), "{config}");
    let (want, got) = (log(&native), log(&device));
    assert_eq!(want.len(), got.len());
    for (want, got) in want.iter().zip(&got) {
        for key in ["step", "denoising", "contrastive", "norm", "mmd"] {
            let [want, got] = [want, got].map(|line| line[key].as_f64().unwrap_or(0.0));
            assert!((got - want).abs() <= 1e-3 * want.abs(), "{key}: {got} {want}");
        }
    }
    for name in ["model.safetensors", "model.onnx", "checkpoint.safetensors"] {
        assert_eq!(read(&native, name).len().abs_diff(read(&device, name).len()) / 64, 0, "{name}");
    }
    let hidden = |args: &[&str]| {
        let output =
            command().args(args).env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so").output().unwrap();
        (output.status.success(), said(&output))
    };
    let (done, said) = hidden(&["resume", text(&device)]);
    assert!(!done && said.contains("/nowhere") && said.contains("--device native"), "{said}");
    // Whatever else is done with the run afterwards needs no device.
    for command in [&["export"][..], &["resume", "--device", "native"]] {
        let (done, said) = hidden(&[command, &[text(&device)]].concat());
        assert!(done, "{said}");
    }
}

#[test]
fn a_device_that_is_none_is_refused_with_a_mend() {
    picardy_ort::ensure_runtime().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let refuse = |device: &str| {
        let said = refused(&["train", "--data", "dino", "--out", text(&out), "--device", device]);
        assert!(!out.exists(), "{device} left something");
        said
    };
    for unknown in ["gpu", "tensorrt", "auto", "cuda:one", "", "native:0"] {
        let said = refuse(unknown);
        assert!(said.contains(&format!("`run.device` is `{unknown}`")), "{said}");
        assert!(said.contains("native, cpu, cuda, cuda:N") && said.contains("webgpu"), "{said}");
    }
    // No machine has so many.
    let said = refuse("cuda:999");
    assert!(said.contains("cuda:999") && said.contains("--device native"), "{said}");
}
