//! The held-out loss, and the weights for which it was the lowest.

use super::batch::{Drawer, Drawn};
use super::{Terms, TrainError, Trainer};
use crate::rng::Rng;
use std::sync::Arc;

/// The weights of the lowest held-out loss.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Best {
    pub(super) step: u64,
    pub(super) loss: f64,
    pub(super) weights: Vec<f32>,
}

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The steps taken.
    pub step: u64,
    /// The loss's terms on the held-out items, of the averaged weights and with the same draws every time.
    pub terms: Terms,
    /// Whether it is lower than ever before.
    pub best: bool,
}

/// The stream of an evaluation's draws, apart from those of the steps.
const JUDGE_STREAM: u64 = 0x4A55_4447_4500_0000;
/// The most batches of an evaluation.
const JUDGE_BATCHES: usize = 64;

impl Trainer {
    /// Takes the loss of the averaged weights on the held-out items, and keeps the weights where it is the lowest; `None` where
    /// nothing is held out. A run with patience needs it every [`evaluate_every`](super::RunConfig::evaluate_every) steps.
    ///
    /// # Errors
    /// The loss's.
    pub fn judge(&mut self) -> Result<Option<Judgement>, TrainError> {
        let Some(held_out) = &self.held_out else { return Ok(None) };
        let drawer = Drawer { data: Arc::clone(held_out), ..self.drawer.clone() };
        let count = held_out.len().div_ceil(drawer.items).clamp(1, JUDGE_BATCHES);
        let seed = self.config.run.seed;
        let batch = |index: usize| -> (Drawn, Rng) {
            let first = index * drawer.items;
            let items: Vec<usize> = (first..first + drawer.items).map(|i| i % held_out.len()).collect();
            (drawer.batch(&items), Rng::new(seed, JUDGE_STREAM + index as u64))
        };
        let pool = self.pool.clone();
        let mut judge = || self.engine.judge(&self.objective, count, batch);
        let terms = match pool {
            Some(pool) => pool.install(judge),
            None => judge(),
        }?;
        let loss = terms.total();
        let best = loss.is_finite() && self.best.as_ref().is_none_or(|best| loss < best.loss);
        if best {
            self.best = Some(Best { step: self.step, loss, weights: self.engine.average()?.into_owned() });
            self.worse = 0;
        } else {
            self.worse += 1;
        }
        Ok(Some(Judgement { step: self.step, terms, best }))
    }

    /// The step and the held-out loss of the best weights so far.
    pub fn best(&self) -> Option<(u64, f64)> {
        self.best.as_ref().map(|best| (best.step, best.loss))
    }
}
