//! Networks with smaller weights, and what that changes.

mod change;

use crate::data::{DataError, Dataset};
use crate::evaluate::{EvaluateError, conditions_of};
use crate::model::{Calibration, Int8, Network, NetworkError, Precision, SaveError};
use crate::rng::Rng;
pub use change::Change;
use change::measure;
use picardy::nn::{ModelCard, ShapeError, WeightFormat, key};
use picardy::{Level, NoiseSchedule, Prediction};

/// Rows of noised data that the scales are chosen by.
const CALIBRATION_ROWS: usize = 8192;
/// Rows that go through the network together.
const ROWS: usize = 256;
/// The part of the data that is measured on and not calibrated with.
const HELD_OUT: f64 = 0.25;
/// The stream of the calibration's draws, apart from those of training.
const CALIBRATION_STREAM: u64 = 0x494E_5438_0000_0000;

/// Why a network cannot be made small.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmallError {
    /// A parameter that cannot be stored.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The network itself.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The measurement.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// A network's file with other weights than f32, and how its output differs from the f32 network's.
#[derive(Debug, Clone, PartialEq)]
pub struct Small {
    /// The safetensors file; its metadata has the change, as words, under `picardy.weights_error`.
    pub bytes: Vec<u8>,
    /// The change; none for f32.
    pub change: Option<Change>,
}

/// The network with such weights. int8 scales are chosen on three quarters of the data, noised at all levels of the process and the
/// schedule that it was trained with; the change is measured on the rest. What it returns is what `metadata` say, the noise where
/// they are no card. A network that is told a condition is told the data's, in both, and none where the data have none.
///
/// # Errors
/// A parameter that cannot be stored so, a network whose output is not finite, or data of another size or with conditions of
/// another size than the network's.
pub fn shrink(
    model: &Network<f32>,
    data: &Dataset,
    schedule: impl Into<NoiseSchedule>,
    metadata: &[(String, String)],
    weights: WeightFormat,
) -> Result<Small, SmallError> {
    let lookup = |key: &str| metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let prediction = ModelCard::from_lookup(lookup).map_or(Prediction::Epsilon, |card| card.prediction);
    let task = Task::new(schedule.into(), prediction)?;
    let (expected, got) = (model.dim(), data.dim());
    if expected != got {
        return Err(NetworkError::from(ShapeError { argument: "data", expected, got }).into());
    }
    conditions_of(data, model.condition(), 0)?;
    let reference = model.to_safetensors(metadata, Precision::F32)?;
    // Sets of a few points are both calibrated with and measured on.
    let (known, held_out) = data.split(HELD_OUT, 0).unwrap_or_else(|_| (data.clone(), data.clone()));
    let int8 = match weights {
        WeightFormat::F32 => return Ok(Small { bytes: reference, change: None }),
        WeightFormat::F16 => None,
        WeightFormat::Int8 => Some(Int8::new(model, &calibrate(model, &known, &task)?)?),
    };
    let write = |metadata: &[(String, String)]| match &int8 {
        None => model.to_safetensors(metadata, Precision::F16),
        Some(int8) => model.to_int8_safetensors(int8, metadata),
    };
    let change = measure([&reference, &write(metadata)?], model.condition(), &held_out, &task)?;
    let mut metadata = metadata.to_vec();
    metadata.push((key::WEIGHTS_ERROR.to_owned(), change.to_string()));
    Ok(Small { bytes: write(&metadata)?, change: Some(change) })
}

/// What a network is shown.
struct Task {
    schedule: NoiseSchedule,
    prediction: Prediction,
    /// The levels that it knows, from little noise to much.
    levels: Vec<Level>,
}

impl Task {
    fn new(schedule: NoiseSchedule, prediction: Prediction) -> Result<Self, EvaluateError> {
        // All timesteps; of a process without any, as many as are usual.
        let steps = schedule.betas().map_or(schedule.most_steps().min(1000), |betas| betas.train_steps);
        let mut levels = vec![Level::default(); steps.saturating_add(1)];
        schedule.trailing(steps, &mut levels)?;
        // The last is that of the data.
        levels.pop();
        levels.reverse();
        Ok(Self { schedule, prediction, levels })
    }
}

/// The moments of a network's matrix inputs over data that is noised at random levels.
fn calibrate(model: &Network<f32>, data: &Dataset, task: &Task) -> Result<Calibration, SmallError> {
    let mut network = Network::<f32>::new(model.config(), ROWS, 0)?;
    network.parameters_mut().copy_from_slice(model.parameters());
    let mut rng = Rng::new(0, CALIBRATION_STREAM);
    let levels = &task.levels;
    let mut calibration = Calibration::default();
    let mut told = vec![0.0; ROWS * model.condition()];
    for _ in 0..CALIBRATION_ROWS / ROWS {
        // More of them at little noise, where outputs change most with their inputs.
        let at = |u: f64| levels[((u * u * levels.len() as f64) as usize).min(levels.len() - 1)];
        let rows: Vec<Level> = (0..ROWS).map(|_| at(rng.uniform())).collect();
        let x = noised(data, &rows, task.prediction, &mut rng, &mut told);
        let t: Vec<f32> = rows.iter().map(|level| level.t as f32).collect();
        calibration.add(&mut network, &x, &t, &told)?;
    }
    Ok(calibration)
}

/// Random rows of the data, each noised to its level as the network is shown it: `input (alpha x0 + sigma eps)`; their conditions go
/// into `told`.
fn noised(
    data: &Dataset,
    levels: &[Level],
    prediction: Prediction,
    rng: &mut Rng,
    told: &mut [f32],
) -> Vec<f32> {
    let mut x = Vec::with_capacity(levels.len() * data.dim());
    let width = told.len() / levels.len().max(1);
    for (i, level) in levels.iter().enumerate() {
        let input = prediction.input(level);
        let (a, s) = (input * level.alpha, input * level.sigma);
        let index = rng.below(data.len());
        data.conditions().write(index, &mut told[i * width..(i + 1) * width]);
        let row = data.row(index).unwrap_or_default();
        x.extend(row.iter().map(|x0| (a * f64::from(*x0) + s * rng.normal()) as f32));
    }
    x
}

#[cfg(test)]
mod tests;
