//! The loop: what it refuses, what it does not depend on, and how it stops.

use super::*;
use crate::data::{Builtin, DataConfig, Stored};
use crate::model::{Network, NetworkKind};
use crate::optimiser::RateShape;
use crate::train::room::{bytes, sizes};
use crate::train::{Checkpoint, Config, LossKind, MAX_ROWS};

fn mlp(width: usize, blocks: usize) -> NetworkKind {
    NetworkKind::ResidualMlp { width, blocks }
}

fn moons(n: usize) -> Dataset {
    Builtin::TwoMoons.sample(n, 0).unwrap()
}

fn refused(change: impl FnOnce(&mut TrainConfig)) -> String {
    let mut config = TrainConfig::default();
    change(&mut config);
    Trainer::new(config, moons(10)).expect_err("it is out of range").to_string()
}

/// A run of a few steps.
fn small(change: impl FnOnce(&mut TrainConfig)) -> TrainConfig {
    let mut config = TrainConfig { network: mlp(16, 1), ..TrainConfig::default() };
    (config.run.steps, config.run.batch) = (6, 32);
    (config.loss.contrastive.items, config.loss.contrastive.draws) = (4, 4);
    change(&mut config);
    config
}

/// The weights and their average after the whole run.
fn end(config: TrainConfig) -> (Vec<f32>, Vec<f32>) {
    let mut trainer = Trainer::new(config, moons(100)).unwrap();
    while !trainer.is_finished() {
        trainer.step().unwrap();
    }
    let state = trainer.engine.state().unwrap();
    (state.parameters.to_vec(), trainer.averaged().unwrap().parameters().to_vec())
}

#[test]
fn hostile_sizes_are_refused_with_their_value() {
    for huge in [usize::MAX, usize::MAX - 1, 1 << 62, 1 << 40] {
        let said = huge.to_string();
        assert!(refused(|c| c.network = mlp(huge, 2)).contains(&said));
        assert!(refused(|c| c.network = mlp(16, huge)).contains(&said));
        assert!(refused(|c| c.run.batch = huge).contains(&said));
        assert!(refused(|c| c.loss.contrastive.items = huge).contains(&said));
        assert!(refused(|c| c.loss.contrastive.draws = huge).contains(&said));
        assert!(refused(|c| c.noise.train_steps = huge).contains(&said));
        assert!(refused(|c| c.run.steps = huge as u64).contains(&said));
        assert!(refused(|c| c.run.threads = huge).contains(&said));
        assert!(refused(|c| c.run.samples = huge).contains(&said));
        assert!(refused(|c| c.optimiser.accumulate = huge).contains(&said));
    }
    for device in ["gpu", "", "CUDA", "cuda:x", "tensorrt", "auto", "native:1"] {
        let said = refused(|c| c.run.device = device.into());
        assert!(said.contains(&format!("`run.device` is `{device}`")) && said.contains("cuda:N"), "{said}");
    }
    assert!(refused(|c| c.run.seed = u64::MAX).contains("18446744073709551615"));
    // Each setting is in range, and all together are too much.
    let said = refused(|c| {
        c.network = mlp(1 << 16, 2);
        c.run.batch = MAX_ROWS;
    });
    assert!(said.contains("GB of memory"), "{said}");
}

#[test]
fn the_estimate_covers_the_buffers() {
    let trainer = Trainer::new(TrainConfig::default(), moons(10)).unwrap();
    let parameters = trainer.engine.model().parameters().len();
    let config = &trainer.config;
    let network = sizes(config, &trainer.data).unwrap();
    assert_eq!(Network::<f32>::count(&network).unwrap(), parameters);
    let rows = trainer.engine.model().max_batch();
    assert_eq!(rows, 512);
    // At least twelve vectors of parameters and fourteen blocks of activations.
    let least = 4 * (12 * parameters + 14 * 128 * rows);
    assert!(bytes(config, &trainer.data, &network, false).unwrap() >= least as u128);
}

#[test]
fn only_the_contrastive_loss_needs_a_covariance() {
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        crate::data::read_file(path).unwrap()
    };
    let few = load("few.csv", "1,2\n3,5\n");
    let same = load("same.csv", "1,2\n2,4\n3,6\n4,8\n5,10\n");
    for (data, parts) in [(few, ["few.csv", "2 rows of 2"]), (same, ["same.csv", "linear combination"])] {
        let config = |kind: LossKind| TrainConfig { loss: kind.config(), ..small(|_| ()) };
        let error = Trainer::new(config(LossKind::Contrastive), data.clone()).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(error.contains("standard loss"), "{error}");
        let mut trainer = Trainer::new(config(LossKind::Standard), data).unwrap();
        trainer.step().unwrap();
        assert!(trainer.gaussian().is_err());
    }
}

#[test]
fn a_bad_schedule_is_told_plainly() {
    for (change, parts) in [
        ((1e-4, 1.5), ["beta 1.5", "timestep 999"]),
        ((-0.1, 0.02), ["beta -0.1", "timestep 0"]),
        ((f64::NAN, 0.02), ["NaN", "(0, 1)"]),
    ] {
        let said = refused(|c| (c.noise.beta_start, c.noise.beta_end) = change);
        assert!(parts.iter().all(|part| said.contains(part)) && !said.contains('{'), "{said}");
    }
    let said = refused(|c| c.noise.kind = "quadratic".into());
    assert!(said.contains("`quadratic`") && said.contains("sigmoid") && !said.contains('{'), "{said}");
}

#[test]
fn threads_and_prefetching_change_no_bit() {
    let alone = end(small(|c| (c.run.threads, c.run.prefetch) = (1, false)));
    for (threads, prefetch) in [(1, true), (2, false), (2, true), (3, true), (7, true)] {
        let other = end(small(|c| (c.run.threads, c.run.prefetch) = (threads, prefetch)));
        assert!(alone == other, "{threads} threads, prefetch {prefetch}");
    }
    assert!(alone != end(small(|c| c.run.seed = 1)), "the seed means it");
    let accumulated = |threads| end(small(|c| (c.run.threads, c.optimiser.accumulate) = (threads, 3)));
    assert!(accumulated(1) == accumulated(2) && accumulated(1) != alone);
}

#[test]
fn a_steps_gradient_is_the_mean_over_its_batches() {
    let config = small(|c| (c.optimiser.accumulate, c.run.prefetch) = (3, false));
    let mut trainer = Trainer::new(config.clone(), moons(100)).unwrap();
    let (loss, batch) = (&config.loss, config.run.batch);
    let statistics = Statistics::of(&trainer.data, loss).unwrap();
    let mut objective = Objective::new(loss, trainer.table().clone(), &statistics, batch).unwrap();
    let mut model = trainer.engine.model().clone();
    model.zero_gradients();
    let mut total = 0.0;
    for batch in 0..3 {
        let place = Place { step: 0, batch };
        let (items, mut rng) = (trainer.drawer.draw(place), generator(0, place, Draws::Noise));
        total += objective.step(&mut model, &items.x0, &items.c, &mut rng).unwrap().total();
    }
    let norm = model.gradients().iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() / 3.0;
    let step = trainer.step().unwrap();
    assert!((step.terms.total() / (total / 3.0) - 1.0).abs() < 1e-12);
    assert!((step.norm / norm - 1.0).abs() < 1e-5, "{} {norm}", step.norm);
}

#[test]
fn a_loss_that_is_none_stops_and_names_its_items() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    std::fs::write(&path, (0..40).map(|i| format!("{},{}\n", i, i * i % 7)).collect::<String>()).unwrap();
    let config = small(|c| {
        c.optimiser.rate = 1e20;
        c.optimiser.schedule = RateShape::Constant;
    });
    let (rest, held_out) = crate::data::read_file(&path).unwrap().split(0.5, 1).unwrap();
    let mut trainer = Trainer::with_held_out(config, rest, Some(held_out)).unwrap();
    let held: Vec<usize> = (0..20).map(|i| trainer.held_out().unwrap().original(i)).collect();
    let error = loop {
        let before = trainer.engine.state().unwrap().into_owned();
        if let Err(error) = trainer.step() {
            assert!(before == trainer.engine.state().unwrap());
            break error;
        }
        assert!(!trainer.is_finished());
    };
    let TrainError::NotFinite { step, items: Items(items), .. } = &error else { panic!("{error}") };
    assert_eq!((*step, items.len()), (trainer.steps() + 1, trainer.objective.items()));
    assert!(items.iter().all(|item| *item < 40 && !held.contains(item)), "places in the file: {items:?}");
    let said = error.to_string();
    assert!(said.starts_with(&format!("step {step}: the loss is ")), "{said}");
    assert!(said.contains(&format!("{} items {}, {}", items.len(), items[0], items[1])), "{said}");
    // It says the same again.
    assert_eq!(trainer.step().unwrap_err().to_string(), said);
}

#[test]
fn weights_that_are_none_stop_the_run() {
    let mut trainer = Trainer::new(small(|c| c.optimiser.rate = 1e39), moons(100)).unwrap();
    let error = trainer.step().unwrap_err();
    assert!(matches!(&error, TrainError::Diverged { step: 1, items, .. } if !items.0.is_empty()), "{error}");
    assert!(error.to_string().contains("not finite") && trainer.diverged);
}

#[test]
fn memory_counts_what_evaluations_copy() {
    let config = small(|c| (c.network, c.run.threads) = (mlp(64, 2), 2));
    let (data, batch) = (moons(100), config.run.batch);
    let network = sizes(&config, &data).unwrap();
    let count = |config: &TrainConfig, judged| bytes(config, &data, &network, judged).unwrap();
    let whole = Network::<f32>::bytes(&network, config.loss.rows(batch)).unwrap();
    let weights = 4 * Network::<f32>::count(&network).unwrap() as u128;
    // Adam's two, the average, the best one; an export's copy.
    let buffers = config.loss.bytes(batch, 2, 0, 4);
    let plain = count(&config, false);
    assert!(plain >= 2 * whole + buffers + 4 * weights, "{plain}");
    assert!(count(&config, true) >= 2 * (whole + buffers) + 4 * weights);
    let mut sampled = config.clone();
    sampled.run.evaluate_every = 1;
    let (two, chunk) = (count(&sampled, false), Network::<f32>::bytes(&network, 128).unwrap());
    assert!(two >= 2 * whole + 4 * weights + 3 * chunk, "{two}");
    sampled.run.threads = 5;
    assert_eq!(count(&sampled, false) - two, 3 * chunk, "a copy a thread");
}

#[test]
fn a_residual_of_ones_own_is_not_taken_for_a_named_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let config = || {
        let mut config = Config { train: small(|c| c.loss.physics.weight = 0.1), ..Config::default() };
        config.train.loss.physics.residual = ResidualName::Circle;
        (config.data.source, config.data.points) = ("two-moons".into(), 100);
        config
    };
    let own = || Arc::new(Parabola);
    let end = |checkpoint: Checkpoint| {
        let mut trainer = checkpoint.trainer;
        while !trainer.is_finished() {
            trainer.step().unwrap();
        }
        trainer.engine.model().parameters().to_vec()
    };
    let whole = end(Checkpoint::begin_with_residual(config(), own()).unwrap());
    let mut checkpoint = Checkpoint::begin_with_residual(config(), own()).unwrap();
    checkpoint.trainer.step().unwrap();
    checkpoint.save(&path).unwrap();
    let said = Trainer::resume(&path).unwrap_err().to_string();
    assert!(said.contains("custom") && said.contains("Run::resume_with_residual"), "{said}");
    assert!(end(Trainer::resume_with_residual(&path, own()).unwrap()) == whole);
    // The circle's own run is another, and takes none.
    let circle = Checkpoint::begin(config()).unwrap();
    circle.save(&path).unwrap();
    assert!(end(circle) != whole);
    let said = Trainer::resume_with_residual(&path, own()).unwrap_err().to_string();
    assert!(said.contains("the built-in `circle`"), "{said}");
}

#[derive(Debug)]
struct Parabola;

impl Residual<f32> for Parabola {
    fn len(&self, dim: usize) -> Option<usize> {
        (dim == 2).then_some(1)
    }

    fn residual(&self, x: &[f32], r: &mut [f32]) {
        r[0] = x[1] - x[0] * x[0];
    }

    fn pull_back(&self, x: &[f32], dr: &[f32], dx: &mut [f32]) {
        dx[0] -= 2.0 * x[0] * dr[0];
        dx[1] += dr[0];
    }
}

#[test]
fn patience_stops_with_the_best_weights() {
    // Weights that never move: the held-out loss is the same every time, and never lower than the first.
    let config = small(|c| (c.optimiser.rate, c.run.patience, c.run.evaluate_every) = (1e-300, 2, 1));
    let (rest, held_out) = moons(100).split(0.2, 0).unwrap();
    let mut trainer = Trainer::with_held_out(config, rest.clone(), Some(held_out)).unwrap();
    let mut best = Vec::new();
    while !trainer.is_finished() {
        trainer.step().unwrap();
        best.push(trainer.judge().unwrap().unwrap().best);
    }
    assert_eq!((best, trainer.is_out_of_patience()), (vec![true, false, false], true));
    assert_eq!(trainer.best().unwrap().0, 1);
    // Weights that get worse: those of the first evaluation are what is exported.
    let config = small(|c| (c.optimiser.rate, c.run.patience, c.run.evaluate_every) = (0.3, 1, 1));
    let (rest, held_out) = moons(100).split(0.2, 0).unwrap();
    let mut trainer = Trainer::with_held_out(config, rest.clone(), Some(held_out)).unwrap();
    let mut kept = Vec::new();
    while !trainer.is_finished() {
        trainer.step().unwrap();
        if trainer.judge().unwrap().unwrap().best {
            kept = trainer.engine.average().unwrap().to_vec();
        }
    }
    assert!(trainer.averaged().unwrap().parameters() == kept);
    let error = Trainer::new(small(|c| (c.run.patience, c.run.evaluate_every) = (1, 1)), rest).unwrap_err();
    assert!(error.to_string().contains("`run.patience` is 1"), "{error}");
    assert!(refused(|c| c.run.patience = 3).contains("evaluate-every"));
}

#[test]
fn judging_changes_nothing_else_and_always_draws_the_same() {
    let config = small(|c| c.run.evaluate_every = 2);
    let (rest, held_out) = moons(200).split(0.3, 0).unwrap();
    let run = || Trainer::with_held_out(config.clone(), rest.clone(), Some(held_out.clone())).unwrap();
    let (mut trainer, mut judged) = (run(), run());
    assert_eq!(trainer.step().unwrap(), judged.step().unwrap());
    let (first, second) = (judged.judge().unwrap().unwrap(), judged.judge().unwrap().unwrap());
    assert!(first.best && !second.best && first.terms == second.terms && first.terms.total() > 0.0);
    assert_eq!(trainer.step().unwrap(), judged.step().unwrap());
}

#[test]
fn data_in_half_precision_trains_as_its_rounded_numbers() {
    for stored in [Stored::F16, Stored::Bf16] {
        let mut half = Trainer::new(small(|_| ()), moons(100).stored(stored)).unwrap();
        let rounded = moons(100).stored(stored).stored(Stored::F32);
        let mut whole = Trainer::new(small(|_| ()), rounded).unwrap();
        let mut plain = Trainer::new(small(|_| ()), moons(100)).unwrap();
        let (half, whole, plain) = (half.step().unwrap(), whole.step().unwrap(), plain.step().unwrap());
        assert_eq!(half, whole);
        assert!(half != plain && (half.terms.total() - plain.terms.total()).abs() < 0.05);
    }
}

#[test]
fn labels_reach_the_network_and_are_shuffled_with_their_items() {
    let config = DataConfig { source: "digits".into(), labels: "own".into(), ..DataConfig::default() };
    let digits = config.load(0).unwrap();
    let config = || small(|c| (c.loss, c.run.steps) = (LossKind::Standard.config(), 400));
    let (rest, held_out) = digits.split(0.2, 0).unwrap();
    let train = |rest: Dataset, held_out: Dataset| {
        let mut trainer = Trainer::with_held_out(config(), rest, Some(held_out)).unwrap();
        while !trainer.is_finished() {
            trainer.step().unwrap();
        }
        trainer.judge().unwrap().unwrap().terms.total()
    };
    let blind = |data: &Dataset| data.clone().with_conditions(crate::data::Conditions::None);
    let (told, untold) = (train(rest.clone(), held_out.clone()), train(blind(&rest), blind(&held_out)));
    assert!(told < untold, "the labels help: {told} {untold}");
    let error = Trainer::with_held_out(config(), rest.clone(), Some(blind(&held_out))).unwrap_err();
    assert!(matches!(error, TrainError::HeldOut { .. }));
    let mut config = config();
    config.network =
        NetworkKind::Unet1d { widths: vec![8], embedding: 8, kernel: 3, groups: 2, scale: false };
    let error = Trainer::new(config, rest).unwrap_err().to_string();
    assert!(error.contains("[8, 8, 1]") && error.contains("unet1d"), "{error}");
}

/// A flow's samples begin without signal, of which the noise says nothing; every other pair can be sampled, and has a card.
#[test]
fn what_cannot_be_sampled_is_not_trained() {
    use crate::loss::{OutputName, ProcessName};
    use picardy::{Ddim, Level, Node, Solver};
    let outputs = [OutputName::Epsilon, OutputName::Sample, OutputName::V, OutputName::Flow, OutputName::Edm];
    for process in [ProcessName::Vp, ProcessName::Flow, ProcessName::Pinned] {
        for prediction in outputs {
            let mut config = TrainConfig::default();
            (config.loss.process, config.loss.prediction) = (process, prediction);
            if (process, prediction) == (ProcessName::Flow, OutputName::Epsilon) {
                let said = Trainer::new(config, moons(10)).unwrap_err().to_string();
                assert!(
                    ["loss.prediction", "epsilon", "flow, v, sample or edm"].iter().all(|p| said.contains(p))
                );
                continue;
            }
            let trainer = Trainer::new(config, moons(10)).unwrap();
            let card = trainer.card();
            let lookup = |key: &str| card.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
            let card = picardy::nn::ModelCard::from_lookup(lookup).unwrap();
            let (mut levels, mut nodes) = ([Level::default(); 6], [Node::default(); 6]);
            let grid = card.schedule.trailing(5, &mut levels).unwrap();
            Ddim::default().plan(&grid, card.prediction, &mut nodes).unwrap();
        }
    }
}
