//! How good a network's samples are.

use crate::data::{DataError, Dataset, MAX_POINTS};
use crate::metrics::{GaussianKernel, MetricError, Mmd};
use crate::model::{Network, NetworkConfig, NetworkError, SaveError, has_room};
use picardy::nn::{Artifact, ModelCard, ModelError, ShapeError};
use picardy::{
    Batch, Level, Memory, Node, Noise, NoiseSchedule, PlanError, Prediction, SampleError, Sampler,
    ScheduleError, Sequential, Solver, denoiser,
};
use rayon::prelude::*;

/// Why samples cannot be drawn or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The grid.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The network's file.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The network's sizes or parameters.
    #[error(transparent)]
    Network(#[from] SaveError),
    /// The run.
    #[error(transparent)]
    Sample(#[from] SampleError<NetworkError>),
    /// The comparison.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The data to compare with.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Data whose conditions are none for the network.
    #[error(
        "the network is told {network} numbers of an item, and the conditions of {name} have {data}; give the labels or \
         observations that it was trained with"
    )]
    Told {
        /// What the network is told.
        network: usize,
        /// What the data tell.
        data: usize,
        /// The data.
        name: String,
    },
}

/// Items that a thread samples together.
const CHUNK: usize = 128;

/// Draws `count` samples `[count, dim]` from a network's safetensors file, in sequence over time and in parallel over
/// items, on the threads of the rayon pool it is called in. The result depends on the seed alone, not on their number.
///
/// `schedule` is the process and the levels that the network was trained at: its card's, or betas alone where it is variance
/// preserving. The network's output is what its card says, the noise without one. A network that is told a condition is told none.
///
/// # Errors
/// A file that is no network, more steps than the schedule has, a network that gives NaN;
/// [`DataError::PointCount`] unless `count` is 1 to [`MAX_POINTS`].
pub fn sample(
    network: &[u8],
    schedule: impl Into<NoiseSchedule>,
    solver: &impl Solver,
    steps: usize,
    count: usize,
    seed: u64,
) -> Result<Vec<f32>, EvaluateError> {
    sample_told(network, schedule, solver, steps, &[], (count, seed))
}

/// The bytes that [`sample`] takes beside the file: the network's copies for so many threads, the samples and their conditions.
/// Saturates.
pub(crate) fn bytes(network: &NetworkConfig, count: usize, threads: usize) -> Result<u128, NetworkError> {
    let one = Network::<f32>::bytes(network, CHUNK)?;
    let dim = network.shape.iter().fold(1u128, |dim, &extent| dim.saturating_mul(extent as u128));
    // A sample, what a step reads and writes of it, and its condition.
    let row = dim.saturating_mul(4).saturating_add(2 * network.condition as u128 + 2);
    let rows = row.saturating_mul(count as u128).saturating_mul(size_of::<f32>() as u128);
    Ok(one.saturating_mul(1 + threads as u128).saturating_add(rows))
}

/// [`sample`] of `count` items by `seed`, told `conditions` [n, condition] in turns, or none where they are empty.
///
/// # Errors
/// As there; conditions that are no whole rows.
pub fn sample_told(
    network: &[u8],
    schedule: impl Into<NoiseSchedule>,
    solver: &impl Solver,
    steps: usize,
    conditions: &[f32],
    (count, seed): (usize, u64),
) -> Result<Vec<f32>, EvaluateError> {
    let artifact = Artifact::parse(network).map_err(ModelError::from)?;
    let model = Network::<f32>::from_safetensors(network, CHUNK)?;
    let schedule = schedule.into();
    schedule.check()?;
    let most = schedule.most_steps();
    if steps > most {
        return Err(ScheduleError::TooManySteps { asked: steps, train_steps: most }.into());
    }
    let dim = model.dim();
    if conditions.len().checked_rem(model.condition()).is_some_and(|rest| rest != 0) {
        let (expected, got) = (model.condition(), conditions.len());
        return Err(SaveError::from(NetworkError::from(ShapeError {
            argument: "conditions",
            expected,
            got,
        }))
        .into());
    }
    if !(1..=MAX_POINTS).contains(&count) || !has_room(4 * count as u128 * dim as u128) {
        let limit = MAX_POINTS.min((crate::model::MAX_BYTES / 4) as usize / dim.max(1));
        return Err(DataError::PointCount { asked: count, limit }.into());
    }
    let mut levels = vec![Level::default(); steps + 1];
    let grid = schedule.trailing(steps, &mut levels)?;
    let mut nodes = vec![Node::default(); solver.nodes(steps)];
    let card = ModelCard::from_lookup(|key| artifact.metadata(key));
    let prediction = card.map_or(Prediction::Epsilon, |card| card.prediction);
    let plan = solver.plan(&grid, prediction, &mut nodes)?;
    let mut samples = vec![0.0f32; count * dim];
    // Those of the pool that this runs in.
    let part = count.div_ceil(rayon::current_num_threads()).next_multiple_of(CHUNK);
    let parts: Vec<Result<(), EvaluateError>> = samples
        .par_chunks_mut(part * dim)
        .enumerate()
        .map(|(index, part_of)| {
            let mut model = model.clone();
            let (mut t, mut c) = (Vec::with_capacity(CHUNK), Vec::new());
            let first = std::cell::Cell::new(0);
            let mut denoiser = denoiser::from_fn(|batch: &Batch<'_>, x: &[f32], out: &mut [f32]| {
                let width = model.condition();
                t.clear();
                c.clear();
                for row in batch.iter() {
                    t.push(row.level.t as f32);
                    match conditions.len().checked_div(width) {
                        Some(rows) if rows > 0 => {
                            let at = (first.get() + row.item) % rows * width;
                            c.extend_from_slice(&conditions[at..at + width]);
                        }
                        _ => c.resize(c.len() + width, 0.0),
                    }
                }
                out.copy_from_slice(model.forward(x, &t, &c)?);
                Ok::<(), NetworkError>(())
            });
            let mut memory = Memory::new();
            for (chunk, x) in part_of.chunks_mut(CHUNK * dim).enumerate() {
                first.set(index * part + chunk * CHUNK);
                let noise = Noise::seeded(seed).from_item(first.get() as u64);
                plan.start(&noise, dim, x);
                let mut workspace = memory.workspace(Sequential.need(&plan, x.len() / dim), dim);
                Sequential.run(&plan, &mut denoiser, &noise, x, &mut workspace)?;
            }
            Ok(())
        })
        .collect();
    // The first part's error, whichever thread was first.
    parts.into_iter().collect::<Result<(), _>>()?;
    Ok(samples)
}

/// What a network that is told `width` numbers is told of `count` items from all over the data, in their order, or of all items
/// where there are fewer: [n, width], for [`sample_told`]. Empty where the data have no conditions, which is none.
///
/// # Errors
/// Conditions of another width than the network's, or more numbers than there is memory for.
pub fn conditions_of(data: &Dataset, width: usize, count: usize) -> Result<Vec<f32>, EvaluateError> {
    let own = data.conditions().width();
    if own == 0 || width == 0 {
        return Ok(Vec::new());
    }
    if own != width {
        return Err(EvaluateError::Told { network: width, data: own, name: data.name().to_owned() });
    }
    let rows = count.min(data.len());
    if !has_room(4 * rows as u128 * width as u128) {
        let limit = (crate::model::MAX_BYTES / 4) as usize / width;
        return Err(DataError::PointCount { asked: count, limit }.into());
    }
    let mut conditions = vec![0.0; width * rows];
    for (i, slot) in conditions.chunks_exact_mut(width).enumerate() {
        // Wide, since the product of two counts may be no usize.
        data.conditions().write((i as u128 * data.len() as u128 / rows as u128) as usize, slot);
    }
    Ok(conditions)
}

/// The maximum mean discrepancy (squared, unbiased) of a network's samples to fresh data.
///
/// # Errors
/// As [`sample`] and [`GaussianKernel::mmd`].
pub fn mmd(
    network: &[u8],
    schedule: impl Into<NoiseSchedule>,
    solver: &impl Solver,
    steps: usize,
    fresh: &[f32],
    dim: usize,
    seed: u64,
) -> Result<Mmd, EvaluateError> {
    let samples = sample(network, schedule, solver, steps, fresh.len() / dim.max(1), seed)?;
    Ok(GaussianKernel::default().mmd(&samples, fresh, dim)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MlpConfig, Network, Precision};
    use picardy::{Betas, Ddim};

    #[test]
    fn hostile_counts_are_refused() {
        let model = Network::<f32>::new(MlpConfig { dim: 2, width: 4, blocks: 1 }, 1, 0).unwrap();
        let bytes = model.to_safetensors(&[], Precision::F32).unwrap();
        let run = |steps, count| {
            sample(&bytes, Betas::linear(10, 1e-4, 2e-2), &Ddim::default(), steps, count, 0)
                .map(|samples| samples.len())
                .map_err(|error| error.to_string())
        };
        assert_eq!(run(10, 3), Ok(6));
        for count in [0, usize::MAX, 1 << 62] {
            assert!(run(10, count).unwrap_err().contains(&format!("cannot draw {count} points")));
        }
        for steps in [0, 11, usize::MAX] {
            assert!(run(steps, 3).unwrap_err().contains(&format!("{steps} steps")));
        }
    }
}
