//! The model alone, or with resident rows around it: two sessions, of which one is there at a time.

use picardy::Batch;

use super::OrtDenoiser;
use crate::{
    binding::Told,
    conditions::{Asked, Input},
    error::OrtError,
    resident::OverRows,
    session::Model,
    signature::Layout,
    split::Limit,
};

/// Whether the model has resident rows around it. Where it has, the model alone rests.
#[derive(Debug)]
pub(super) enum Around {
    Untried,
    Impossible,
    Loaded(OverRows),
}

/// What a run over resident rows works with.
pub(crate) struct Parts<'a> {
    pub(crate) model: &'a mut Model,
    pub(crate) over_rows: Option<&'a mut OverRows>,
    pub(crate) layout: &'a Layout,
    pub(crate) conditions: &'a [Input],
    pub(crate) told: &'a mut Vec<Told>,
    pub(crate) limit: &'a mut Limit,
}

impl OrtDenoiser {
    /// The parts that a run over resident rows works with.
    pub(crate) fn parts(&mut self) -> Parts<'_> {
        let Self { model, around, layout, conditions, told, limit, .. } = self;
        let over_rows = match around {
            Around::Loaded(over_rows) => Some(over_rows),
            Around::Untried | Around::Impossible => None,
        };
        Parts { model, over_rows, layout, conditions, told, limit }
    }

    /// Takes up the rows of a call.
    ///
    /// # Errors
    /// [`OrtError::FractionalTime`].
    pub(crate) fn ask(&self, batch: &Batch<'_>) -> Result<Vec<Asked>, OrtError> {
        let asked: Vec<Asked> = batch.iter().map(Asked::from).collect();
        self.check_times(&asked)?;
        Ok(asked)
    }

    /// Puts the rows around the model, where that is possible, in place of the model alone.
    pub(crate) fn over_rows(&mut self) -> Result<(), OrtError> {
        if !matches!(self.around, Around::Untried) {
            return Ok(());
        }
        self.settle_channels()?;
        let loaded = match OverRows::graft(&self.model, &self.layout) {
            Some(bytes) => {
                self.bound.clear();
                self.model.rest()?;
                OverRows::load(&self.model, &bytes)
            }
            None => None,
        };
        if loaded.is_none() && self.model.is_resting() {
            self.model.wake()?;
        }
        self.around = loaded.map_or(Around::Impossible, Around::Loaded);
        Ok(())
    }

    /// Takes them away again, for rows in host memory.
    pub(super) fn alone(&mut self) -> Result<(), OrtError> {
        if self.model.is_resting() {
            self.around = Around::Untried;
            self.model.wake()?;
        }
        Ok(())
    }
}
