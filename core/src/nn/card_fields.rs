//! The values of a model card and how they are read.

use crate::Name;
use core::fmt;

/// The keys under which both files carry the card.
pub mod key {
    /// The card's format, a number: 1 or 2.
    pub const VERSION: &str = "picardy.version";
    /// The network: `residual-mlp`, `unet1d`, `unet2d` or `exact-points`.
    pub const MODEL: &str = "picardy.model";
    /// The noising process: `vp`; of version 2 `flow`, `ve` and `pinned` too.
    pub const PROCESS: &str = "picardy.process";
    /// The schedule of betas (`vp`, `pinned`): `linear`, `scaled_linear`, `cosine` or `sigmoid`.
    pub const SCHEDULE: &str = "picardy.schedule";
    /// How many timesteps the network was trained on (`vp`, `pinned`, `flow`).
    pub const TRAIN_STEPS: &str = "picardy.train_steps";
    /// The schedule's first beta.
    pub const BETA_START: &str = "picardy.beta_start";
    /// The schedule's last beta.
    pub const BETA_END: &str = "picardy.beta_end";
    /// Whether the schedule is rescaled to zero terminal SNR: `true` or `false`, absent for `false`.
    pub const ZERO_SNR: &str = "picardy.zero_snr";
    /// `alpha_bar` of the last timestep of a schedule of zero terminal SNR, absent for 0; version 2.
    pub const LAST_ALPHA_BAR: &str = "picardy.last_alpha_bar";
    /// The shift of a flow's sigmas towards noise, 1 for none (`flow`).
    pub const SHIFT: &str = "picardy.shift";
    /// The variance of the noise per unit of time (`pinned`).
    pub const VARIANCE: &str = "picardy.variance";
    /// The smallest sigma of a run before none at all (`ve`).
    pub const SIGMA_MIN: &str = "picardy.sigma_min";
    /// The largest sigma (`ve`).
    pub const SIGMA_MAX: &str = "picardy.sigma_max";
    /// The exponent of Karras' curve between them (`ve`).
    pub const RHO: &str = "picardy.rho";
    /// What the network's output is: `epsilon`, `sample`, `v_prediction` or `flow`; of version 2 `edm` too.
    pub const PREDICTION: &str = "picardy.prediction";
    /// EDM's standard deviation of the data as the network saw them (`edm`).
    pub const SIGMA_DATA: &str = "picardy.sigma_data";
    /// What number the network is told: `timestep` (of a flow, timesteps times sigma), and `sigma` of the process `ve`.
    pub const CONDITIONING: &str = "picardy.conditioning";
    /// One item's shape, outermost axis first.
    pub const SHAPE: &str = "picardy.shape";
    /// A residual MLP's width; of an exact denoiser, its points.
    pub const WIDTH: &str = "picardy.width";
    /// A residual MLP's blocks; of a 2-D U-Net, those of each level.
    pub const BLOCKS: &str = "picardy.blocks";
    /// A U-Net's channels, level by level.
    pub const WIDTHS: &str = "picardy.widths";
    /// Numbers of a U-Net's embedding of t.
    pub const EMBEDDING: &str = "picardy.embedding";
    /// Groups of a U-Net's norms.
    pub const GROUPS: &str = "picardy.groups";
    /// Places of a temporal U-Net's convolutions.
    pub const KERNEL: &str = "picardy.kernel";
    /// Whether a temporal U-Net's condition scales the channels: `true` or `false`.
    pub const FILM_SCALE: &str = "picardy.film_scale";
    /// Heads of a 2-D U-Net's attention.
    pub const HEADS: &str = "picardy.heads";
    /// Numbers of a condition, absent for none.
    pub const CONDITION: &str = "picardy.condition";
    /// The loss it was trained with.
    pub const LOSS: &str = "picardy.loss";
    /// The seed of its training.
    pub const SEED: &str = "picardy.seed";
    /// What was subtracted from the data, per coordinate.
    pub const DATA_MEAN: &str = "picardy.data_mean";
    /// What the data was divided by then, per coordinate.
    pub const DATA_SCALE: &str = "picardy.data_scale";
    /// The mean variance per coordinate of what the network saw.
    pub const DATA_VARIANCE: &str = "picardy.data_variance";
    /// What the matrices are stored as: `f32`, `f16` or `int8`, absent for `f32`.
    pub const WEIGHTS: &str = "picardy.weights";
    /// What smaller weights change, in words; not part of the card.
    pub const WEIGHTS_ERROR: &str = "picardy.weights_error";
}

/// Why metadata is no model card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CardError {
    /// A key that a card must have is not there.
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key's value is not one of those it may have.
    Invalid {
        /// The key.
        key: &'static str,
        /// Its value, or the beginning of a long one.
        got: Name,
        /// What it may be.
        expected: &'static str,
    },
    /// A card of a format that is not known.
    Version {
        /// The card's format.
        got: u32,
    },
    /// A list whose length is not the item's number of coordinates.
    Length {
        /// The key.
        key: &'static str,
        /// Coordinates of an item.
        expected: usize,
        /// Elements of the list.
        got: usize,
    },
}

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Missing { key: key::VERSION } => {
                write!(f, "the model has no picardy metadata: name the prediction and the schedule yourself")
            }
            Self::Missing { key } => {
                write!(f, "the model's metadata lacks `{key}`: export the model again")
            }
            Self::Invalid { key, got, expected } => {
                write!(f, "the metadata `{key}` is `{got}`, not {expected}; export the model again")
            }
            Self::Version { got } => {
                write!(
                    f,
                    "the model's metadata is of version {got}, and versions 1 and 2 are read here: use a newer picardy"
                )
            }
            Self::Length { key, expected, got } => {
                write!(
                    f,
                    "the metadata `{key}` has {got} elements where an item has {expected} coordinates: export the model again"
                )
            }
        }
    }
}

impl core::error::Error for CardError {}

/// A comma-separated list of numbers, read as it is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers<'a>(&'a str);

impl<'a> Numbers<'a> {
    /// A list of finite numbers; `None` where `text` is not one.
    pub fn new(text: &'a str) -> Option<Self> {
        let finite = |part: &str| part.trim().parse::<f64>().is_ok_and(f64::is_finite);
        text.split(',').all(finite).then_some(Self(text))
    }

    /// The numbers.
    pub fn iter(&self) -> impl Iterator<Item = f64> + Clone + 'a {
        self.0.split(',').filter_map(|part| part.trim().parse().ok())
    }

    /// How many numbers there are: at least one.
    pub fn len(&self) -> usize {
        self.0.split(',').count()
    }

    /// Never: a list has at least one number.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The list as it is written.
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
