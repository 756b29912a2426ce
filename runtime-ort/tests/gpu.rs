//! Models and memory on a GPU's provider: the one that PICARDY_TEST_PROVIDER names.
//!
//! tests/webgpu.sh and tests/cuda.sh run these tests; without them they are reported as ignored.

mod common;

use common::{
    PlainMlp,
    affine::{Affine, biased},
    command, pseudo_random,
};
use ort::value::Tensor;
use picardy_ort::{
    Model, Options, OrtDenoiser, OrtError, Provider, Runtime,
    device::{self, DeviceMemory, DeviceTensor},
    ensure_runtime, placement,
    provider::exclusive,
};
use picardy_trainer::onnx::{Element, Extent, GraphBuilder};

/// The provider under test, with ONNX Runtime loaded for it.
fn provider() -> Provider {
    let name = std::env::var("PICARDY_TEST_PROVIDER").expect("run tests/webgpu.sh or tests/cuda.sh");
    let provider = name.parse().unwrap();
    if Runtime::load_for(provider, None).is_err() {
        ensure_runtime().unwrap();
    }
    provider
}

fn options() -> Options {
    Options { provider: provider(), ..Options::default() }
}

/// z = x op y over `[n, 4]`.
fn binary(op: &str) -> Model {
    let shape = [Extent::Free("n"), Extent::Fixed(4)];
    let mut graph = GraphBuilder::new("binary");
    graph.input("x", Element::F32, &shape);
    graph.input("y", Element::F32, &shape);
    graph.node("z", op, &["x", "y"], &[]);
    graph.output("z", &shape);
    Model::from_bytes(&graph.finish().unwrap(), options()).unwrap()
}

fn held(tensor: &Tensor<f32>) -> Vec<f32> {
    let mut values = vec![f32::NAN; tensor.shape().num_elements()];
    device::download(tensor, &mut values).unwrap();
    values
}

/// A recurrence that stays on the device: y becomes x + y, by two bindings in turn, and the host
/// sees nothing before the end.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn a_recurrence_stays_on_the_device() {
    let mut model = binary("Add");
    let memory = DeviceMemory::of(&model).unwrap();
    assert_eq!(memory.provider(), provider());
    let _turn = exclusive(provider());
    let mut tensors: Vec<DeviceTensor<f32>> = (0..3).map(|_| memory.tensor(&[2, 4]).unwrap()).collect();
    assert!(!tensors[0].memory_info().is_cpu_accessible());
    let values: Vec<f32> = (0..8).map(|i| i as f32).collect();
    device::upload(&values, &mut tensors[0]).unwrap();
    device::upload(&[1.0; 8], &mut tensors[1]).unwrap();
    let [x, mut even, mut odd] = <[DeviceTensor<f32>; 3]>::try_from(tensors).unwrap();
    let session = model.session_mut();
    let mut bindings = [session.create_binding().unwrap(), session.create_binding().unwrap()];
    for binding in &mut bindings {
        binding.bind_input("x", &x).unwrap();
    }
    bindings[0].bind_input("y", &even).unwrap();
    bindings[0].bind_output("z", &mut *odd).unwrap();
    bindings[1].bind_input("y", &odd).unwrap();
    bindings[1].bind_output("z", &mut *even).unwrap();
    for round in 0..10 {
        // Bound once: a binding sees what the device's memory holds in each run.
        session.run_binding(&bindings[round % 2]).unwrap();
    }
    let expected: Vec<f32> = values.iter().map(|x| 1.0 + 10.0 * x).collect();
    assert_eq!(held(&even), expected);
    // What was in the memory before is gone for the next run too.
    device::upload(&[0.0; 8], &mut even).unwrap();
    session.run_binding(&bindings[0]).unwrap();
    assert_eq!(held(&odd), values);
}

/// One session's output is another one's input, and memory outlives the sessions it was used by.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn sessions_share_memory_and_may_go_before_it() {
    let _turn = exclusive(provider());
    let memory = DeviceMemory::new(provider()).unwrap();
    let mut x: DeviceTensor<f32> = memory.tensor(&[3, 4]).unwrap();
    let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
    device::upload(&values, &mut x).unwrap();
    let mut sum: DeviceTensor<f32> = memory.tensor(&[3, 4]).unwrap();
    let product = {
        let (mut add, mut multiply) = (binary("Add"), binary("Mul"));
        let mut first = add.session_mut().create_binding().unwrap();
        first.bind_input("x", &x).unwrap();
        first.bind_input("y", &x).unwrap();
        first.bind_output("z", &mut *sum).unwrap();
        add.session_mut().run_binding(&first).unwrap();
        let mut second = multiply.session_mut().create_binding().unwrap();
        second.bind_input("x", &sum).unwrap();
        second.bind_input("y", &x).unwrap();
        second.bind_output_to_device("z", &memory.info().unwrap()).unwrap();
        let mut outputs = multiply.session_mut().run_binding(&second).unwrap();
        outputs.remove("z").unwrap().downcast::<ort::value::TensorValueType<f32>>().unwrap()
    };
    assert!(!product.memory_info().is_cpu_accessible());
    let expected: Vec<f32> = values.iter().map(|x| 2.0 * x * x).collect();
    assert_eq!(held(&product), expected);
    let mut copy: DeviceTensor<f32> = memory.tensor(&[12]).unwrap();
    device::copy(&product, &mut copy).unwrap();
    drop(product);
    assert_eq!(held(&copy), expected);
    drop(memory);
    assert_eq!(held(&sum), values.iter().map(|x| 2.0 * x).collect::<Vec<f32>>());
}

#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn copies_of_other_lengths_are_refused() {
    let memory = DeviceMemory::new(provider()).unwrap();
    let mut two: DeviceTensor<f32> = memory.tensor(&[2]).unwrap();
    let mut three: DeviceTensor<f32> = memory.tensor(&[3]).unwrap();
    device::upload(&[1.0, 2.0], &mut two).unwrap();
    device::upload(&[3.0; 3], &mut three).unwrap();
    for error in [
        device::upload(&[0.0; 4], &mut three).unwrap_err(),
        device::download(&three, &mut [0.0; 4]).unwrap_err(),
        device::copy(&two, &mut three).unwrap_err(),
        device::copy(&three, &mut two).unwrap_err(),
    ] {
        assert!(matches!(error, OrtError::Copy { .. }), "{error}");
    }
    assert_eq!(held(&two), [1.0, 2.0]);
    assert_eq!(held(&three), [3.0; 3]);
}

/// A model's calls equal the processor's.
///
/// At timestep 0 to 1e-6, whose embedding is exact. At others WebGPU's sine decides, which its standard
/// has right to 2^-11 alone: the embedding is that far off, and the output about as much.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn calls_equal_the_processors() {
    let options = options();
    let others = if options.provider == Provider::WebGpu { 5e-4 } else { 1e-4 };
    for (dim, width, blocks) in [(2, 128, 2), (5, 12, 3), (64, 512, 4)] {
        let file = PlainMlp::new(dim, width, blocks).onnx(&[]);
        let model = |options| Model::from_bytes(&file, options).unwrap();
        let mut host = OrtDenoiser::new(model(Options::default())).unwrap();
        let mut device = OrtDenoiser::new(model(options.clone())).unwrap();
        assert_eq!(device.model().provider(), options.provider);
        let mut next = pseudo_random(11);
        for rows in [1, 2, 33, 1, 200] {
            let x: Vec<f32> = (0..rows * dim).map(|_| 3.0 * next()).collect();
            for (last, bound) in [(1, 1e-6), (1000, others)] {
                let t = || (0..rows).map(|row| (row * 37 % last) as f64);
                let (mut a, mut b) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                host.run(&x, t(), &mut a).unwrap();
                device.run(&x, t(), &mut b).unwrap();
                let scale = a.iter().fold(1.0f32, |scale, a| scale.max(a.abs()));
                let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f32::max);
                println!("{dim} {width} {blocks}, {rows} rows, t below {last}: {worst:e}");
                assert!(worst <= bound, "{dim} {width} {blocks}, {rows} rows, t below {last}: {worst:e}");
            }
        }
    }
}

/// A batch that the device has no memory for is an error, and the model goes on working after it.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn too_large_a_batch_is_an_error_and_no_more() {
    let mut model = binary("Add");
    let memory = DeviceMemory::of(&model).unwrap();
    let _turn = exclusive(provider());
    // 4 TB. WebGPU says so in the run, CUDA when the memory is asked for.
    let failed = memory.tensor::<f32>(&[1 << 38, 4]).and_then(|x| {
        let session = model.session_mut();
        let mut binding = session.create_binding()?;
        binding.bind_input("x", &x)?;
        binding.bind_input("y", &x)?;
        binding.bind_output_to_device("z", &memory.info()?)?;
        session.run_binding(&binding)?;
        Ok(())
    });
    let error = failed.unwrap_err();
    assert!(error.is_out_of_memory(), "{error}");
    let mut x: DeviceTensor<f32> = memory.tensor(&[1, 4]).unwrap();
    device::upload(&[1.0, 2.0, 3.0, 4.0], &mut x).unwrap();
    let session = model.session_mut();
    let mut binding = session.create_binding().unwrap();
    binding.bind_input("x", &x).unwrap();
    binding.bind_input("y", &x).unwrap();
    let mut z: DeviceTensor<f32> = memory.tensor(&[1, 4]).unwrap();
    binding.bind_output("z", &mut *z).unwrap();
    session.run_binding(&binding).unwrap();
    assert_eq!(held(&z), [2.0, 4.0, 6.0, 8.0]);
}

/// What runs where is recorded: all of the network's products on the device.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn placements_name_the_device() {
    let file = PlainMlp::new(2, 8, 1).onnx(&[]);
    let model = Model::from_bytes(&file, options()).unwrap();
    let name = model.provider().ort_name().unwrap();
    let products: Vec<_> = model
        .placements()
        .iter()
        .filter(|placement| ["MatMul", "Gemm", "FusedGemm"].contains(&placement.operator.as_str()))
        .collect();
    assert!(products.len() >= 4, "{:?}", model.placements());
    assert!(products.iter().all(|placement| placement.provider == name), "{products:?}");
    assert!(placement::counts(model.placements())[name] > model.placements().len() / 2);
}

/// x over `[n, 4]` through the operators, the last of which gives y.
fn chain(operators: &[&str]) -> Vec<u8> {
    let shape = [Extent::Free("n"), Extent::Fixed(4)];
    let mut graph = GraphBuilder::new("chain");
    graph.input("x", Element::F32, &shape);
    let mut last = "x".to_owned();
    for (i, operator) in operators.iter().enumerate() {
        let name = if i + 1 == operators.len() { "y".to_owned() } else { format!("step{i}") };
        last = graph.node(&name, operator, &[&last], &[]);
    }
    graph.output("y", &shape);
    graph.finish().unwrap()
}

/// A node without a kernel on the device is left to the processor, and `info` shows it first; a model of
/// such nodes alone is refused.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn nodes_left_to_the_processor_are_told() {
    let options = options();
    let model = Model::from_bytes(&chain(&["Neg", "NoSuchOperator"]), options.clone());
    assert!(matches!(model, Err(OrtError::NotAModel { .. })), "an operator that nobody has: {model:?}");
    // Neither CUDA nor WebGPU has a kernel for it.
    let left = "Hardmax";
    let model = Model::from_bytes(&chain(&["Neg", left, "Neg"]), options.clone()).unwrap();
    let counts = placement::counts(model.placements());
    assert_eq!(counts["CPUExecutionProvider"], 1, "{:?}", model.placements());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("part.onnx"), chain(&["Neg", left, "Neg"])).unwrap();
    let name = options.provider.to_string();
    let info = command::said(&command::picardy_ort(dir.path(), &["info", "part.onnx", "--provider", &name]));
    let first = info.lines().find(|line| line.starts_with("node  ")).unwrap();
    assert!(first.contains(left) && first.contains("CPUExecutionProvider"), "{info}");
    let error = Model::from_bytes(&chain(&[left]), options.clone()).unwrap_err().to_string();
    for part in [name.as_str(), "takes none of the model's 1 nodes", "--provider cpu"] {
        assert!(error.contains(part), "{part} in {error}");
    }
    // Asked for nothing in particular, the processor is right.
    let auto = Options { provider: Provider::Auto, ..Options::default() };
    let model = Model::from_bytes(&chain(&[left]), auto).unwrap();
    assert_eq!(model.provider(), Provider::Cpu);
    assert!(!model.passed_over().is_empty());
}

/// The command on the device: `info` shows the placements, `sample` gives the processor's samples.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn the_command_runs_on_the_device() {
    let provider = provider();
    let name = provider.to_string();
    let dir = command::models();
    let info = command::said(&command::picardy_ort(dir.path(), &["info", "plain.onnx", "--provider", &name]));
    for part in
        [format!("provider  {name}"), format!("{} runs", provider.ort_name().unwrap()), "Gemm".to_owned()]
    {
        assert!(info.contains(&part), "{part} in {info}");
    }
    // One that clips, one that keeps the noise as it clips, and none.
    for (file, class, clips) in [("clips", "DDPM", true), ("keeps", "DDIM", true), ("plain", "DDIM", false)] {
        let text = format!(r#"{{"_class_name": "{class}Scheduler", "clip_sample": {clips}}}"#);
        std::fs::write(dir.path().join(format!("{file}.json")), text).unwrap();
    }
    std::fs::write(dir.path().join("biased.onnx"), biased().finish().unwrap()).unwrap();
    let wide = Affine { x: Element::F64, out: Element::F64, ..Affine::plain(&[2]) };
    std::fs::write(dir.path().join("wide.onnx"), wide.graph().finish().unwrap()).unwrap();
    // Without a sine, of which WGSL promises eleven bits.
    let plain = "biased.onnx --condition bias=0.5,-0.25";
    let guided = format!("{plain} --guidance 2.5");
    let epsilon = "--prediction epsilon --schedule linear";
    let picard = "--method picard --tolerance 1e-6";
    for (arguments, stays) in [
        ("card.onnx".to_owned(), true),
        // WebGPU has no kernels of f64, and the rows lie in host memory.
        (format!("wide.onnx {epsilon} {picard}"), provider != Provider::WebGpu),
        (format!("card.onnx {picard}"), true),
        (format!("{guided} {epsilon}"), true),
        (format!("{guided} {epsilon} {picard}"), true),
        (format!("{guided} {epsilon} --guidance-rescale 0.5"), false),
        (format!("{plain} --scheduler-config clips.json"), true),
        (format!("{guided} --scheduler-config clips.json {picard}"), true),
        (format!("{plain} --scheduler-config keeps.json"), false),
        (format!("{plain} --scheduler-config plain.json"), true),
    ] {
        let sample = |provider: &str, out: &str| {
            let args: Vec<&str> = std::iter::once("sample")
                .chain(arguments.split(' '))
                .chain(["--steps", "20", "--batch", "4", "--provider", provider, "--out", out])
                .collect();
            let said = command::said(&command::picardy_ort(dir.path(), &args));
            let stayed = said.contains("the states stayed on");
            assert_eq!(stayed, stays && provider != "cpu", "{arguments}: {said}");
            command::numbers(&dir.path().join(out)).1
        };
        let (host, device) = (sample("cpu", "a.npy"), sample(&name, "b.npy"));
        let scale = host.iter().fold(1.0f32, |scale, x| scale.max(x.abs()));
        let worst = host.iter().zip(&device).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f32::max);
        println!("{arguments}: {worst:e}");
        assert!(worst <= 1e-4, "{arguments}: {worst:e}");
    }
}

/// Threads that run, allocate and free at once.
#[test]
#[ignore = "needs a GPU's provider: run tests/webgpu.sh or tests/cuda.sh"]
fn threads_take_turns() {
    let options = options();
    let file = PlainMlp::new(2, 8, 1).onnx(&[]);
    let mut host = OrtDenoiser::new(Model::from_bytes(&file, Options::default()).unwrap()).unwrap();
    let (x, t) = ([0.5, -1.0, 2.0, 1.0], [3.0, 7.0]);
    let mut expected = [0.0; 4];
    host.run(&x, t.into_iter(), &mut expected).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let model = Model::from_bytes(&file, options.clone()).unwrap();
                    let mut denoiser = OrtDenoiser::new(model).unwrap();
                    let memory = DeviceMemory::of(denoiser.model()).unwrap();
                    for _ in 0..10 {
                        let mut out = [0.0; 4];
                        denoiser.run(&x, t.into_iter(), &mut out).unwrap();
                        assert!(out.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-4), "{out:?}");
                        let mut tensor: DeviceTensor<f32> = memory.tensor(&[4]).unwrap();
                        device::upload(&out, &mut tensor).unwrap();
                        assert_eq!(held(&tensor), out);
                    }
                }
            });
        }
    });
}
