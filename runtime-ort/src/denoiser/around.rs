//! The model alone, or with resident rows around it: two sessions, of which one is there at a time.

use picardy::Batch;

use super::OrtDenoiser;
use crate::{
    binding::Told,
    conditions::{Asked, Input},
    error::OrtError,
    resident::{OverRows, ResidentFrames},
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

    /// Puts the rows around the model, where that is possible, in place of the model alone: of the kind whose runs are captured, where
    /// these rows and the model take it.
    pub(crate) fn over_rows(&mut self, frames: &ResidentFrames) -> Result<(), OrtError> {
        if let Around::Loaded(loaded) = &self.around
            && let Some(why) = loaded.stopped()
        {
            self.uncaptured = Some(why.to_owned());
        }
        let may = OverRows::may_capture(&self.model, frames);
        if let Err(why) = &may {
            frames.uncaptured(why);
        }
        let captures = self.uncaptured.is_none() && may.unwrap_or(false);
        match &self.around {
            Around::Impossible => return Ok(()),
            Around::Loaded(loaded) if loaded.captures() == captures => return Ok(()),
            Around::Loaded(_) | Around::Untried => {}
        }
        // A session of the other kind goes first: weights are on the device once.
        self.around = Around::Untried;
        if !self.model.is_resting() {
            self.settle_channels()?;
        }
        let mut loaded = self.loaded(captures)?;
        if captures && let Some(Err(error)) = &loaded {
            let mut why = error.to_string();
            loaded = self.loaded(false)?;
            // ONNX Runtime does not say which.
            if let Some(Ok(OverRows { elsewhere: Some(node), .. })) = &loaded {
                why += &format!(" (the first of them: {node})");
            }
            frames.uncaptured(&why);
            self.uncaptured = Some(why);
        }
        self.around = match loaded {
            Some(Ok(loaded)) => Around::Loaded(loaded),
            Some(Err(error)) => {
                tracing::warn!(%error, "rows are gathered and judged outside of the model's graph");
                Around::Impossible
            }
            None => Around::Impossible,
        };
        if matches!(self.around, Around::Impossible) && self.model.is_resting() {
            self.model.wake()?;
        }
        Ok(())
    }

    /// The rows around the model, or why they are not; `None` where its bytes do not take them.
    fn loaded(&mut self, captures: bool) -> Result<Option<Result<OverRows, OrtError>>, OrtError> {
        let Some(bytes) = OverRows::graft(&self.model, &self.layout, captures) else { return Ok(None) };
        self.bound.clear();
        self.model.rest()?;
        Ok(Some(OverRows::load(&self.model, &bytes, captures)))
    }

    /// Sees that nothing of other conditions is left on the device.
    pub(super) fn forget(&mut self) {
        if let Around::Loaded(over_rows) = &mut self.around {
            over_rows.forget();
        }
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
