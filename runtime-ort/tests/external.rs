//! Models whose weights lie in a file of their own, and models that cannot be loaded.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use picardy_ort::{Model, Options, OrtDenoiser, OrtError, ensure_runtime};
use picardy_trainer::onnx::{Element, Extent, GraphBuilder};

const N: Extent<'_> = Extent::Free("n");

/// y = x + w, w `[2]` in the file `location`, 4 bytes into it.
fn graph(location: &str) -> Vec<u8> {
    let mut graph = GraphBuilder::new("external");
    graph.input("x", Element::F32, &[N, Extent::Fixed(2)]);
    graph.input("t", Element::F32, &[N]);
    graph.external_floats("w", &[2], location, 4);
    graph.node("y", "Add", &["x", "w"], &[]);
    graph.output("y", &[N, Extent::Fixed(2)]);
    graph.finish().unwrap()
}

/// Three numbers, of which the model takes the last two.
fn data() -> Vec<u8> {
    [9.0f32, 1.0, 2.0].iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn complaint(path: &Path) -> String {
    match Model::load(path, Options::default()) {
        Err(error @ OrtError::NotAModel { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn data_beside_the_model_is_read() {
    ensure_runtime().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    fs::create_dir(dir.path().join("weights")).unwrap();
    for location in ["w.bin", "weights/w.bin", "./weights/../w.bin"] {
        fs::write(&path, graph(location)).unwrap();
        fs::write(dir.path().join(location), data()).unwrap();
        let mut denoiser = OrtDenoiser::new(Model::load(&path, Options::default()).unwrap()).unwrap();
        let mut out = [0.0; 2];
        denoiser.run(&[10.0, 20.0], [0.0].into_iter(), &mut out).unwrap();
        assert_eq!(out, [11.0, 22.0]);
    }
}

#[test]
fn data_that_is_missing_short_or_elsewhere_is_named() {
    ensure_runtime().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("model.onnx");
    let say = |location: &str| {
        fs::write(&path, graph(location)).unwrap();
        let said = complaint(&path);
        assert!(said.contains("model.onnx"), "{said}");
        said
    };
    let missing = say("w.bin");
    assert!(
        missing.contains("is missing: put it beside the model") && missing.contains("w.bin"),
        "{missing}"
    );
    fs::write(inner.join("w.bin"), &data()[..10]).unwrap();
    let short = say("w.bin");
    assert!(short.contains("shorter than the model says") && short.contains("file_length: 10"), "{short}");
    // The file is there, whole, and outside of the model's directory.
    let outside = dir.path().join("w.bin");
    fs::write(&outside, data()).unwrap();
    for location in ["../w.bin", "x/../../w.bin", outside.to_str().unwrap()] {
        let said = say(location);
        assert!(said.contains("outside of its own directory, which is refused"), "{location}: {said}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&outside, inner.join("link.bin")).unwrap();
        let said = say("link.bin");
        assert!(said.contains("outside of its own directory"), "{said}");
    }
    for location in ["", "."] {
        say(location);
    }
    let error = Model::from_bytes(&graph("nowhere.bin"), Options::default()).unwrap_err().to_string();
    assert!(error.contains("is missing") && error.contains("nowhere.bin"), "{error}");
}

#[test]
fn an_operator_that_is_not_known_is_named() {
    ensure_runtime().unwrap();
    let mut graph = GraphBuilder::new("unknown");
    graph.input("x", Element::F32, &[N, Extent::Fixed(2)]);
    graph.input("t", Element::F32, &[N]);
    graph.node("y", "Frobnicate", &["x"], &[]);
    graph.output("y", &[N, Extent::Fixed(2)]);
    let error = Model::from_bytes(&graph.finish().unwrap(), Options::default()).unwrap_err().to_string();
    for part in ["Frobnicate", "an operator that this ONNX Runtime does not know", "lower opset"] {
        assert!(error.contains(part), "{error}");
    }
}

/// Data of 2.3 GB in a temporary directory: a sparse file, which ONNX Runtime maps into memory on Linux; other systems may
/// write and read all of it. `cargo test -p picardy-ort --test external -- --ignored`
#[test]
#[ignore = "takes 2.3 GB of disk and of memory where files are not sparse"]
fn a_model_of_more_than_two_gigabytes_runs() {
    ensure_runtime().unwrap();
    let dir = tempfile::tempdir().unwrap();
    // Two tables of 1.15 GB: a row of each is looked up at the whole timestep, as weights lie past 2^31 bytes.
    const ROWS: usize = 144_000_000;
    let mut graph = GraphBuilder::new("large");
    graph.input("x", Element::F32, &[N, Extent::Fixed(2)]);
    graph.input("t", Element::I64, &[N]);
    for (table, offset) in [("a", 0), ("b", ROWS as u64 * 8)] {
        graph.external_floats(table, &[ROWS, 2], "large.bin", offset);
        graph.node(&format!("{table}_row"), "Gather", &[table, "t"], &[]);
    }
    graph.node("rows", "Add", &["a_row", "b_row"], &[]);
    graph.node("y", "Add", &["x", "rows"], &[]);
    graph.output("y", &[N, Extent::Fixed(2)]);
    let path = dir.path().join("large.onnx");
    fs::write(&path, graph.finish().unwrap()).unwrap();
    let mut file = fs::File::create(dir.path().join("large.bin")).unwrap();
    file.set_len(ROWS as u64 * 16).unwrap();
    assert!(file.metadata().unwrap().len() > 1 << 31);
    // The last row of b.
    file.seek(SeekFrom::End(-8)).unwrap();
    file.write_all(&data()[4..]).unwrap();
    drop(file);
    let mut denoiser = OrtDenoiser::new(Model::load(&path, Options::default()).unwrap()).unwrap();
    let mut out = [0.0; 4];
    denoiser.run(&[10.0, 20.0, 10.0, 20.0], [0.0, (ROWS - 1) as f64].into_iter(), &mut out).unwrap();
    assert_eq!(out, [10.0, 20.0, 11.0, 22.0]);
}
