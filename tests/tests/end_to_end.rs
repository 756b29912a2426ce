//! The whole road on a small run: data, training, export, and the same numbers from every engine.

use picardy::nn::{Artifact, MlpDenoiser, ModelCard, ResidualMlp};
use picardy::{Form, Memory, Noise, Picard, Plan, Sampler, Sequential};
use picardy_ort::{Model, Options, OrtDenoiser, ensure_runtime};
use picardy_tests::{Solved, distance, plan, run};
use picardy_trainer::data::Builtin;
use picardy_trainer::export;
use picardy_trainer::model::{Network, Precision};
use picardy_trainer::train::{LossKind, TrainConfig, Trainer};
use std::sync::LazyLock;

/// A network that knows the dino a little: enough for a run to have something to follow.
struct Trained {
    model: Network<f32>,
    card: Vec<(String, String)>,
    bytes: Vec<u8>,
    onnx: Vec<u8>,
}

static TRAINED: LazyLock<Trained> = LazyLock::new(|| {
    let mut config = TrainConfig { loss: LossKind::Standard.config(), ..TrainConfig::default() };
    config.run.steps = 1500;
    let mut trainer = Trainer::new(config, Builtin::Dino.sample(4000, 0).unwrap()).unwrap();
    while !trainer.is_finished() {
        trainer.step().unwrap();
    }
    let (model, card) = (trainer.averaged().unwrap(), trainer.card());
    let bytes = model.to_safetensors(&card, Precision::F32).unwrap();
    let onnx = export::onnx(&model, &card).unwrap();
    Trained { model, card, bytes, onnx }
});

/// 300 states over all levels, some of them far off the data.
fn probes() -> (Vec<f32>, Vec<f32>) {
    let noise = Noise::seeded(11);
    let mut x = vec![0.0f32; 600];
    noise.fill(2.0, 0, 0, &mut x);
    (x, (0..300).map(|i| (i * 999 / 299) as f32).collect())
}

fn largest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn trainer_core_and_onnx_runtime_agree() {
    ensure_runtime().unwrap();
    let (x, t) = probes();
    let artifact = Artifact::parse(&TRAINED.bytes).unwrap();
    let network = ResidualMlp::from_artifact(&artifact).unwrap();
    let mut core = vec![0.0; 600];
    network.forward(&x, t.iter().copied(), &mut core, &mut vec![0.0; network.scratch_len(48)]).unwrap();

    let mut trainer = Vec::new();
    let mut model = Network::<f32>::from_safetensors(&TRAINED.bytes, 300).unwrap();
    trainer.extend_from_slice(model.forward(&x, &t, &[]).unwrap());

    let mut denoiser =
        OrtDenoiser::new(Model::from_bytes(&TRAINED.onnx, Options::default()).unwrap()).unwrap();
    let mut ort = vec![0.0; 600];
    denoiser.run(&x, t.iter().map(|t| f64::from(*t)), &mut ort).unwrap();

    assert!(core.iter().any(|x| x.abs() > 0.5), "the probes ask for something");
    assert!(largest(&core, &trainer) <= 1e-6, "core against trainer: {}", largest(&core, &trainer));
    assert!(largest(&core, &ort) <= 1e-5, "core against ONNX Runtime: {}", largest(&core, &ort));
}

#[test]
fn both_files_carry_the_same_card() {
    ensure_runtime().unwrap();
    let artifact = Artifact::parse(&TRAINED.bytes).unwrap();
    let model = Model::from_bytes(&TRAINED.onnx, Options::default()).unwrap();
    assert!(TRAINED.card.len() > 10);
    for (key, value) in &TRAINED.card {
        assert_eq!(artifact.metadata(key), Some(value.as_str()), "{key}");
        assert_eq!(model.metadata().get(key), Some(value), "{key}");
    }
    let card = ModelCard::from_lookup(|key| artifact.metadata(key)).unwrap();
    assert_eq!(card.schedule, picardy::Betas::linear(1000, 1e-4, 2e-2).into());
    assert_eq!((card.dim(), card.prediction), (2, picardy::Prediction::Epsilon));
    assert!((card.data_variance - 1.0).abs() < 0.05);
}

#[test]
fn picard_takes_under_half_of_paradigms_rounds_on_a_network_and_ends_nearer() {
    let network = ResidualMlp::from_artifact(&Artifact::parse(&TRAINED.bytes).unwrap()).unwrap();
    let mut scratch = vec![0.0; network.scratch_len(48)];
    let mut model = MlpDenoiser::new(network, &mut scratch);
    let nodes = plan(Solved::Ddpm, 1000);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let noise = Noise::seeded(3);
    let sequential = run::<f32, _, _, _>(&Sequential, &plan, &mut model, &noise, 16, 2).unwrap();
    let paradigms = Picard::paradigms(usize::MAX, 0.1);
    let paradigms = run::<f32, _, _, _>(&paradigms, &plan, &mut model, &noise, 16, 2).unwrap();
    let picard = run::<f32, _, _, _>(&Picard::default(), &plan, &mut model, &noise, 16, 2).unwrap();
    let [near, far] = [&picard, &paradigms].map(|run| distance(&sequential.x, &run.x));
    assert!(near < 1e-3 && near <= far, "{near:e} {far:e}");
    assert!(
        2 * picard.report.rounds <= paradigms.report.rounds,
        "{:?} {:?}",
        picard.report,
        paradigms.report
    );
    assert!(5 * picard.report.evaluations <= 2 * paradigms.report.evaluations);
}

#[test]
fn any_split_of_a_batch_gives_the_same_samples() {
    ensure_runtime().unwrap();
    let network = ResidualMlp::from_artifact(&Artifact::parse(&TRAINED.bytes).unwrap()).unwrap();
    let mut scratch = vec![0.0; network.scratch_len(48)];
    let mut core = MlpDenoiser::new(network, &mut scratch);
    let mut ort = OrtDenoiser::new(Model::from_bytes(&TRAINED.onnx, Options::default()).unwrap()).unwrap();
    let nodes = plan(Solved::Ddpm, 50);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let noise = Noise::seeded(5);
    let whole = run::<f32, _, _, _>(&Sequential, &plan, &mut core, &noise, 20, 2).unwrap().x;
    let whole_ort = run::<f32, _, _, _>(&Sequential, &plan, &mut ort, &noise, 20, 2).unwrap().x;
    assert!(distance(&whole, &whole_ort) < 1e-4, "{}", distance(&whole, &whole_ort));
    for split in [1, 3, 7, 19] {
        let rest = noise.from_item(split as u64);
        let front = run::<f32, _, _, _>(&Sequential, &plan, &mut core, &noise, split, 2).unwrap().x;
        let back = run::<f32, _, _, _>(&Sequential, &plan, &mut core, &rest, 20 - split, 2).unwrap().x;
        assert_eq!([front, back].concat(), whole, "core::nn, split {split}: to the bit");
        let front = run::<f32, _, _, _>(&Sequential, &plan, &mut ort, &noise, split, 2).unwrap().x;
        let back = run::<f32, _, _, _>(&Sequential, &plan, &mut ort, &rest, 20 - split, 2).unwrap().x;
        // 50 steps in f32 on top of the runtime's own rounding, which may depend on the batch.
        assert!(largest(&[front, back].concat(), &whole_ort) < 1e-5, "ONNX Runtime, split {split}");
    }
}

#[test]
fn a_model_of_another_dimension_is_an_error() {
    ensure_runtime().unwrap();
    let network = ResidualMlp::from_artifact(&Artifact::parse(&TRAINED.bytes).unwrap()).unwrap();
    let mut scratch = vec![0.0; network.scratch_len(48)];
    let mut core = MlpDenoiser::new(network, &mut scratch);
    let mut ort = OrtDenoiser::new(Model::from_bytes(&TRAINED.onnx, Options::default()).unwrap()).unwrap();
    let nodes = plan(Solved::Ddpm, 10);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let noise = Noise::seeded(5);
    for dim in [1, 3, 4] {
        assert!(
            run::<f32, _, _, _>(&Sequential, &plan, &mut core, &noise, 2, dim).is_err(),
            "core::nn, dim {dim}"
        );
        assert!(run::<f32, _, _, _>(&Sequential, &plan, &mut ort, &noise, 2, dim).is_err(), "ort, dim {dim}");
    }
    let short = &mut [0.0; 10];
    let mut starved = MlpDenoiser::new(network, short);
    let error = run::<f32, _, _, _>(&Sequential, &plan, &mut starved, &noise, 2, 2).unwrap_err();
    assert!(error.to_string().contains("10"), "{error}");
}

#[test]
fn the_gradient_flows_to_a_better_model() {
    // What was trained is not what was drawn: its samples are nearer to the data than an untrained network's.
    let fresh = Builtin::Dino.sample(1000, 77).unwrap();
    let betas = picardy::Betas::linear(1000, 1e-4, 2e-2);
    let untrained = Network::<f32>::new(TRAINED.model.config(), 1, 0).unwrap();
    let untrained = untrained.to_safetensors(&TRAINED.card, Precision::F32).unwrap();
    let mmd = |bytes: &[u8]| {
        let ddim = picardy::Ddim::default();
        picardy_trainer::evaluate::mmd(bytes, betas, &ddim, 20, &fresh.data(), 2, 1).unwrap().value
    };
    let (before, after) = (mmd(&untrained), mmd(&TRAINED.bytes));
    assert!(after < 0.03 && after < before / 2.0, "{before} to {after}");
}

#[test]
fn memory_is_reused_between_runs() {
    let nodes = plan(Solved::Ddpm, 20);
    let plan = Plan::new(&nodes, Form::Data).unwrap();
    let picard = Picard::default();
    let mut memory = Memory::<f32>::new();
    let needs = [4, 1, 8].map(|batch| picard.need(&plan, batch));
    for need in needs {
        assert!(memory.workspace(need, 2).size().rows >= need.rows);
    }
}
