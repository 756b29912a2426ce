//! The terms of a loss and their settings, as a configuration file names them.

use super::{Estimation, LogSnrDraws, LossError};
use serde::{Deserialize, Serialize};

/// What the network returns; see [`Output`](super::Output).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputName {
    /// The noise.
    #[default]
    Epsilon,
    /// The data.
    Sample,
    /// `a eps - s x0`.
    V,
    /// `eps - x0`.
    Flow,
    /// EDM's preconditioned network.
    Edm,
}

/// Which states the network is shown; see [`Process`](super::Process).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessName {
    /// Variance preserving.
    #[default]
    Vp,
    /// Flow matching.
    Flow,
    /// The pinned (Foellmer) process; with the prediction `sample` and a denoising term alone, it is its training loss.
    Pinned,
}

/// How rows of the denoising loss are weighted; see [`Weighting`](super::Weighting).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightingName {
    /// All the same.
    #[default]
    Uniform,
    /// `min(SNR, gamma)` in the error of x0.
    MinSnr,
}

/// The denoising loss: a batch's items, a row each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DenoisingTerm {
    /// What it is multiplied by; 0 for none.
    pub weight: f64,
    /// How its rows are weighted.
    pub weighting: WeightingName,
    /// gamma of `min-snr`.
    pub gamma: f64,
    /// The share of rows at timesteps below `focus-timesteps`; 0: all timesteps evenly. See [`Focus`](super::Focus).
    pub focus: f64,
    /// The bound of `focus`.
    pub focus_timesteps: usize,
}

impl Default for DenoisingTerm {
    fn default() -> Self {
        Self { weight: 1.0, weighting: WeightingName::default(), gamma: 5.0, focus: 0.0, focus_timesteps: 10 }
    }
}

/// The contrastive loss; the defaults are what BENCHMARKS.md measures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ContrastiveTerm {
    /// The weight of the items' mean loss; 0 for none.
    pub weight: f64,
    /// Items per step.
    pub items: usize,
    /// Draws of (l, eps) per item and density.
    pub draws: usize,
    /// Whether both densities of an item share their draws (false: as the paper estimates them).
    pub shared: bool,
    /// The log-SNRs that the densities are integrated over.
    pub levels: Draws,
    /// The noise levels that are told from the data.
    pub zeta: Draws,
}

impl Default for ContrastiveTerm {
    fn default() -> Self {
        let levels = Draws::default();
        Self { weight: 1.0 / 16.0, items: 16, draws: 16, shared: true, levels, zeta: levels }
    }
}

/// The information-theoretic negative log-likelihood of a batch's items, a row each; off by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LikelihoodTerm {
    /// What the nats a coordinate are multiplied by; 0 for none.
    pub weight: f64,
    /// The log-SNRs that the density is integrated over. With other than `auto` no Gaussian is fitted to the data, and the value
    /// lacks its constants.
    pub levels: Draws,
}

/// The physics; off by default. See [`Informed`](super::Informed).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PhysicsTerm {
    /// c, the weight of the equality residual; 0 for none.
    pub weight: f64,
    /// The weight of the inequalities.
    pub inequality: f64,
    /// lambda, the weight of the objective.
    pub objective: f64,
    /// The residual.
    pub residual: ResidualName,
    /// Which sample is asked.
    pub estimation: Estimation,
    /// DDIM steps of `sample`.
    pub steps: usize,
    /// The most that one squared residual over twice its variance counts; 0 for no bound.
    pub ceiling: f64,
    /// The |r| beyond which the cost grows along a line; 0 for none.
    pub bend: f64,
    /// The physics is asked at timesteps below this one alone; 0 for all.
    pub timesteps: usize,
}

impl Default for PhysicsTerm {
    fn default() -> Self {
        Self {
            weight: 0.0,
            inequality: 0.0,
            objective: 0.0,
            residual: ResidualName::default(),
            estimation: Estimation::default(),
            steps: 1,
            ceiling: 0.0,
            bend: 0.0,
            timesteps: 0,
        }
    }
}

/// A residual by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResidualName {
    /// The one that is handed to [`Objective::with_residual`](super::Objective::with_residual).
    #[default]
    Custom,
    /// [`Circle`](crate::physics::Circle).
    Circle,
    /// [`Darcy`](crate::physics::Darcy), its size by the data's.
    Darcy,
}

/// A distribution of log-SNRs, as a configuration names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Draws {
    /// Logistic by the eigenvalues of the data's covariance: [`LogSnrDraws::for_eigenvalues`].
    #[default]
    Auto,
    /// The contrastive paper's zeta for images: logistic around 10.5, scale 1.5, clip 3.
    Images,
    /// `loc + scale logit(u)`, u uniform in (sig(-clip), sig(clip)).
    Logistic {
        /// The middle.
        loc: f64,
        /// The width.
        scale: f64,
        /// Where it is cut off, in scales.
        clip: f64,
    },
    /// Uniform in (low, high); 6 to 15 is the contrastive paper's other zeta for images.
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
}

impl Draws {
    /// The distribution, where `auto` is by these eigenvalues.
    pub(super) fn resolve(self, eigenvalues: Option<&[f64]>) -> Result<LogSnrDraws, LossError> {
        match self {
            Self::Auto => {
                eigenvalues.map(LogSnrDraws::for_eigenvalues).ok_or(LossError::NoGaussian("`auto` levels"))
            }
            Self::Images => Ok(LogSnrDraws::Logistic { loc: 10.5, scale: 1.5, clip: 3.0 }),
            Self::Logistic { loc, scale, clip } => Ok(LogSnrDraws::Logistic { loc, scale, clip }),
            Self::Uniform { low, high } => Ok(LogSnrDraws::Uniform { low, high }),
        }
    }
}
