//! Why training cannot start or go on.

use crate::loss::LossError;
use crate::model::{MAX_BYTES, NetworkError};
use picardy::ScheduleError;
use std::fmt;

/// Why training cannot start or go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting out of range.
    #[error("`{name}` is {value}; it must be {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The noise schedule is none.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The run takes more memory than [`MAX_BYTES`], or than the system would give.
    #[error(
        "the run takes {:.1} GB of memory, more than there is (at most {:.0} GB are taken): lower the width, the \
         batch, or the contrastive items and draws",
        *.bytes as f64 / 1e9, MAX_BYTES as f64 / 1e9
    )]
    Memory {
        /// What it takes.
        bytes: u128,
    },
    /// The contrastive loss needs a Gaussian fitted to the data, whose covariance is singular.
    #[error("{data}: {error}, or train with the standard loss, which needs no covariance")]
    Covariance {
        /// The data's name.
        data: String,
        /// Why it is singular.
        error: LossError,
    },
    /// The device that the run is to be trained on cannot be used, or failed.
    #[error(
        "{reason}; `run.device = \"native\"` (`--device native`) trains on the processor without ONNX Runtime"
    )]
    Device {
        /// Why.
        reason: String,
    },
    /// Held-out items are other ones than those that are trained on.
    #[error(
        "the held-out items have the shape {held_out:?} and those that are trained on {trained:?}: split one set"
    )]
    HeldOut {
        /// The shape of the held-out items.
        held_out: Vec<usize>,
        /// That of the others.
        trained: Vec<usize>,
    },
    /// The network cannot be built.
    #[error(transparent)]
    Model(#[from] NetworkError),
    /// The loss cannot be built.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// The loss cannot be taken; the weights are those before the step.
    #[error("step {step}, on the {items}: {error}")]
    Step {
        /// The step, from 1.
        step: u64,
        /// The items of the batch.
        items: Items,
        /// Why.
        error: LossError,
    },
    /// The loss or the gradient is not finite; the weights are those before the step.
    #[error(
        "step {step}: the loss is {loss} and the gradient's norm {norm} on the {items}; lower the learning rate or check \
         these items"
    )]
    NotFinite {
        /// The step, from 1.
        step: u64,
        /// Its loss.
        loss: f64,
        /// The norm of the gradient.
        norm: f64,
        /// The items of the batch.
        items: Items,
    },
    /// A step made weights that are not finite: the run is over, and its last checkpoint is the last good state.
    #[error(
        "step {step}: a step of rate {rate} makes weights that are not finite, on the {items}; lower the learning rate, and \
         train anew or go on from the last checkpoint"
    )]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// Its rate.
        rate: f64,
        /// The items of the batch.
        items: Items,
    },
}

/// Which items a batch had: places in the data as it was loaded, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items(pub Vec<usize>);

/// Items that a message names.
const NAMED: usize = 16;

impl fmt::Display for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items ", self.0.len())?;
        for (at, item) in self.0.iter().take(NAMED).enumerate() {
            write!(f, "{}{item}", if at == 0 { "" } else { ", " })?;
        }
        if self.0.len() > NAMED { write!(f, " and others") } else { Ok(()) }
    }
}
