//! What a network is trained to do.
//!
//! | loss | what it is | source |
//! |---|---|---|
//! | [`Denoising`] | the squared error of eps, x0, v, a flow's velocity or EDM's network, weighted | arXiv 2006.11239, 2202.00512, 2210.02747, 2206.00364, 2303.09556 |
//! | [`Contrastive`] | telling noise levels apart by the densities that the network gives | arXiv 2407.08946 |
//! | [`LikelihoodLoss`] | the information-theoretic negative log-likelihood | arXiv 2302.03792 |
//! | [`Informed`] | the denoising loss, and equations that samples must fulfil | arXiv 2403.14404 |
//! | [`Denoising`] with [`Process::Pinned`] | the pinned (Foellmer) process | arXiv 2305.09605 |
//! | [`Objective`] | all terms of a [`LossConfig`] behind one step | |
//!
//! A loss draws its own noise from the generator it is given, runs the network forward and backward, adds to the
//! network's gradients and gives back its value. Its buffers are allocated once.

mod config;
pub mod contrastive;
mod denoising;
mod gaussian;
mod informed;
mod levels;
mod likelihood;
mod likelihood_loss;
mod objective;
#[cfg(test)]
mod pinned_tests;
mod standard;
mod terms;
mod view;

pub use config::LossConfig;
pub use contrastive::{Contrastive, ContrastiveConfig};
pub use denoising::{Denoising, DenoisingConfig, Focus, Weighting};
pub use gaussian::Gaussian;
pub use informed::{Estimation, Informed, InformedConfig, InformedLosses};
pub use levels::{LogSnrDraws, NoiseTable, Process};
pub use likelihood::{Nll, NllConfig};
pub use likelihood_loss::{LikelihoodConfig, LikelihoodLoss};
pub use objective::{Losses, Objective, Statistics};
/// What a network is trained to return.
pub use picardy::Prediction as Output;
pub use standard::Standard;
pub use terms::{
    ContrastiveTerm, DenoisingTerm, Draws, LikelihoodTerm, OutputName, PhysicsTerm, ProcessName,
    ResidualName, WeightingName,
};

use crate::model::{MAX_BYTES, NetworkError};
use picardy::ScheduleError;
use picardy::likelihood::{LikelihoodError, sigmoid};

/// Why a loss cannot be built or taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LossError {
    /// A schedule that is no schedule.
    #[error(
        "alpha-bar of timestep {step} is {value}: it must lie strictly between 0 and 1 and fall with the timestep; \
         choose betas further from 0 and from 1, or fewer timesteps"
    )]
    Schedule {
        /// The timestep.
        step: usize,
        /// alpha-bar there.
        value: f64,
    },
    /// A schedule without timesteps, or data without items.
    #[error("there are no {0}")]
    Empty(&'static str),
    /// A setting out of range.
    #[error("the loss's `{name}` is {value}; it must be {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A loss that needs the Gaussian fitted to the data was given none.
    #[error(
        "{0} need the Gaussian that is fitted to the data; give one, share the draws, or give the levels in numbers"
    )]
    NoGaussian(&'static str),
    /// A loss without terms.
    #[error("every term of the loss has weight 0: give one a weight")]
    NoTerm,
    /// The physics asks for whole timesteps, and at least two.
    #[error(
        "the physics-informed loss needs a schedule of at least 2 timesteps, which the flow process has not: train with the \
         process `vp` or `pinned`, or leave the physics out"
    )]
    Timesteps,
    /// A level at which the network's output says nothing of the data.
    #[error(
        "at alpha {alpha} and sigma {sigma} this prediction says nothing of the data: predict `v` or `sample`"
    )]
    Singular {
        /// Its alpha.
        alpha: f64,
        /// Its sigma.
        sigma: f64,
    },
    /// A residual for items of another size.
    #[error("the residual is none for items of {dim} coordinates: give the data's own, or other data")]
    ResidualSize {
        /// Coordinates of an item.
        dim: usize,
    },
    /// Physics asked for by weight, and no residual.
    #[error(
        "the physics has a weight and the residual `custom`: name a built-in one, or hand one to Objective::with_residual, Trainer::with_residual or \
         Run::begin_with_residual"
    )]
    NoResidual,
    /// The user's physics gave NaN or infinity.
    #[error(
        "{what} is {value} at index {index} of row {row}: mend the residual there, or lower the learning rate or the physics' weights \
         if the network has diverged"
    )]
    Residual {
        /// What is not finite.
        what: &'static str,
        /// The row of the batch.
        row: usize,
        /// The entry.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// Buffers that take more than [`MAX_BYTES`], or than the system would give.
    #[error(
        "the loss takes {:.1} GB of memory, more than there is (at most {:.0} GB are taken): lower the batch, the contrastive \
         items and draws, or the physics' steps",
        *.bytes as f64 / 1e9, MAX_BYTES as f64 / 1e9
    )]
    Memory {
        /// What they take.
        bytes: u128,
    },
    /// More rows in a step than can be counted.
    #[error(
        "the contrastive loss takes 2 x {items} items x {draws} draws in one step: give fewer items or draws"
    )]
    TooManyRows {
        /// Items per step.
        items: usize,
        /// Draws per item and density.
        draws: usize,
    },
    /// No more items than coordinates, so that their covariance is singular whatever they are.
    #[error(
        "the covariance of {rows} rows of {dim} columns is singular: give at least {} rows, or drop columns",
        .dim.saturating_add(1)
    )]
    TooFewRows {
        /// The items.
        rows: usize,
        /// Coordinates of an item.
        dim: usize,
    },
    /// An eigenvalue that is not positive: a coordinate that is constant, or a linear combination of others.
    #[error(
        "the covariance has the eigenvalue {value:.3e}: a column is constant, or a linear combination of others; \
         drop such columns"
    )]
    Eigenvalue {
        /// The eigenvalue.
        value: f64,
    },
    /// Data that does not consist of whole items of the network's dimension.
    #[error("{len} numbers are not a whole number of items of {dim} coordinates")]
    Items {
        /// The numbers given.
        len: usize,
        /// Coordinates of an item.
        dim: usize,
    },
    /// The network refused the rows.
    #[error(transparent)]
    Model(#[from] NetworkError),
    /// A schedule of another process than the variance-preserving one.
    #[error(transparent)]
    Levels(ScheduleError),
    /// A density could not be estimated.
    #[error(transparent)]
    Likelihood(Box<LikelihoodError<NetworkError>>),
}

impl From<LikelihoodError<NetworkError>> for LossError {
    fn from(error: LikelihoodError<NetworkError>) -> Self {
        match error {
            LikelihoodError::Denoiser(error) => Self::Model(error),
            error => Self::Likelihood(Box::new(error)),
        }
    }
}

impl LossError {
    /// A setting that is not positive and finite.
    const fn setting(name: &'static str, value: f64) -> Self {
        Self::Setting { name, value, expected: "positive and finite" }
    }
}

/// Refuses a parameter out of range.
fn check_output(output: Output) -> Result<(), LossError> {
    match output {
        Output::Edm { sigma_data } if !(sigma_data > 0.0 && sigma_data.is_finite()) => {
            Err(LossError::setting("sigma-data", sigma_data))
        }
        _ => Ok(()),
    }
}

/// How many items `len` numbers are.
fn items(len: usize, dim: usize) -> Result<usize, LossError> {
    match len {
        0 => Err(LossError::Empty("items")),
        _ if dim == 0 || !len.is_multiple_of(dim) => Err(LossError::Items { len, dim }),
        _ => Ok(len / dim),
    }
}

/// `ln(1 + e^s)` without overflow.
fn softplus(s: f64) -> f64 {
    s.max(0.0) + (-s.abs()).exp().ln_1p()
}
