//! A run's network and its loss.

use super::Terms;
use super::batch::Drawn;
use crate::loss::{LossError, NoiseTable, Objective};
use crate::model::Network;
use crate::rng::Rng;

/// The network under training, whose own shards keep all threads busy, and what it is trained to do.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) model: Network<f32>,
    pub(super) objective: Objective<f32>,
}

impl Task {
    /// The schedule.
    pub(super) fn table(&self) -> &NoiseTable {
        self.objective.table()
    }

    /// Adds the gradients of a batch, and gives its mean losses.
    pub(super) fn add(&mut self, batch: &Drawn, rng: &mut Rng) -> Result<Terms, LossError> {
        self.objective.step(&mut self.model, &batch.x0, &batch.c, rng).map(Terms::from)
    }

    /// The mean losses of `weights` over batches that `batch` gives with their generators, without a change of the run.
    pub(super) fn judge(
        &self,
        weights: &[f32],
        count: usize,
        batch: impl Fn(usize) -> (Drawn, Rng),
    ) -> Result<Terms, LossError> {
        let mut task = self.clone();
        task.model.parameters_mut().copy_from_slice(weights);
        let mut sum = Terms::default();
        for index in 0..count {
            let (items, mut rng) = batch(index);
            sum.add(&task.add(&items, &mut rng)?);
        }
        Ok(sum.divided(count.max(1) as f64))
    }
}
