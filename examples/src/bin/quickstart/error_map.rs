//! Where networks err off the data: arXiv 2407.08946's Figure 1, on a density whose score is known.

use crate::report::Report;
use crate::sampling;
use crate::training::{self, Network};
use picardy::nn::{Artifact, MlpDenoiser, ResidualMlp};
use picardy::{
    Batch, Ddpm, Denoiser, Level, Memory, Node, Noise, Picard, Prediction, Sampler, Sequential, SliceFrames,
    Solver, denoiser,
};
use picardy_examples::pictures::{self, ErrorMap};
use picardy_trainer::data::{Builtin, Mixture};
use picardy_trainer::model::NetworkKind;
use picardy_trainer::train::TrainConfig;
use std::path::Path;

const STEPS: usize = 200;
/// The picture's grid.
const COLUMNS: usize = 140;
const X: (f64, f64, usize) = (-4.0, 4.0, 120);

/// Trains both networks in one dimension, draws the map, and reports the mean squared errors over it.
pub(crate) fn draw(seed: u64, out: &Path, report: &mut Report) -> anyhow::Result<()> {
    let config = TrainConfig {
        network: NetworkKind::ResidualMlp { width: 64, blocks: 2 },
        ..super::training::dino(5000, seed)
    };
    let networks = training::train(Builtin::TwoModes, &config)?;
    let truth = Mixture::two_modes();
    let (low, high, count) = X;
    let x: Vec<f64> = (0..count).map(|i| low + (high - low) * i as f64 / (count - 1) as f64).collect();
    let bars: Vec<f64> = networks[0].betas.alpha_bars().collect();
    let steps: Vec<usize> =
        (0..COLUMNS).map(|i| (bars.len() - 1) * (COLUMNS - 1 - i) / (COLUMNS - 1)).collect();
    let log_snr = steps.iter().map(|t| (bars[*t] / (1.0 - bars[*t])).ln()).collect();

    let mut maps = Vec::new();
    for network in &networks {
        let map = errors(network, &truth, &bars, &steps, &x)?;
        report.set(&format!("error_map.{}", network.loss.name()), map.iter().sum::<f64>() / map.len() as f64);
        maps.push(map);
    }
    let (sequential, parallel) = paths(&networks[0], seed)?;
    let (standard, contrastive) = (maps.remove(0), maps.remove(0));
    pictures::error_map(
        &out.join("error_map.png"),
        &ErrorMap { log_snr, x, standard, contrastive, sequential, parallel },
    )
}

/// The squared error of eps over (level, x).
fn errors(
    network: &Network,
    truth: &Mixture,
    bars: &[f64],
    steps: &[usize],
    x: &[f64],
) -> anyhow::Result<Vec<f64>> {
    let model = ResidualMlp::from_artifact(&Artifact::parse(&network.bytes)?)?;
    let mut scratch = vec![0.0; model.scratch_len(48)];
    let inputs: Vec<f32> = x.iter().map(|x| *x as f32).collect();
    let mut eps = vec![0.0f32; x.len()];
    let mut map = Vec::new();
    for &t in steps {
        let (a, s) = (bars[t].sqrt(), (1.0 - bars[t]).sqrt());
        model.forward(&inputs, std::iter::repeat(t as f32), &mut eps, &mut scratch)?;
        map.extend(x.iter().zip(&eps).map(|(x, eps)| (f64::from(*eps) + s * truth.score(*x, a, s)).powi(2)));
    }
    Ok(map)
}

/// (log-SNR, x) along a path.
type Path2 = Vec<(f64, f64)>;

/// A sequential path, and what each round of ParaDiGMS evaluates: from its constant start, states that are not yet where
/// the data would be at their level.
fn paths(network: &Network, seed: u64) -> anyhow::Result<(Path2, Vec<Path2>)> {
    let (mut levels, mut nodes) = (vec![Level::default(); STEPS + 1], vec![Node::default(); STEPS + 1]);
    let grid = network.betas.trailing(STEPS, &mut levels)?;
    let plan = Ddpm::default().plan(&grid, Prediction::Epsilon, &mut nodes)?;
    let picard = Picard::paradigms(usize::MAX, sampling::PARADIGMS_TOLERANCE);
    let mut calls = evaluated(network, &plan, &Sequential, seed)?;
    let sequential = calls.drain(..).flatten().collect();
    Ok((sequential, evaluated(network, &plan, &picard, seed)?))
}

/// What a run's calls are shown.
fn evaluated(
    network: &Network,
    plan: &picardy::Plan<'_>,
    sampler: &impl Sampler,
    seed: u64,
) -> anyhow::Result<Vec<Path2>> {
    let model = ResidualMlp::from_artifact(&Artifact::parse(&network.bytes)?)?;
    let mut scratch = vec![0.0; model.scratch_len(48)];
    let mut inner = MlpDenoiser::new(model, &mut scratch);
    let mut calls = Vec::new();
    let mut watched = denoiser::from_fn(|batch: &Batch<'_>, x: &[f32], out: &mut [f32]| {
        calls.push(batch.iter().zip(x).map(|(row, x)| (row.level.log_snr(), f64::from(*x))).collect());
        let n = x.len();
        let mut rows = [x, &vec![0.0; n]].concat();
        inner.evaluate(batch, &mut SliceFrames::new(&mut rows, 1), 0..n, n..2 * n)?;
        out.copy_from_slice(&rows[n..]);
        Ok::<(), picardy::nn::ModelError>(())
    });
    let noise = Noise::seeded(seed);
    let mut x = [0.0f32];
    plan.start(&noise, 1, &mut x);
    let mut memory = Memory::new();
    let mut workspace = memory.workspace(sampler.need(plan, 1), 1);
    sampler.run(plan, &mut watched, &noise, &mut x, &mut workspace)?;
    Ok(calls)
}
