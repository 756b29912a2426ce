//! What smaller weights change, measured as firmware computes.

use super::{CALIBRATION_STREAM, Task, noised};
use crate::data::Dataset;
use crate::evaluate::{EvaluateError, conditions_of, sample_told};
use crate::rng::Rng;
use picardy::Ddim;
use picardy::nn::{self, Artifact, CardError, ModelCard, ModelError, ResidualMlp, Step, key};
use std::fmt;

/// Rows that the change is measured on at each level.
const LEVEL_ROWS: usize = 2048;
/// Levels that the change is measured at, from the first timestep to the last.
pub(super) const LEVELS: usize = 5;
/// Steps and number of the samples that are compared.
const STEPS: usize = 20;
const SAMPLES: usize = 1024;
/// The stream of the draws, apart from that of the calibration.
const MEASURE_STREAM: u64 = CALIBRATION_STREAM + 1;

/// How a network's output differs from another's.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What the network is told of levels, and the difference's root mean square over the output's at each, on noised data that no
    /// scale was chosen by.
    pub levels: Vec<(f64, f64)>,
    /// The mean Euclidean distance of samples from the same noise (DDIM, 20 steps), in the network's coordinates.
    pub mean_distance: f64,
    /// The largest one.
    pub largest_distance: f64,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relative error of the output")?;
        for (at, (t, error)) in self.levels.iter().enumerate() {
            write!(f, "{} {error:.2e} at t={t}", if at == 0 { "" } else { "," })?;
        }
        let (mean, largest) = (self.mean_distance, self.largest_distance);
        write!(f, "; distance of samples from f32's: mean {mean:.2e}, largest {largest:.2e}")
    }
}

/// How the output of a file differs from a reference's, of networks that are told so many numbers.
pub(super) fn measure(
    [reference, small]: [&[u8]; 2],
    condition: usize,
    data: &Dataset,
    task: &Task,
) -> Result<Change, EvaluateError> {
    let mut rng = Rng::new(0, MEASURE_STREAM);
    let mut levels = Vec::new();
    let conditions = conditions_of(data, condition, SAMPLES)?;
    let mut told = vec![0.0; LEVEL_ROWS * condition];
    for level in 0..LEVELS {
        let level = task.levels[level * (task.levels.len() - 1) / (LEVELS - 1)];
        let x = noised(data, &[level; LEVEL_ROWS], task.prediction, &mut rng, &mut told);
        let [exact, other] = [reference, small].map(|bytes| outputs(bytes, &x, level.t as f32, &told));
        levels.push((level.t, relative(&exact?, &other?)));
    }
    let (schedule, steps) = (task.schedule, STEPS.min(task.schedule.most_steps()));
    let samples = |bytes| sample_told(bytes, schedule, &Ddim::default(), steps, &conditions, (SAMPLES, 0));
    let (exact, other) = (samples(reference)?, samples(small)?);
    let dim = data.dim();
    let distances: Vec<f64> =
        exact.chunks_exact(dim).zip(other.chunks_exact(dim)).map(|(a, b)| distance(a, b)).collect();
    Ok(Change {
        levels,
        mean_distance: distances.iter().sum::<f64>() / distances.len() as f64,
        largest_distance: distances.iter().copied().fold(0.0, f64::max),
    })
}

/// A file's outputs as firmware computes them, told conditions.
pub(super) fn outputs(bytes: &[u8], x: &[f32], t: f32, told: &[f32]) -> Result<Vec<f32>, ModelError> {
    let artifact = Artifact::parse(bytes)?;
    let mut out = vec![0.0; x.len()];
    match ModelCard::from_lookup(|key| artifact.metadata(key)) {
        Ok(card) => {
            let mut steps = vec![Step::default(); card.architecture.steps(card.condition)];
            let network = nn::Network::from_artifact(&artifact, &card, &mut steps)?;
            let mut scratch = vec![0.0; network.scratch_len(48)];
            network.forward(x, std::iter::repeat(t), told, &mut out, &mut scratch)?;
        }
        Err(CardError::Missing { key: key::VERSION }) => {
            let network = ResidualMlp::from_artifact(&artifact)?;
            let mut scratch = vec![0.0; network.scratch_len(48)];
            network.forward(x, std::iter::repeat(t), &mut out, &mut scratch)?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(out)
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

pub(super) fn relative(exact: &[f32], other: &[f32]) -> f64 {
    distance(exact, other)
        / exact.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE)
}
