//! Runs on a device beside native ones: the same losses, weights, evaluations and checkpoints. On the processor, or on the provider
//! that PICARDY_TEST_PROVIDER names.

mod onnx_common;

use onnx_common::apart;
use picardy_ort::{Provider, Runtime, ensure_runtime};
use picardy_trainer::data::{DataConfig, Dataset};
use picardy_trainer::loss::{Estimation, LossConfig, OutputName, ProcessName, ResidualName, WeightingName};
use picardy_trainer::model::NetworkKind;
use picardy_trainer::optimiser::RateShape;
use picardy_trainer::train::{
    Checkpoint, Config, EmaKind, LogState, LossKind, Origin, Run, TrainError, Trainer,
};

/// The device of these tests; its runtime is there.
fn device() -> String {
    let device = std::env::var("PICARDY_TEST_PROVIDER").unwrap_or_else(|_| "cpu".to_owned());
    if Runtime::load_for(device.parse::<Provider>().unwrap(), None).is_err() {
        ensure_runtime().unwrap();
    }
    device
}

/// The bound of what must be nearly the same: other devices sum in other orders, and on WebGPU the sine of the timestep's embedding
/// is right to 2^-11 alone, which its standard allows.
fn bound(on_the_processor: f64) -> f64 {
    if device() == "cpu" { on_the_processor } else { 10.0 * on_the_processor }
}

/// A small run of 20 steps, on one thread.
fn config(loss: LossConfig, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    config.data = DataConfig { source: "two-moons".into(), points: 200, held_out: 0.2, ..config.data };
    let train = &mut config.train;
    train.network = NetworkKind::ResidualMlp { width: 16, blocks: 2 };
    train.loss = loss;
    (train.loss.contrastive.items, train.loss.contrastive.draws) = (4, 4);
    (train.run.steps, train.run.batch, train.run.threads) = (20, 24, 1);
    train.optimiser.weight_decay = 0.01;
    change(&mut config);
    config
}

fn data(config: &Config) -> (Dataset, Option<Dataset>) {
    Origin { data: config.data.clone(), seed: config.train.run.seed }.load().unwrap()
}

fn begin(config: &Config, device: &str) -> Trainer {
    let mut train = config.train.clone();
    train.run.device = device.to_owned();
    let (rest, held_out) = data(config);
    Trainer::with_held_out(train, rest, held_out).unwrap()
}

fn weights(trainer: &Trainer) -> Vec<f32> {
    trainer.averaged().unwrap().parameters().to_vec()
}

/// Takes both runs to their ends, and gives how far apart losses, gradients' norms and the averaged weights' changes are.
fn distances(config: &Config) -> [f64; 4] {
    let (mut native, mut other) = (begin(config, "native"), begin(config, &device()));
    let start = weights(&native);
    assert_eq!(weights(&other), start);
    let mut worst = [0.0f64; 4];
    let relative = |a: f64, b: f64| (a - b).abs() / b.abs().max(1e-9);
    while !native.is_finished() {
        let (want, got) = (native.step().unwrap(), other.step().unwrap());
        assert_eq!((got.step, got.rate), (want.step, want.rate));
        worst[0] = worst[0].max(relative(got.terms.total(), want.terms.total()));
        worst[1] = worst[1].max(relative(got.norm, want.norm));
    }
    assert!(other.is_finished() && other.steps() == 20);
    let change = |trainer: &Trainer| -> Vec<f32> {
        let mut change: Vec<f32> =
            weights(trainer).iter().zip(&start).map(|(now, start)| now - start).collect();
        // A softmax does not see the keys' bias: its gradient is rounding alone, which Adam makes steps of.
        if let Some(bias) = trainer.layout().iter().find(|parameter| parameter.name == "mid.qkv.bias") {
            let width = bias.range.len() / 3;
            change[bias.range.start + width..][..width].fill(0.0);
        }
        change
    };
    worst[2] = apart(&change(&other), &change(&native));
    let (want, got) = (native.judge().unwrap().unwrap(), other.judge().unwrap().unwrap());
    worst[3] = relative(got.terms.total(), want.terms.total());
    // It changed nothing.
    assert_eq!(other.judge().unwrap().unwrap().terms, got.terms);
    worst
}

/// Fails where one of the runs is not the native one.
fn native(runs: impl IntoIterator<Item = (&'static str, Config)>) {
    let mut failed = Vec::new();
    for (name, config) in runs {
        let worst = distances(&config);
        println!("{name}: losses, norms, weights, held-out {worst:?}");
        if !worst.iter().all(|&worst| worst < bound(1e-4)) {
            failed.push((name, worst));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Digits with their labels, which are sometimes not told.
fn digits(config: &mut Config) {
    (config.data.source, config.data.labels) = ("digits".into(), "own".into());
    config.train.loss.condition_dropout = 0.2;
}

#[test]
fn images_train_as_natively() {
    let network = NetworkKind::Unet2d { widths: vec![4, 8], embedding: 4, blocks: 1, groups: 2, heads: 2 };
    let unet = |config: &mut Config| {
        digits(config);
        config.train.network = network;
    };
    native([("a U-Net", config(LossKind::Standard.config(), unet))]);
}

#[test]
fn each_loss_trains_as_natively() {
    let plain = |_: &mut Config| ();
    let mut snr = LossConfig { prediction: OutputName::V, ..LossKind::Contrastive.config() };
    snr.denoising.weighting = WeightingName::MinSnr;
    snr.likelihood.weight = 0.1;
    let flow = LossConfig {
        prediction: OutputName::Flow,
        process: ProcessName::Flow,
        ..LossKind::Standard.config()
    };
    let physics = |estimation| {
        let mut loss = LossConfig { prediction: OutputName::Sample, ..LossKind::Standard.config() };
        (loss.physics.weight, loss.physics.residual) = (0.01, ResidualName::Circle);
        (loss.physics.estimation, loss.physics.steps) = (estimation, 2);
        loss
    };
    let runs = [
        ("standard", config(LossKind::Standard.config(), plain)),
        ("contrastive", config(LossKind::Contrastive.config(), plain)),
        (
            "accumulated",
            config(LossKind::Contrastive.config(), |config| {
                config.train.optimiser.accumulate = 3;
                config.train.optimiser.clip = 0.3;
                config.train.optimiser.ema = EmaKind::None;
                config.train.optimiser.schedule = RateShape::OneCycle;
            }),
        ),
        ("v, min-SNR, contrastive, likelihood", config(snr, plain)),
        ("flow", config(flow, plain)),
        ("physics of the mean", config(physics(Estimation::Mean), plain)),
        ("physics of a sample", config(physics(Estimation::Sample), plain)),
        ("labels", config(LossKind::Standard.config(), digits)),
    ];
    native(runs);
}

fn bytes(run: &Run) -> Vec<u8> {
    std::fs::read(run.files().checkpoint()).unwrap()
}

#[test]
fn a_resumed_run_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(LossKind::Contrastive.config(), |_| ());
    (config.train.run.evaluate_every, config.train.run.device) = (10, device());
    let never = Default::default();
    let mut whole = Run::begin(config.clone(), &folder.path().join("whole"), false).unwrap();
    whole.go_on(&never, |_| ()).unwrap();
    let parts = folder.path().join("parts");
    let mut half = Run::begin(config, &parts, false).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut steps = 0;
    half.go_on(&stop, |_| {
        steps += 1;
        stop.store(steps == 7, std::sync::atomic::Ordering::Relaxed);
    })
    .unwrap();
    let kept = bytes(&half);
    assert!(half.trainer().steps() == 7 && half.trainer().config().run.device == device());
    drop(half);
    let mut resumed = Run::resume(&parts).unwrap();
    resumed.go_on(&never, |_| ()).unwrap();
    assert!(bytes(&whole) == bytes(&resumed));
    assert!(resumed.files().picture(20).exists());
    drop(resumed);
    // Another device goes on with it too, to nearly the same end.
    std::fs::write(parts.join("checkpoint.safetensors"), kept).unwrap();
    let mut native = Run::resume_on(&parts, Some("native")).unwrap();
    assert_eq!((native.trainer().steps(), &*native.trainer().config().run.device), (7, "native"));
    native.go_on(&never, |_| ()).unwrap();
    let distance = apart(&weights(native.trainer()), &weights(whole.trainer()));
    assert!(distance < bound(1e-4), "{distance}");
    drop(native);
    let error = Run::resume_on(&parts, Some("abacus")).unwrap_err().to_string();
    assert!(error.contains("`run.device` is `abacus`"), "{error}");
}

#[test]
fn a_step_that_fails_leaves_the_state_before_it() {
    let folder = tempfile::tempdir().unwrap();
    for rate in [1e5, 1e39] {
        let config = config(LossKind::Standard.config(), |config| {
            config.train.optimiser.rate = rate;
            config.train.optimiser.schedule = RateShape::Constant;
        });
        let mut trainer = begin(&config, &device());
        let (error, before) = loop {
            let before = weights(&trainer);
            if let Err(error) = trainer.step() {
                break (error, before);
            }
            assert!(!trainer.is_finished());
        };
        let step = trainer.steps() + 1;
        match &error {
            TrainError::NotFinite { step: at, items, .. } => {
                assert!(rate < 1e6 && *at == step && !items.0.is_empty(), "{error}");
            }
            // The rate is no number in 32 bits.
            TrainError::Diverged { step: 1, items, .. } => assert!(rate > 1e6 && !items.0.is_empty()),
            _ => panic!("{error}"),
        }
        assert_eq!(weights(&trainer), before);
        // It says the same again, and what is saved is good.
        assert_eq!(trainer.step().unwrap_err().to_string(), error.to_string());
        let origin = Origin { data: config.data.clone(), seed: 0 };
        let path = folder.path().join("checkpoint");
        Checkpoint { trainer, origin, log: LogState::default() }.save(&path).unwrap();
        let resumed = Trainer::resume(&path).unwrap().trainer;
        assert_eq!((weights(&resumed), resumed.steps() + 1), (before, step));
    }
}

#[test]
fn weights_of_another_run_are_taken_up() {
    let config = config(LossKind::Standard.config(), |_| ());
    let trainer = begin(&config, &device());
    let other: Vec<f32> = weights(&trainer).iter().map(|weight| 0.5 * weight).collect();
    let trainer = trainer.with_weights(&other).unwrap();
    assert_eq!(weights(&trainer), other);
    assert!(trainer.with_weights(&other[1..]).is_err());
}
