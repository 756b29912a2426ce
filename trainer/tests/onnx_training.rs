//! Training by ONNX Runtime: step by step what the native path does. On the processor, or on the provider that
//! PICARDY_TEST_PROVIDER names (`tests/webgpu.sh`, `tests/cuda.sh`).

mod onnx_common;

use onnx_common::{apart, configs, network, normal, rows};
use picardy_ort::{Options, Provider, Runtime, ensure_runtime};
use picardy_trainer::model::{Learner, Network, NetworkConfig, NetworkError};
use picardy_trainer::onnx::{Batch, OrtTrainError, OrtTrainer, Rates};
use picardy_trainer::optimiser::{Adam, AdamConfig, Ema, EmaDecay, clip_scale};

const ROWS: usize = 6;

fn options() -> Options {
    let provider = std::env::var("PICARDY_TEST_PROVIDER").map_or(Provider::Cpu, |name| name.parse().unwrap());
    if Runtime::load_for(provider, None).is_err() {
        ensure_runtime().unwrap();
    }
    Options { provider, ..Options::default() }
}

/// The bound of what must be nearly the same: other devices sum in other orders.
fn bound(on_the_processor: f64) -> f64 {
    if options().provider == Provider::Cpu { on_the_processor } else { 10.0 * on_the_processor }
}

/// A step's rows: what [`Batch`] borrows.
struct Owned {
    inputs: [Vec<f32>; 3],
    target: Vec<f32>,
    weight: Vec<f32>,
}

impl Owned {
    fn new(config: &NetworkConfig, n: usize, step: u64) -> Self {
        let mut inputs = rows(config, n, step + 10);
        if options().provider == Provider::WebGpu {
            // Its sine is right to 2^-11 alone, which its standard allows.
            inputs[1].fill(0.0);
        }
        let target = normal(inputs[0].len(), step + 1000);
        let weight = (0..n).map(|row| 0.01 * (1.0 + row as f32)).collect();
        Self { inputs, target, weight }
    }

    fn batch(&self) -> Batch<'_> {
        let [x, t, condition] = &self.inputs;
        Batch { x, t, condition, target: &self.target, weight: &self.weight }
    }

    /// The loss, and its gradient with respect to the output.
    fn loss(&self, out: &[f32]) -> (f64, Vec<f32>) {
        let dim = out.len() / self.weight.len();
        let mut loss = 0.0;
        let dout = out.iter().zip(&self.target).enumerate().map(|(i, (out, target))| {
            let weight = self.weight[i / dim];
            loss += f64::from(weight) * f64::from(out - target).powi(2);
            2.0 * weight * (out - target)
        });
        let dout = dout.collect();
        (loss, dout)
    }
}

/// One step of the native path: the loss and the gradient's norm.
fn native(model: &mut Network<f32>, adam: &mut Adam<f32>, batch: &Owned, rates: Rates) -> (f64, f64) {
    let [x, t, c] = &batch.inputs;
    model.zero_gradients();
    let (loss, dout) = batch.loss(model.forward(x, t, c).unwrap());
    model.backward(&dout).unwrap();
    let (parameters, gradients) = model.parameters_and_gradients();
    let (norm, scale) = clip_scale(gradients, rates.clip);
    adam.step(rates.rate, scale, parameters, gradients);
    (loss, norm)
}

/// What a step did. The keys' biases are left out: a softmax does not see what is added to all of its arguments, so that their
/// gradient is rounding alone, which Adam makes steps of.
fn change(model: &Network<f32>, after: &[f32], before: &[f32]) -> Vec<f32> {
    let mut change: Vec<f32> = after.iter().zip(before).map(|(a, b)| a - b).collect();
    if let Some(bias) = model.layout().iter().find(|parameter| parameter.name == "mid.qkv.bias") {
        let width = bias.range.len() / 3;
        change[bias.range.start + width..][..width].fill(0.0);
    }
    change
}

#[test]
fn twenty_steps_are_the_native_ones() {
    let config = AdamConfig { weight_decay: 0.01, ..AdamConfig::default() };
    let mut all = Vec::new();
    for network_config in configs() {
        let mut model = network(&network_config, ROWS);
        let mut mirror = model.clone();
        let mut adam = Adam::new(config, model.parameters().len());
        let decay = EmaDecay::WarmUp { decay: 0.9 };
        let mut ema = Ema::new(decay, model.parameters());
        let mut trainer = OrtTrainer::new(&model, &[ROWS], config, options()).unwrap();
        let mut worst = [0.0f64; 3];
        for step in 0..20 {
            // Some batches are not full.
            let batch = Owned::new(&network_config, if step % 5 == 4 { 2 } else { ROWS }, step);
            let rest = 1.0 - decay.at(step);
            // About half of the steps are clipped.
            let rates = Rates { clip: 0.5, average_rest: rest, ..Rates::new(1e-3) };
            let before = model.parameters().to_vec();
            let told = trainer.step(batch.batch(), rates).unwrap();
            let (loss, norm) = native(&mut model, &mut adam, &batch, rates);
            ema.update(model.parameters());
            let start = mirror.parameters().to_vec();
            trainer.store(&mut mirror).unwrap();
            let moved = apart(
                &change(&model, mirror.parameters(), &start),
                &change(&model, model.parameters(), &before),
            );
            let losses = (told.loss / loss - 1.0).abs();
            let norms = (told.norm / norm - 1.0).abs();
            for (worst, new) in worst.iter_mut().zip([moved, losses, norms]) {
                *worst = worst.max(new);
            }
        }
        println!("{:?} {:?}: {worst:?}", network_config.architecture.name(), network_config.shape);
        all.push((network_config.clone(), worst));
        assert_eq!(trainer.steps(), 20);
        assert!(apart(&trainer.average().unwrap(), ema.average()) < bound(1e-4));
    }
    for (config, worst) in all {
        assert!(worst.iter().all(|&worst| worst < bound(1e-4)), "{config:?}: {worst:?}");
    }
}

#[test]
fn parts_are_the_whole() {
    let config = AdamConfig::default();
    for network_config in configs() {
        let mut model = network(&network_config, ROWS);
        let mut adam = Adam::new(config, model.parameters().len());
        let mut trainer = OrtTrainer::new(&model, &[ROWS, 3], config, options()).unwrap();
        assert_eq!((trainer.max_batch(), trainer.dim()), (ROWS, model.dim()));
        let rates = Rates { clip: 0.2, scale: 1.0 / 3.0, ..Rates::new(1e-3) };
        for step in 0..2 {
            model.zero_gradients();
            // Three batches for one step; the second is not full, and has graphs of its own, the third has none.
            for (part, n) in [(0, ROWS), (1, 2), (2, 4)] {
                let batch = Owned::new(&network_config, n, 3 * step + part);
                let [x, t, c] = &batch.inputs;
                let out = trainer.forward(x, t, c).unwrap().to_vec();
                let want = model.forward(x, t, c).unwrap();
                assert!(apart(&out, want) < bound(1e-5));
                let (_, dout) = batch.loss(want);
                if part == 1 {
                    model.backward(&dout).unwrap();
                    trainer.backward(&dout).unwrap();
                    continue;
                }
                let (mut dx, mut want) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
                model.backward_input(&dout, &mut want).unwrap();
                trainer.backward_input(&dout, &mut dx).unwrap();
                let distance = apart(&dx, &want);
                assert!(distance < bound(1e-5), "{network_config:?}: {distance}");
            }
            let gradient = trainer.gradient().unwrap();
            let distance = apart(&gradient, model.gradients());
            assert!(distance < bound(1e-5), "{network_config:?}: {distance}");
            let norm = trainer.update(rates).unwrap();
            let (parameters, gradients) = model.parameters_and_gradients();
            let (want, scale) = clip_scale(gradients, 3.0 * rates.clip);
            adam.step(rates.rate, scale / 3.0, parameters, gradients);
            assert!((3.0 * norm / want - 1.0).abs() < bound(1e-5), "{norm} {want}");
        }
        let [mean, square] = trainer.moments().unwrap();
        assert!(apart(&mean, adam.state().0) < bound(1e-4));
        assert!(apart(&square, adam.state().1) < bound(1e-4));
        // The average is that of no step: the rest was 1.
        let [x, t, c] = &Owned::new(&network_config, ROWS, 9).inputs;
        let out = trainer.averaged().forward(x, t, c).unwrap().to_vec();
        assert_eq!(out, trainer.forward(x, t, c).unwrap());
    }
}

/// A trainer of a small network of the third kind, and batches for it.
fn small() -> (NetworkConfig, Network<f32>, OrtTrainer) {
    let config = configs().swap_remove(3);
    let model = network(&config, ROWS);
    let trainer = OrtTrainer::new(&model, &[ROWS], AdamConfig::default(), options()).unwrap();
    (config, model, trainer)
}

fn parameters(trainer: &OrtTrainer, model: &mut Network<f32>) -> Vec<f32> {
    trainer.store(model).unwrap();
    model.parameters().to_vec()
}

#[test]
fn a_step_without_a_finite_slope_is_not_taken() {
    let (config, mut model, mut trainer) = small();
    let (_, _, mut twin) = small();
    let rates = Rates::new(1e-3);
    let good = Owned::new(&config, ROWS, 0);
    for step in 0..3 {
        for bad in [f32::NAN, f32::INFINITY, 1e38] {
            let mut batch = Owned::new(&config, ROWS, 1);
            batch.target[3] = bad;
            let error = trainer.step(batch.batch(), rates).unwrap_err();
            assert!(matches!(error, OrtTrainError::NotFinite { .. }), "{error}");
            assert!(error.to_string().contains(&format!("step {step}: ")), "{error}");
            let [x, t, c] = &good.inputs;
            let mut dout = vec![0.0; x.len()];
            dout[0] = bad;
            trainer.forward(x, t, c).unwrap();
            trainer.backward(&dout).unwrap();
            // 1e38 is a gradient too large for its norm.
            assert!(matches!(trainer.update(rates), Err(OrtTrainError::NotFinite { .. })));
        }
        trainer.step(good.batch(), rates).unwrap();
        twin.step(good.batch(), rates).unwrap();
    }
    let [x, t, c] = &good.inputs;
    for trainer in [&mut trainer, &mut twin] {
        trainer.forward(x, t, c).unwrap();
        trainer.backward(&good.target).unwrap();
        trainer.update(rates).unwrap();
    }
    assert_eq!(parameters(&trainer, &mut model), parameters(&twin, &mut model));
    assert_eq!((trainer.moments().unwrap(), trainer.steps()), (twin.moments().unwrap(), 4));
}

#[test]
fn a_step_to_weights_that_are_none_is_not_taken() {
    let (config, mut model, mut trainer) = small();
    let before = parameters(&trainer, &mut model);
    let zeros = vec![0.0; before.len()];
    // A mean without a square: the step divides by epsilon, and is too large for a number.
    let large = vec![1e35; before.len()];
    trainer.restore(&before, [&large, &zeros], &before, 7).unwrap();
    let error = trainer.update(Rates::new(1e-3)).unwrap_err();
    let OrtTrainError::NotFinite { step: 7, norm: 0.0, parameters: got, .. } = error else {
        panic!("{error}")
    };
    assert!(!got.is_finite());
    assert!(error.to_string().contains("the new parameters"), "{error}");
    let error = trainer.step(Owned::new(&config, ROWS, 0).batch(), Rates::new(1e-3)).unwrap_err();
    assert!(matches!(error, OrtTrainError::NotFinite { norm, .. } if norm > 0.0), "{error}");
    assert_eq!(parameters(&trainer, &mut model), before);
    assert_eq!((trainer.average().unwrap(), trainer.steps()), (before, 7));
    assert_eq!(trainer.moments().unwrap(), [large, zeros]);
}

#[test]
fn a_restored_trainer_goes_on_with_the_same_bits() {
    let (config, mut model, mut whole) = small();
    let rates = Rates { average_rest: 0.1, ..Rates::new(1e-3) };
    let run = |trainer: &mut OrtTrainer, steps: std::ops::Range<u64>| {
        for step in steps {
            trainer.step(Owned::new(&config, ROWS, step).batch(), rates).unwrap();
        }
    };
    run(&mut whole, 0..3);
    let (_, _, mut resumed) = small();
    let [mean, square] = whole.moments().unwrap();
    let (average, at) = (whole.average().unwrap(), parameters(&whole, &mut model));
    resumed.restore(&at, [&mean, &square], &average, whole.steps()).unwrap();
    run(&mut whole, 3..6);
    run(&mut resumed, 3..6);
    assert_eq!(parameters(&whole, &mut model), parameters(&resumed, &mut model));
    assert_eq!(whole.average().unwrap(), resumed.average().unwrap());
    assert_ne!(whole.average().unwrap(), average);
}

#[test]
fn what_does_not_fit_is_said() {
    let (config, mut model, mut trainer) = small();
    let rates = Rates::new(1e-3);
    let whole = Owned::new(&config, ROWS, 0);
    let before = parameters(&trainer, &mut model);
    let mut refused = |batch: Batch<'_>, rates, what: &str| {
        let error = trainer.step(batch, rates).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    let batch = whole.batch();
    refused(Batch { t: &[], ..batch }, rates, "0 rows");
    refused(Owned::new(&config, ROWS + 1, 0).batch(), rates, "7 rows");
    refused(Batch { x: &batch.x[1..], ..batch }, rates, "`x` holds 191 numbers where the rows have 192");
    refused(Batch { condition: &[], ..batch }, rates, "`condition` holds 0");
    refused(Batch { target: &[], ..batch }, rates, "`target` holds 0");
    refused(Batch { weight: &batch.weight[..1], ..batch }, rates, "`weight` holds 1");
    refused(batch, Rates::new(f64::NAN), "`rate` is NaN");
    refused(batch, Rates::new(-1e-3), "`rate` is -0.001");
    refused(batch, Rates { clip: 0.0, ..rates }, "`clip` is 0");
    refused(batch, Rates { average_rest: 2.0, ..rates }, "`average_rest` is 2");
    refused(batch, Rates { scale: 0.0, ..rates }, "`scale` is 0");
    let [x, t, c] = &whole.inputs;
    let error = trainer.forward(&x[1..], t, c).unwrap_err();
    assert!(matches!(error, NetworkError::Shape(_)) && error.to_string().contains("191"), "{error}");
    let seven = Owned::new(&config, ROWS + 1, 0).inputs;
    let error = trainer.forward(&seven[0], &seven[1], &seven[2]).unwrap_err();
    assert_eq!(error, NetworkError::Batch { got: 7, max: 6 });
    trainer.forward(&x[..2 * config.shape.iter().product::<usize>()], &t[..2], &c[..6]).unwrap();
    let error = trainer.backward(x).unwrap_err();
    assert!(matches!(error, NetworkError::Shape(_)) && error.to_string().contains("192"), "{error}");
    assert_eq!(parameters(&trainer, &mut model), before);
    let mut other = network(&configs()[0], ROWS);
    let error = trainer.store(&mut other).unwrap_err().to_string();
    assert!(error.contains("is not the one trained here"), "{error}");
    for none in [&[][..], &[0], &[6, 0]] {
        let none = OrtTrainer::new(&model, none, AdamConfig::default(), options()).unwrap_err();
        assert!(none.to_string().contains("the batch is 0"), "{none}");
    }
}
