//! The exported residual MLP: valid by the ONNX checker, and equal to the formula through ONNX Runtime.

mod common;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use common::{PlainMlp, pseudo_random};
use picardy_ort::{Array, Model, Options, OrtDenoiser, ensure_runtime};
use picardy_trainer::model::{Network, NetworkConfig, NetworkKind};
use picardy_trainer::onnx::{GraphError, OnnxError, Pass, export_exact, export_network, train_graph};
use picardy_trainer::optimiser::AdamConfig;

#[test]
fn onnx_runtime_gives_the_formulas_value() {
    ensure_runtime().unwrap();
    for (dim, width, blocks) in [(2, 128, 2), (5, 12, 3), (1, 2, 1)] {
        let network = PlainMlp::new(dim, width, blocks);
        let model = Model::from_bytes(&network.onnx(&[]), Options::default()).unwrap();
        let mut denoiser = OrtDenoiser::new(model).unwrap();
        assert_eq!(denoiser.item_shape(), [dim]);
        let mut next = pseudo_random(3);
        for rows in [1, 2, 33] {
            let x: Vec<f32> = (0..rows * dim).map(|_| 3.0 * next()).collect();
            let t: Vec<f32> = (0..rows).map(|row| (row * 31 % 1000) as f32).collect();
            let mut out = vec![f32::NAN; rows * dim];
            denoiser.run(&x, t.iter().map(|&t| f64::from(t)), &mut out).unwrap();
            for ((x, &t), out) in x.chunks(dim).zip(&t).zip(out.chunks(dim)) {
                for (want, &got) in network.value(x, t).iter().zip(out) {
                    assert!(
                        (want - f64::from(got)).abs() <= 1e-5 * want.abs().max(1.0),
                        "dim {dim}, width {width}, t {t}: {want} against {got}"
                    );
                }
            }
        }
    }
}

#[test]
fn metadata_is_carried() {
    ensure_runtime().unwrap();
    let metadata = [("picardy.prediction", "epsilon"), ("picardy.note", "déjà vu"), ("empty", "")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let bytes = PlainMlp::new(2, 4, 1).onnx(&metadata);
    let model = Model::from_bytes(&bytes, Options::default()).unwrap();
    let read: Vec<(String, String)> = model.metadata().clone().into_iter().collect();
    let mut metadata = metadata.to_vec();
    metadata.sort();
    assert_eq!(read, metadata);
    let ports: Vec<String> = model.inputs().iter().chain(model.outputs()).map(ToString::to_string).collect();
    assert_eq!(ports, ["x: f32 [n, 2]", "t: f32 [n]", "out: f32 [n, 2]"]);
}

#[test]
fn what_cannot_be_in_a_file_is_named() {
    let twice = [("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())];
    let error = export_network(&PlainMlp::new(2, 4, 1).network(), &twice).unwrap_err();
    assert!(matches!(error, OnnxError::Graph(GraphError::DuplicateKey { .. })));

    let mut diverged = PlainMlp::new(2, 4, 1);
    diverged.parameters.get_mut("norm.bias").unwrap().0[3] = f32::NAN;
    let error = export_network(&diverged.network(), &[]).unwrap_err();
    assert!(error.to_string().contains("`norm.bias` holds NaN at index 3"), "{error}");
}

#[test]
fn the_onnx_checker_accepts_the_files() {
    let python = checker_python();
    let file = tempfile::Builder::new().suffix(".onnx").tempfile().unwrap();
    let metadata = [("picardy.prediction".to_owned(), "epsilon".to_owned())];
    let check = "import onnx, sys\n\
        model = onnx.load(sys.argv[1])\n\
        onnx.checker.check_model(model, full_check=True)\n\
        assert model.opset_import[0].version >= 17\n\
        assert [(p.key, p.value) for p in model.metadata_props] == [('picardy.prediction', 'epsilon')]\n\
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)\n\
        print(inferred.graph.output[0].type.tensor_type.shape.dim[0].dim_param)";
    let exact = export_exact(&[0.5, 1.0, -1.0, 2.0], 2, 0.1, &[0.9, 0.5], &metadata).unwrap();
    let networks = unets();
    let mut files = vec![PlainMlp::new(2, 16, 2).onnx(&metadata), exact];
    files.extend(networks.iter().map(|network| export_network(network, &metadata).unwrap()));
    for bytes in files {
        std::fs::write(file.path(), bytes).unwrap();
        let answer = Command::new(&python).args(["-c", check]).arg(file.path()).output().unwrap();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "n");
    }
    let check = "import onnx, sys\n\
        model = onnx.load(sys.argv[1])\n\
        onnx.checker.check_model(model, full_check=True)\n\
        onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)";
    for network in networks.iter().chain([&PlainMlp::new(2, 16, 2).network()]) {
        for pass in [Pass::Squares, Pass::Forward, Pass::Backward, Pass::Update] {
            let graph = train_graph(network, 3, pass, AdamConfig::default()).unwrap();
            std::fs::write(file.path(), graph).unwrap();
            let answer = Command::new(&python).args(["-c", check]).arg(file.path()).output().unwrap();
            assert!(answer.status.success(), "{pass:?}: {}", String::from_utf8_lossy(&answer.stderr));
        }
    }
}

/// The two U-Nets, with conditions.
fn unets() -> [Network<f32>; 2] {
    let widths = vec![4, 8];
    let series =
        NetworkKind::Unet1d { widths: widths.clone(), embedding: 8, kernel: 5, groups: 2, scale: true };
    let image = NetworkKind::Unet2d { widths, embedding: 8, blocks: 1, groups: 2, heads: 2 };
    [(vec![8, 2], series), (vec![4, 6, 2], image)].map(|(shape, kind)| {
        let config = NetworkConfig { shape, condition: 3, architecture: kind.architecture().unwrap() };
        Network::new(config, 1, 3).unwrap()
    })
}

#[test]
fn a_networks_condition_and_items_are_the_denoisers() {
    ensure_runtime().unwrap();
    for mut network in unets() {
        let (shape, dim) = (network.config().shape.clone(), network.dim());
        let model = Model::from_bytes(&export_network(&network, &[]).unwrap(), Options::default()).unwrap();
        let mut denoiser = OrtDenoiser::new(model).unwrap();
        assert_eq!(denoiser.item_shape(), shape);
        let mut next = pseudo_random(5);
        let x: Vec<f32> = (0..2 * dim).map(|_| next()).collect();
        let c = [0.0, 0.0, 0.0, 1.0, -1.0, 0.5];
        let given = Array::floats(&[2, 3], c.to_vec()).unwrap();
        denoiser.bind("condition", given, None).unwrap();
        let mut out = vec![f32::NAN; x.len()];
        denoiser.run(&x, [10.0, 700.0].into_iter(), &mut out).unwrap();
        for row in 0..2 {
            let (t, part) = ([10.0, 700.0][row], row * dim..(row + 1) * dim);
            let want = network.forward(&x[part.clone()], &[t], &c[3 * row..][..3]).unwrap();
            for (want, got) in want.iter().zip(&out[part]) {
                assert!((want - got).abs() < 1e-5, "row {row}: {want} {got}");
            }
        }
    }
}

/// A Python that has `onnx`: that of $PEERS_VENV, or of a virtual environment made in cargo's target
/// directory at the first run.
fn checker_python() -> PathBuf {
    let venv = std::env::var_os("PEERS_VENV")
        .filter(|path| !path.is_empty())
        .map_or_else(|| target_dir().join("onnx-venv"), PathBuf::from);
    let python = venv.join("bin").join("python");
    let has_onnx = || run(Command::new(&python).args(["-c", "import onnx"])).is_ok();
    if has_onnx() {
        return python;
    }
    std::fs::create_dir_all(venv.parent().unwrap()).unwrap();
    // Two test runs at once would unpack into one another.
    let lock = std::fs::File::create(venv.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !has_onnx() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
            .expect("python3 makes a virtual environment (Debian: apt-get install python3-venv)");
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "onnx>=1.17,<2"]))
            .expect("pip installs onnx");
    }
    python
}

/// The target directory this test was built into.
fn target_dir() -> PathBuf {
    // CARGO_TARGET_TMPDIR is target/tmp.
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_path_buf()
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}
