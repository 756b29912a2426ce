//! A batch in parts: a network and a loss for each, on as many threads as there are.
//!
//! How many parts there are follows from the settings, never from the threads, and their gradients are added in their order:
//! the sum has the same bits on any number of threads.

use super::batch::Part;
use super::{Terms, TrainConfig, TrainError};
use crate::loss::{LossConfig, LossError, NoiseTable, Objective, Statistics};
use crate::model::Network;
use crate::physics::Residual;
use crate::rng::Rng;
use rayon::prelude::*;
use std::sync::Arc;

/// The most parts where the settings do not say.
const MOST: usize = 16;
/// The fewest items of a part where the settings do not say: fewer fill no product's tiles.
const FEWEST: usize = 32;
/// Parameters that a thread adds gradients of at a time.
const CHUNK: usize = 1 << 14;

/// The loss of one of `n` parts, and its batch; `None` where its items cannot be dealt out evenly.
fn part(loss: &LossConfig, batch: usize, n: usize) -> Option<(LossConfig, usize)> {
    let mut part = loss.clone();
    if loss.contrastive.weight != 0.0 {
        part.contrastive.items = divided(loss.contrastive.items, n)?;
    }
    Some((part, divided(batch, n)?))
}

fn divided(whole: usize, n: usize) -> Option<usize> {
    (n > 0 && whole.is_multiple_of(n)).then(|| whole / n)
}

/// How many parts a batch has, the loss of each, and its items of the batch.
pub(super) fn plan(config: &TrainConfig) -> Result<(usize, LossConfig, usize), TrainError> {
    let (loss, batch) = (&config.loss, config.run.batch);
    let of = |n: usize| part(loss, batch, n).map(|(loss, batch)| (n, loss, batch));
    let found = match config.run.shards {
        0 => (1..=MOST).rev().filter(|&n| n == 1 || batch / n >= FEWEST).find_map(of),
        n => of(n),
    };
    found.ok_or_else(|| TrainError::Setting {
        name: "run.shards",
        value: config.run.shards.to_string(),
        expected: "a divisor of `run.batch` and of `loss.contrastive.items`, or 0",
    })
}

/// One part: its network, whose gradients are its own, and its loss.
#[derive(Debug, Clone)]
struct Shard {
    model: Network<f32>,
    objective: Objective<f32>,
    terms: Result<Terms, LossError>,
}

/// All parts. The first one's network is the run's.
#[derive(Debug, Clone)]
pub(super) struct Shards {
    shards: Vec<Shard>,
}

impl Shards {
    /// The parts of a run; its settings have been checked.
    pub(super) fn new(
        config: &TrainConfig,
        table: &NoiseTable,
        statistics: &Statistics,
        residual: Option<Arc<dyn Residual<f32>>>,
        build: impl Fn(usize) -> Result<Network<f32>, TrainError>,
    ) -> Result<Self, TrainError> {
        let (count, loss, batch) = plan(config)?;
        let table = table.clone();
        let objective = match residual {
            Some(residual) => Objective::with_residual(&loss, table, statistics, batch, residual)?,
            None => Objective::new(&loss, table, statistics, batch)?,
        };
        let model = build(objective.rows())?;
        let shard = Shard { model, objective, terms: Ok(Terms::default()) };
        Ok(Self { shards: vec![shard; count] })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.shards.len()
    }

    /// Items that a part takes.
    pub(super) fn items(&self) -> usize {
        self.shards[0].objective.items()
    }

    /// The run's network.
    pub(super) fn model(&self) -> &Network<f32> {
        &self.shards[0].model
    }

    /// The run's network, to change it.
    pub(super) fn model_mut(&mut self) -> &mut Network<f32> {
        &mut self.shards[0].model
    }

    /// The schedule.
    pub(super) fn table(&self) -> &NoiseTable {
        self.shards[0].objective.table()
    }

    /// Forgets the gradients, and brings the run's weights to every part.
    pub(super) fn begin(&mut self) {
        let [first, rest @ ..] = &mut self.shards[..] else { return };
        first.model.zero_gradients();
        let weights = first.model.parameters();
        in_parallel(rest, |_, shard| {
            shard.model.parameters_mut().copy_from_slice(weights);
            shard.model.zero_gradients();
        });
    }

    /// Adds the gradients of a batch, each part's from the generator that `rng` gives it; the sum over the parts of their mean
    /// losses.
    pub(super) fn add(
        &mut self,
        batch: &[Part],
        rng: impl Fn(usize) -> Rng + Sync,
    ) -> Result<Terms, LossError> {
        in_parallel(&mut self.shards, |index, shard| {
            let Shard { model, objective, terms } = shard;
            *terms = match batch.get(index) {
                Some(Part { x0, c, .. }) => objective.step(model, x0, c, &mut rng(index)).map(Terms::from),
                None => Ok(Terms::default()),
            };
        });
        let mut sum = Terms::default();
        for shard in &self.shards {
            sum.add(&shard.terms.clone()?);
        }
        Ok(sum)
    }

    /// Adds all parts' gradients to the run's network's, in the parts' order.
    pub(super) fn gather(&mut self) {
        let [first, rest @ ..] = &mut self.shards[..] else { return };
        if rest.is_empty() {
            return;
        }
        let (_, gradients) = first.model.parameters_and_gradients();
        let others: Vec<&[f32]> = rest.iter().map(|shard| shard.model.gradients()).collect();
        let mut chunks: Vec<&mut [f32]> = gradients.chunks_mut(CHUNK).collect();
        in_parallel(&mut chunks, |index, chunk| {
            for other in &others {
                let other = &other[index * CHUNK..];
                chunk.iter_mut().zip(other).for_each(|(sum, g)| *sum += g);
            }
        });
    }

    /// The mean losses of `weights` over batches that `batch` gives with their generators, without a change of the run.
    pub(super) fn judge(
        &self,
        weights: &[f32],
        count: usize,
        batch: impl Fn(usize) -> (Part, Rng) + Sync,
    ) -> Result<Terms, LossError> {
        let mut shards = self.shards.clone();
        let mut sum = Terms::default();
        let mut done = 0;
        while done < count {
            let part = shards.len().min(count - done);
            in_parallel(&mut shards[..part], |index, shard| {
                let Shard { model, objective, terms } = shard;
                model.parameters_mut().copy_from_slice(weights);
                let (Part { x0, c, .. }, mut rng) = batch(done + index);
                *terms = objective.step(model, &x0, &c, &mut rng).map(Terms::from);
            });
            for shard in &shards[..part] {
                sum.add(&shard.terms.clone()?);
            }
            done += part;
        }
        Ok(sum.divided(count.max(1) as f64))
    }
}

/// Does `work` for every one of `parts`, on the threads of the pool that this is called in.
fn in_parallel<T: Send>(parts: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
    match parts {
        [part] => work(0, part),
        parts => parts.par_iter_mut().enumerate().for_each(|(index, part)| work(index, part)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_from_the_settings() {
        let shards = |change: &dyn Fn(&mut TrainConfig)| {
            let mut config = TrainConfig::default();
            change(&mut config);
            plan(&config).map(|(n, loss, batch)| (n, batch, loss.contrastive.items))
        };
        assert_eq!(shards(&|_| ()).unwrap(), (4, 32, 4));
        assert_eq!(shards(&|c| c.run.batch = 129).unwrap(), (1, 129, 16));
        assert_eq!(shards(&|c| (c.run.batch, c.run.threads) = (512, 7)).unwrap(), (16, 32, 1));
        assert_eq!(shards(&|c| c.loss.contrastive.items = 3).unwrap(), (1, 128, 3));
        let alone = shards(&|c| (c.loss.contrastive.items, c.loss.contrastive.weight) = (3, 0.0));
        assert_eq!(alone.unwrap(), (4, 32, 3));
        assert_eq!(shards(&|c| c.run.shards = 2).unwrap(), (2, 64, 8));
        let error = shards(&|c| c.run.shards = 3).unwrap_err().to_string();
        assert!(error.contains("`run.shards` is 3") && error.contains("divisor"), "{error}");
    }
}
