//! The command `picardy-ort`, as its users meet it.

mod common;

use std::{path::Path, process::Command};

use common::{
    PlainMlp,
    command::{card, complaint, models, numbers, picardy_ort, said},
};

#[test]
fn info_shows_what_a_model_is() {
    let dir = models();
    let shown = said(&picardy_ort(dir.path(), &["info", "card.onnx"]));
    for part in [
        "x: f32 [n, 2]",
        "t: f32 [n]",
        "out: f32 [n, 2]",
        "picardy.prediction = epsilon",
        "cpu",
        "version 1.",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let shown = said(&picardy_ort(dir.path(), &["info", "plain.onnx"]));
    assert!(shown.contains("--prediction"), "{shown}");
}

#[test]
fn samples_do_not_depend_on_the_method_and_are_in_the_datas_units() {
    let dir = models();
    let sample = |out: &str, more: &[&str]| {
        let mut args =
            vec!["sample", "card.onnx", "--steps", "40", "--batch", "5", "--seed", "3", "--out", out];
        args.extend(more);
        let said = said(&picardy_ort(dir.path(), &args));
        let (shape, values) = numbers(&dir.path().join(out));
        assert_eq!(shape, [5, 2]);
        assert!(values.iter().all(|v| v.is_finite()));
        (said, values)
    };
    for solver in [&["--solver", "ddpm"][..], &["--solver", "ddim"], &["--solver", "ddim", "--eta", "0.5"]] {
        let (said, sequential) = sample("a.npy", solver);
        assert!(said.contains("40 rounds, 200 evaluations"), "{said}");
        for flags in [
            "--slope identity --window 16",
            "--slope frozen --window 16",
            "--slope gaussian --window 16",
            "--slope secant --window 16",
            "--slope multisecant1 --stride 3",
            "--slope multisecant4 --rows 33",
            "--start coarse:4",
            "--start constant --anderson 2",
            "--criterion step-variance",
            "--criterion change --start gaussian",
        ] {
            let mut args = solver.to_vec();
            args.extend(["--method", "picard", "--tolerance", "0"]);
            args.extend(flags.split(' '));
            let (_, parallel) = sample("b.npy", &args);
            for (a, b) in sequential.iter().zip(&parallel) {
                assert!((a - b).abs() <= 1e-3, "{flags}: {a} {b}");
            }
        }
        // In the data's units, whose standard deviations are 2 and 3.
        let (_, parallel) = sample("b.npy", &[solver, &["--method", "picard"]].concat());
        for (a, b) in sequential.iter().zip(&parallel) {
            assert!((a - b).abs() <= 0.03, "{a} {b}");
        }
    }
    let (_, units) = sample("a.npy", &[]);
    let (_, normalised) = sample("b.npy", &["--normalised"]);
    for (u, n) in units.chunks(2).zip(normalised.chunks(2)) {
        assert!((u[0] - (10.0 + 2.0 * n[0])).abs() < 1e-4 && (u[1] - (3.0 * n[1] - 10.0)).abs() < 1e-4);
    }
}

#[test]
fn a_model_without_metadata_is_sampled_as_the_caller_says() {
    let dir = models();
    let flags = [
        "sample",
        "plain.onnx",
        "--prediction",
        "epsilon",
        "--schedule",
        "linear",
        "--train-steps",
        "100",
        "--beta-start",
        "0.001",
        "--beta-end",
        "0.1",
        "--picture",
        "a.png",
        "--out",
        "a.npy",
    ];
    said(&picardy_ort(dir.path(), &flags));
    said(&picardy_ort(dir.path(), &["sample", "card.onnx", "--normalised", "--out", "b.npy"]));
    assert_eq!(numbers(&dir.path().join("a.npy")), numbers(&dir.path().join("b.npy")));
    assert_eq!(&std::fs::read(dir.path().join("a.png")).unwrap()[1..4], b"PNG");
    let kinds =
        picardy_ort(dir.path(), &["sample", "plain.onnx", "--prediction", "epsilom", "--out", "c.npy"]);
    assert_eq!(kinds.status.code(), Some(2));
}

#[test]
fn each_wrong_word_is_named_and_leaves_no_file() {
    let dir = models();
    let plain = ["plain.onnx", "--prediction", "epsilon", "--schedule", "linear"];
    let cases: &[(&[&str], &str)] = &[
        (&["missing.onnx"], "missing.onnx"),
        (&["text.onnx"], "not an ONNX model"),
        (&["."], "directory"),
        (&["plain.onnx"], "--prediction"),
        (&["plain.onnx", "--prediction", "v"], "--schedule"),
        (&["card.onnx", "--prediction", "v"], "--prediction is for models without metadata"),
        (&["card.onnx", "--steps", "0"], "0 steps"),
        (&["card.onnx", "--steps", "101"], "101 steps"),
        (&["card.onnx", "--steps", "18446744073709551615"], "18446744073709551615 steps"),
        (&["card.onnx", "--eta", "1.5"], "eta 1.5"),
        (&["card.onnx", "--eta", "NaN"], "eta NaN"),
        (&["card.onnx", "--solver", "ddpm", "--eta", "0"], "--eta 0"),
        (&["card.onnx", "--variance", "large"], "--variance"),
        (&["card.onnx", "--slope", "secant"], "--method picard"),
        (&["card.onnx", "--method", "picard", "--window", "0"], "leave it out"),
        (&["card.onnx", "--method", "picard", "--stride", "0"], "--stride 0: give at least 1"),
        (&["card.onnx", "--method", "picard", "--rows", "0"], "--rows 0: give at least 1"),
        (&["card.onnx", "--method", "picard", "--rows", "3"], "--rows 3 for --batch 64: give"),
        (&["card.onnx", "--method", "picard", "--anderson", "6"], "--anderson 6: give 1 to 5"),
        (&["card.onnx", "--window", "0"], "--method picard"),
        (&["card.onnx", "--stride", "2"], "--stride is Picard's"),
        (&["card.onnx", "--rows", "100"], "--rows is Picard's"),
        (&["card.onnx", "--start", "coarse:3"], "--start is Picard's"),
        (&["card.onnx", "--anderson", "2"], "--anderson is Picard's"),
        (&["card.onnx", "--criterion", "change"], "--criterion is Picard's"),
        (&["card.onnx", "--method", "picard", "--tolerance", "NaN"], "tolerance NaN"),
        (&["card.onnx", "--item-shape", "3"], "[3]"),
        (&["card.onnx", "--picture", "out.npy"], "two files"),
        (&["card.onnx", "--picture", "nowhere/a.png"], "nowhere"),
        (&["card.onnx", "--picture", "."], "directory"),
        (&[&plain[..], &["--beta-end", "2"]].concat(), "beta 2"),
        (&[&plain[..], &["--beta-end", "NaN"]].concat(), "beta NaN"),
        (&[&plain[..], &["--data-variance", "0", "--method", "picard"]].concat(), "data variance 0"),
    ];
    for (case, part) in cases {
        let mut args = vec!["sample", "--out", "out.npy"];
        args.extend(*case);
        let complaint = complaint(&picardy_ort(dir.path(), &args));
        assert!(complaint.contains(part), "{case:?}: {complaint}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "{case:?}");
    }
    let output = picardy_ort(dir.path(), &["sample", "card.onnx", "--out", "nowhere/out.npy"]);
    assert!(complaint(&output).contains("nowhere"));
}

#[test]
fn metadata_that_is_wrong_is_named() {
    let dir = models();
    for (key, value) in [("picardy.shape", "3"), ("picardy.beta_end", "7"), ("picardy.version", "9")] {
        let mut metadata = card();
        for (k, v) in &mut metadata {
            if k == key {
                *v = value.to_owned();
            }
        }
        // So that the lists fit the shape, and the shape alone disagrees with the graph.
        if key == "picardy.shape" {
            for (k, v) in &mut metadata {
                if k == "picardy.data_mean" || k == "picardy.data_scale" {
                    *v = "1,1,1".to_owned();
                }
            }
        }
        let path = dir.path().join("wrong.onnx");
        std::fs::write(&path, PlainMlp::new(2, 8, 1).onnx(&metadata)).unwrap();
        let complaint = complaint(&picardy_ort(dir.path(), &["sample", "wrong.onnx"]));
        let part = if key == "picardy.version" { "version 9" } else { key.trim_start_matches("picardy.") };
        assert!(complaint.contains(part), "{key}: {complaint}");
        said(&picardy_ort(dir.path(), &["info", "wrong.onnx"]));
    }
}

/// A model whose card lacks a key or has another's value, under `name`.
fn damaged(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<(String, String)>)) {
    let mut metadata = card();
    change(&mut metadata);
    std::fs::write(dir.join(name), PlainMlp::new(2, 8, 1).onnx(&metadata)).unwrap();
}

#[test]
fn flags_stand_in_for_damaged_metadata() {
    let dir = models();
    damaged(dir.path(), "partial.onnx", |card| card.retain(|(key, _)| key != "picardy.seed"));
    damaged(dir.path(), "wrong.onnx", |card| {
        card.iter_mut().filter(|(key, _)| key == "picardy.data_scale").for_each(|(_, v)| v.push_str(",4"));
    });
    let flags = ["--train-steps", "100", "--beta-start", "0.001", "--beta-end", "0.1"];
    said(&picardy_ort(dir.path(), &["sample", "card.onnx", "--normalised", "--out", "right.npy"]));
    for (model, key) in [("partial.onnx", "picardy.seed"), ("wrong.onnx", "picardy.data_scale")] {
        let complaint = complaint(&picardy_ort(dir.path(), &["sample", model, "--out", "a.npy"]));
        for part in [key, "export the model again", "--prediction and --schedule"] {
            assert!(complaint.contains(part), "{part} in {complaint}");
        }
        assert!(!complaint.contains("yourself"), "{complaint}");
        let info = said(&picardy_ort(dir.path(), &["info", model]));
        assert!(info.contains("export the model again") && !info.contains("yourself"), "{info}");

        let named = ["--prediction", "epsilon", "--schedule", "linear", "--out", "a.npy"];
        let output = picardy_ort(dir.path(), &[&["sample", model], &named[..], &flags].concat());
        said(&output);
        let note = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(note.contains("note: ") && note.contains(key), "{note}");
        assert_eq!(numbers(&dir.path().join("a.npy")), numbers(&dir.path().join("right.npy")));
    }
    let output = picardy_ort(dir.path(), &["sample", "partial.onnx", "--prediction", "epsilon"]);
    assert!(complaint(&output).contains("name its --schedule"));
}

#[test]
fn both_names_of_the_velocity_are_taken() {
    let dir = models();
    let sample = |name: &str| {
        let args = ["sample", "plain.onnx", "--schedule", "linear", "--out", "a.npy", "--prediction", name];
        said(&picardy_ort(dir.path(), &args));
        numbers(&dir.path().join("a.npy"))
    };
    let v = sample("v");
    assert_eq!(v, sample("v_prediction"));
    assert_eq!(v, sample("v-prediction"));
    assert_ne!(v, sample("epsilon"));
}

/// Every solver of core by its name; a wrong name lists them.
#[test]
fn every_solver_runs_by_name() {
    let dir = models();
    for (name, _) in picardy::AnySolver::list() {
        let args =
            ["sample", "card.onnx", "--steps", "12", "--batch", "3", "--out", "a.npy", "--solver", name];
        said(&picardy_ort(dir.path(), &args));
        assert!(numbers(&dir.path().join("a.npy")).1.iter().all(|x| x.is_finite()), "{name}");
    }
    let output = picardy_ort(dir.path(), &["sample", "card.onnx", "--solver", "heum"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.contains("heum") && stderr.contains("sde-dpmsolver++") && stderr.contains("unipc3"),
        "{stderr}"
    );
    let help = said(&picardy_ort(dir.path(), &["sample", "--help"]));
    for word in ["gradient_estimation", "v_prediction", "scaled_linear", "--scheduler-config"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    let output = picardy_ort(dir.path(), &["sample", "card.onnx", "--solver", "heun", "--eta", "0.5"]);
    assert!(complaint(&output).contains("heun has no --eta 0.5"));
}

/// A scheduler's file gives what the flags of the same meaning give, and its clipping acts.
#[test]
fn a_scheduler_config_stands_for_the_flags() {
    let dir = models();
    let scheduler = |text: &str| std::fs::write(dir.path().join("s.json"), text).unwrap();
    let sample = |args: &[&str]| {
        let all =
            [&["sample", "--steps", "20", "--batch", "4", "--out", "a.npy", "--normalised"], args].concat();
        said(&picardy_ort(dir.path(), &all));
        numbers(&dir.path().join("a.npy")).1
    };
    let betas = r#""num_train_timesteps": 100, "beta_start": 0.001, "beta_end": 0.1"#;
    scheduler(&format!(
        r#"{{"_class_name": "DPMSolverSinglestepScheduler", {betas}, "prediction_type": "v_prediction"}}"#
    ));
    let config = ["--scheduler-config", "s.json"];
    let v = sample(&[&["plain.onnx"][..], &config].concat());
    scheduler(&format!(
        r#"{{"_class_name": "DDPMScheduler", {betas}, "timestep_spacing": "trailing", "clip_sample": false}}"#
    ));
    let unclipped = sample(&[&["plain.onnx"][..], &config].concat());
    let flags =
        ["--prediction", "epsilon", "--schedule", "linear", "--train-steps", "100", "--beta-start", "0.001"];
    let flags = [&["plain.onnx", "--solver", "ddpm", "--beta-end", "0.1"][..], &flags].concat();
    assert_eq!(unclipped, sample(&flags));
    assert_eq!(
        unclipped,
        sample(&[&["card.onnx"][..], &config].concat()),
        "a model with metadata that agrees"
    );
    assert_ne!(unclipped, v);
    for class in ["DDPMScheduler", "DDIMScheduler"] {
        scheduler(&format!(r#"{{"_class_name": "{class}", {betas}, "clip_sample_range": 0.01}}"#));
        let clipped = sample(&[&["card.onnx"][..], &config].concat());
        assert!(clipped.iter().all(|x| x.abs() < 0.2), "{class} {clipped:?}");
        let picard = ["card.onnx", "--method", "picard", "--tolerance", "0"];
        let parallel = sample(&[&picard[..], &config].concat());
        assert!(clipped.iter().zip(&parallel).all(|(a, b)| (a - b).abs() < 1e-3), "{class} {parallel:?}");
    }

    for (text, words) in [
        (r#"{"_class_name": "PNDM"}"#, ["s.json", "_class_name"]),
        (r#"{"_class_name": "DDPMScheduler"}"#, ["1000 timesteps", "100 timesteps"]),
        (r#"{"_class_name": "DDPMScheduler", "prediction_type": "sample"}"#, ["sample", "epsilon"]),
        (
            r#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "prediction_type": "epsilon"}"#,
            ["flow matching", "linear betas"],
        ),
    ] {
        scheduler(text);
        let output = picardy_ort(
            dir.path(),
            &["sample", "card.onnx", "--out", "b.npy", "--scheduler-config", "s.json"],
        );
        let complaint = complaint(&output);
        assert!(words.iter().all(|word| complaint.contains(word)), "{text}: {complaint}");
    }
    let output = picardy_ort(dir.path(), &["sample", "card.onnx", "--scheduler-config", "nowhere.json"]);
    assert!(complaint(&output).contains("nowhere.json"));
    let both = ["sample", "card.onnx", "--scheduler-config", "s.json", "--solver", "ddim"];
    assert_eq!(picardy_ort(dir.path(), &both).status.code(), Some(2));
}

/// Captured runs are for states on a GPU: asked for elsewhere they are no error, and it is said that there are none.
#[test]
fn captured_runs_that_are_not_to_be_had_are_told() {
    let dir = models();
    let sample = |graphs: &str| {
        let args = ["sample", "card.onnx", "--steps", "5", "--out", "a.npy", "--gpu-graphs", graphs];
        picardy_ort(dir.path(), &args)
    };
    for (graphs, is_told) in [("off", false), ("on", true), ("3", true)] {
        let output = sample(graphs);
        let note =
            String::from_utf8_lossy(&output.stderr).contains("note: no runs are captured: --gpu-graphs");
        assert!(output.status.success() && note == is_told, "{graphs}: {output:?}");
    }
    for graphs in ["yes", "1.5", ""] {
        let output = sample(graphs);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains("--gpu-graphs"), "{graphs}: {said}");
    }
}

/// A card of zero terminal SNR: epsilon says nothing at its last timestep, and v does.
#[test]
fn zero_snr_in_the_metadata_is_read() {
    let dir = models();
    damaged(dir.path(), "zero.onnx", |card| card.push(("picardy.zero_snr".into(), "true".into())));
    let complaint = complaint(&picardy_ort(dir.path(), &["sample", "zero.onnx", "--out", "a.npy"]));
    assert!(complaint.contains("zero SNR"), "{complaint}");
    damaged(dir.path(), "zero.onnx", |card| {
        card.push(("picardy.zero_snr".into(), "true".into()));
        card.iter_mut()
            .filter(|(key, _)| key == "picardy.prediction")
            .for_each(|(_, v)| *v = "v_prediction".into());
    });
    said(&picardy_ort(dir.path(), &["sample", "zero.onnx", "--out", "a.npy"]));
}

/// The command in an environment where no library can be found, or a bad one is named.
fn bare(dir: &Path, dylib: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picardy-ort"));
    command.current_dir(dir).env_remove("ORT_DYLIB_PATH").args(["info", "card.onnx"]);
    if let Some(dylib) = dylib {
        command.env("ORT_DYLIB_PATH", dylib);
    }
    command
}

#[test]
fn a_library_that_is_missing_or_bad_is_named_with_its_mend() {
    let dir = models();
    std::fs::write(dir.path().join("libbad.so"), vec![b'x'; 4096]).unwrap();
    std::fs::write(dir.path().join("libempty.so"), "").unwrap();

    let cut = picardy_ort::Runtime::load(None).unwrap().path();
    let bytes = std::fs::read(cut).unwrap();
    std::fs::write(dir.path().join("libcut.so"), &bytes[..bytes.len() / 2]).unwrap();
    for (dylib, part) in [
        ("/nowhere/libonnxruntime.so", "/nowhere/libonnxruntime.so"),
        ("libbad.so", "libbad.so"),
        ("libcut.so", "cut short"),
        ("libempty.so", "is empty"),
        // A library, but another one. There is no such file in the directory, and no search for it either.
        ("libm.so.6", "libm.so.6"),
        (".", "named by ORT_DYLIB_PATH"),
    ] {
        let complaint = complaint(&bare(dir.path(), Some(dylib)).output().unwrap());
        assert!(complaint.contains(part), "{dylib}: {complaint}");
    }
    let output = picardy_ort(dir.path(), &["--library", "libbad.so", "info", "card.onnx"]);
    assert!(complaint(&output).contains("libbad.so"));
}
