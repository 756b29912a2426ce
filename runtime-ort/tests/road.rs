//! From training to samples, for everything a network can be trained to return and every process: one card in both files says
//! enough for the command and for core to draw the same samples, which are like the data.

mod common;

use std::path::Path;

use common::command::{complaint, numbers, picardy_ort, said};
use picardy::nn::{Artifact, ModelCard, Network, NetworkDenoiser, Step};
use picardy::{
    Betas, Ddim, Level, Memory, Node, Noise, NoiseSchedule, Prediction, Sampler, Sequential, Solver,
};
use picardy_ort::ensure_runtime;
use picardy_trainer::data::{Builtin, Dataset};
use picardy_trainer::evaluate;
use picardy_trainer::export;
use picardy_trainer::loss::{LossConfig, OutputName, ProcessName};
use picardy_trainer::metrics::GaussianKernel;
use picardy_trainer::model::{NetworkKind, Precision};
use picardy_trainer::train::{TrainConfig, Trainer};

const STEPS: usize = 40;
const COUNT: usize = 600;
const SEED: u64 = 3;

/// Two moons far from the origin, each coordinate in its own unit.
fn data(seed: u64, count: usize) -> Dataset {
    Builtin::TwoMoons.sample(count, seed).unwrap()
}

fn train(loss: LossConfig) -> Trainer {
    let network = NetworkKind::ResidualMlp { width: 64, blocks: 2 };
    let mut config = TrainConfig { loss, network, ..TrainConfig::default() };
    (config.run.steps, config.optimiser.rate) = (2000, 3e-3);
    let mut trainer = Trainer::new(config, data(0, 2000)).unwrap();
    while !trainer.is_finished() {
        trainer.step().unwrap();
    }
    trainer
}

/// Samples in the network's coordinates by core's network alone, as the card of `artifact` says, or `changed`.
fn native(artifact: &Artifact<'_>, changed: impl Fn(&mut ModelCard<'_>)) -> Vec<f32> {
    let mut card = ModelCard::from_lookup(|key| artifact.metadata(key)).unwrap();
    changed(&mut card);
    let mut steps = vec![Step::default(); card.architecture.steps(card.condition)];
    let network = Network::from_artifact(artifact, &card, &mut steps).unwrap();
    let mut scratch = vec![0.0; network.scratch_len(48)];
    let mut denoiser = NetworkDenoiser::new(network, &[], &mut scratch);
    let (mut levels, mut nodes) = (vec![Level::default(); STEPS + 1], vec![Node::default(); STEPS + 1]);
    let grid = card.schedule.trailing(STEPS, &mut levels).unwrap();
    let plan = Ddim::default().plan(&grid, card.prediction, &mut nodes).unwrap();
    let (noise, mut x, mut memory) = (Noise::seeded(SEED), vec![0.0f32; 2 * COUNT], Memory::new());
    plan.start(&noise, 2, &mut x);
    let mut workspace = memory.workspace(Sequential.need(&plan, COUNT), 2);
    Sequential.run(&plan, &mut denoiser, &noise, &mut x, &mut workspace).unwrap();
    x
}

/// MMD^2 to fresh data in the trainer's coordinates.
fn mmd(trainer: &Trainer, samples: &[f32]) -> f64 {
    // Divergent samples are far from the data, and no error.
    let samples: Vec<f32> = samples.iter().map(|x| x.clamp(-1e3, 1e3)).collect();
    let (mean, scale) = (trainer.data().mean(), trainer.data().scale());
    let fresh = data(9, COUNT);
    let raw = fresh.restore(&fresh.data());
    let fresh: Vec<f32> =
        raw.iter().enumerate().map(|(i, x)| ((x - mean[i % 2]) / scale[i % 2]) as f32).collect();
    GaussianKernel::default().mmd(&samples, &fresh, 2).unwrap().value
}

fn largest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Trains, exports, samples with the command and with core, and compares; `wrong` cards must give other samples.
fn walk(process: ProcessName, prediction: OutputName, keys: &[&str]) {
    ensure_runtime().unwrap();
    let mut loss = LossConfig { process, prediction, ..LossConfig::standard() };
    // Settings other than the defaults, so that one which is lost shows.
    (loss.sigma_data, loss.shift, loss.variance) = (0.6, 1.5, 0.4);
    let trainer = train(loss);
    let dir = tempfile::tempdir().unwrap();
    let (network, card) = (trainer.averaged().unwrap(), trainer.card());
    export::write(dir.path(), "model", &network, &card, Precision::F32).unwrap();

    let shown = said(&picardy_ort(dir.path(), &["info", "model.onnx"]));
    for key in keys {
        assert!(shown.contains(key), "{key} in {shown}");
    }
    let sample = |out: &str, more: &[&str]| {
        let (steps, count, seed) = (STEPS.to_string(), COUNT.to_string(), SEED.to_string());
        let run =
            ["sample", "model.onnx", "--steps", &steps, "--batch", &count, "--seed", &seed, "--out", out];
        said(&picardy_ort(dir.path(), &[&run[..], more].concat()));
        let (shape, values) = numbers(&dir.path().join(out));
        assert_eq!(shape, [COUNT as u64, 2]);
        values
    };
    let by_command = sample("ddim.npy", &["--solver", "ddim", "--normalised"]);

    let bytes = std::fs::read(dir.path().join("model.safetensors")).unwrap();
    let artifact = Artifact::parse(&bytes).unwrap();
    let by_core = native(&artifact, |_| ());
    assert!(largest(&by_command, &by_core) <= 1e-4, "{}", largest(&by_command, &by_core));
    let found = ModelCard::from_lookup(|key| artifact.metadata(key)).unwrap();
    assert_eq!(
        (found.schedule, found.prediction),
        (trainer.config().noise_schedule().unwrap(), trainer.config().loss.output())
    );
    let by_trainer = evaluate::sample(&bytes, found.schedule, &Ddim::default(), STEPS, COUNT, SEED).unwrap();
    assert!(largest(&by_trainer, &by_core) <= 1e-4, "{}", largest(&by_trainer, &by_core));

    // In the data's own units the command says what the card's scaling makes of them.
    let mut restored = by_core.clone();
    found.restore(&mut restored);
    let own = sample("own.npy", &["--solver", "ddim"]);
    assert!(largest(&own, &restored) <= 1e-3, "{}", largest(&own, &restored));

    let right = mmd(&trainer, &by_core);
    println!("{}/{}: MMD^2 {right:.5}", process_name(process), found.prediction);
    assert!(right < 0.03, "{right}");
    // DDPM and Picard, too.
    let ddpm = sample("ddpm.npy", &["--solver", "ddpm", "--normalised"]);
    assert!(mmd(&trainer, &ddpm) < 0.03, "{}", mmd(&trainer, &ddpm));
    let picard = ["--solver", "ddim", "--normalised", "--method", "picard", "--tolerance", "0"];
    let picard = sample("picard.npy", &picard);
    assert!(largest(&picard, &by_command) <= 1e-3, "{}", largest(&picard, &by_command));
    // What another prediction would make of the same network is not the data.
    let d = 0.6;
    for wrong in [
        Prediction::Epsilon,
        Prediction::Sample,
        Prediction::V,
        Prediction::Flow,
        Prediction::Edm { sigma_data: d },
    ] {
        let singular = process == ProcessName::Flow && wrong == Prediction::Epsilon;
        if wrong == found.prediction || singular {
            continue;
        }
        let far = mmd(&trainer, &native(&artifact, |card| card.prediction = wrong));
        println!("  as {wrong}: {far:.5}");
        assert!(far > 2.0 * right.max(0.01), "{wrong}: {far} where {right}");
    }
    refusals(dir.path(), process);
}

fn process_name(process: ProcessName) -> &'static str {
    match process {
        ProcessName::Vp => "vp",
        ProcessName::Flow => "flow",
        ProcessName::Pinned => "pinned",
    }
}

/// What the command refuses of such a model.
fn refusals(dir: &Path, process: ProcessName) {
    let refused = |more: &[&str]| {
        complaint(&picardy_ort(dir, &[&["sample", "model.onnx", "--steps", "10"][..], more].concat()))
    };
    if process == ProcessName::Vp {
        return;
    }
    let name = process_name(process);
    for solver in ["tcd", "pndm", "ddim_stride"] {
        let said = refused(&["--solver", solver]);
        assert!(said.contains(solver) && said.contains(name) && said.contains("ddim"), "{said}");
    }
    if process == ProcessName::Flow {
        let said = refused(&["--spacing", "leading"]);
        assert!(said.contains("--spacing leading") && said.contains("flow"), "{said}");
    }
    let config = r#"{"_class_name": "DDIMScheduler", "prediction_type": "sample"}"#;
    std::fs::write(dir.join("scheduler.json"), config).unwrap();
    let said = refused(&["--scheduler-config", "scheduler.json"]);
    assert!(said.contains("the model's metadata says"), "{said}");
}

#[test]
fn epsilon() {
    walk(ProcessName::Vp, OutputName::Epsilon, &["picardy.version = 1", "picardy.prediction = epsilon"]);
}

#[test]
fn sample_prediction() {
    walk(ProcessName::Vp, OutputName::Sample, &["picardy.version = 1", "picardy.prediction = sample"]);
}

#[test]
fn v() {
    walk(ProcessName::Vp, OutputName::V, &["picardy.version = 1", "picardy.prediction = v_prediction"]);
}

#[test]
fn edm() {
    let keys = ["picardy.version = 2", "picardy.prediction = edm", "picardy.sigma_data = 0.6"];
    walk(ProcessName::Vp, OutputName::Edm, &keys);
}

#[test]
fn flow() {
    let keys = ["picardy.version = 2", "picardy.process = flow", "picardy.shift = 1.5"];
    walk(ProcessName::Flow, OutputName::Flow, &keys);
}

#[test]
fn edm_of_a_flow() {
    let keys = ["picardy.process = flow", "picardy.prediction = edm"];
    walk(ProcessName::Flow, OutputName::Edm, &keys);
}

#[test]
fn pinned() {
    let keys = ["picardy.version = 2", "picardy.process = pinned", "picardy.variance = 0.4"];
    walk(ProcessName::Pinned, OutputName::Sample, &keys);
}

#[test]
fn edm_of_the_pinned_process() {
    let keys = ["picardy.process = pinned", "picardy.sigma_data = 0.6"];
    walk(ProcessName::Pinned, OutputName::Edm, &keys);
}

/// Every solver makes the data of every process, by the exact denoiser.
#[test]
fn every_solver_walks_every_process() {
    use picardy::{AnySolver, DdimStride, Final, Mixture, Pndm, Tcd};
    let betas = Betas::linear(1000, 1e-4, 2e-2);
    let schedules = [
        NoiseSchedule::Vp(betas),
        NoiseSchedule::Pinned { betas, variance: 0.4 },
        NoiseSchedule::Flow(picardy::FlowShift { train_steps: 1000, shift: 1.5 }),
        NoiseSchedule::Ve { sigma_min: 0.01, sigma_max: 50.0, rho: 7.0 },
    ];
    let mixture = Mixture::new(&[-1.0, 1.0], &[0.5, 0.5], 0.3, 1).unwrap();
    let mut bad = Vec::new();
    for schedule in schedules {
        for (name, solver) in AnySolver::list() {
            let tables = ["tcd", "pndm", "ddim_stride"].contains(&name);
            // Those look levels up in a table of betas; the last reckons with timesteps.
            if (tables && schedule.process() != "vp") || (name == "lcm" && schedule.process() == "ve") {
                continue;
            }
            let solver = match solver {
                AnySolver::Tcd(tcd) => AnySolver::Tcd(Tcd { betas, ..tcd }),
                AnySolver::Pndm(_) => AnySolver::Pndm(Pndm { betas, last: Final::Data }),
                AnySolver::DdimStride(ddim) => {
                    AnySolver::DdimStride(DdimStride { betas, last: Final::Data, ..ddim })
                }
                other => other,
            };
            let steps = 60;
            let mut levels = vec![Level::default(); steps + 1];
            let mut nodes = vec![Node::default(); solver.nodes(steps)];
            let grid = schedule.trailing(steps, &mut levels).unwrap();
            let prediction = Prediction::Edm { sigma_data: 0.7 };
            let plan = match solver.plan(&grid, prediction, &mut nodes) {
                Ok(plan) => plan,
                // No signal at its start, of which log-SNRs and sigmas know nothing: said, and not sampled wrongly.
                Err(error) if schedule.process() == "flow" => {
                    assert!(
                        error.to_string().contains("node 0") || error.to_string().contains("NaN"),
                        "{error}"
                    );
                    continue;
                }
                Err(error) => panic!("{name}, {}: {error}", schedule.process()),
            };
            let (noise, mut x, mut memory) = (Noise::seeded(1), vec![0.0f64; 1000], Memory::new());
            plan.start(&noise, 1, &mut x);
            let mut workspace = memory.workspace(Sequential.need(&plan, 1000), 1);
            Sequential
                .run(&plan, &mut mixture.predicting(prediction), &noise, &mut x, &mut workspace)
                .unwrap();
            let square = x.iter().map(|x| x * x).sum::<f64>() / 1000.0;
            let near = x.iter().filter(|x| (x.abs() - 1.0).abs() < 0.9).count();
            println!("{:7} {name:22} {square:.3} {near}", schedule.process());
            if !((square / 1.09 - 1.0).abs() < 0.2 && near > 950) {
                bad.push(format!("{} {name}: {square} {near}", schedule.process()));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}
