//! The memory that a run takes.

use super::engine::Engine;
use super::{TrainConfig, TrainError};
use crate::data::Dataset;
use crate::evaluate;
use crate::model::{Network, NetworkConfig};

/// The network for the data, with its condition.
pub(super) fn sizes(config: &TrainConfig, data: &Dataset) -> Result<NetworkConfig, TrainError> {
    Ok(NetworkConfig {
        shape: data.shape().to_vec(),
        condition: data.conditions().width(),
        architecture: config.network.architecture()?,
    })
}

/// The most bytes of the run's buffers at any time, without the data; saturates. The settings have been checked.
pub(super) fn bytes(
    config: &TrainConfig,
    data: &Dataset,
    network: &NetworkConfig,
    judged: bool,
) -> Result<u128, TrainError> {
    let (loss, batch) = (&config.loss, config.run.batch);
    let size = size_of::<f32>() as u128;
    let buffers = loss.bytes(batch, data.dim(), network.condition, size_of::<f32>());
    let whole = Network::<f32>::bytes(network, Engine::host_rows(config, loss.rows(batch)))?;
    let part = whole.saturating_add(buffers);
    let weights = (Network::<f32>::count(network)? as u128).saturating_mul(size);
    // Adam's two, the average, and the best one.
    let copies = weights.saturating_mul(4);
    // One after another: a judgement has a network and losses of its own, an evaluation's samples come from a copy by way of a
    // file, and an export is of a copy and of two files.
    let judging = if judged { part } else { 0 };
    let file = whole.saturating_add(weights);
    let export = file.saturating_add(weights);
    let sampling = if config.run.evaluate_every > 0 {
        let threads = if config.run.threads > 0 { config.run.threads } else { rayon::current_num_threads() };
        file.saturating_add(evaluate::bytes(network, config.run.samples, threads)?)
    } else {
        0
    };
    Ok(part.saturating_add(copies).saturating_add(judging.max(export).max(sampling)))
}
