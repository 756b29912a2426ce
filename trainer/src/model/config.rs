//! What a network is made for, and how large.

use picardy::nn::{Architecture, MAX_BLOCKS, Shape, Unet1d, Unet2d, Widths};
use serde::{Deserialize, Serialize};

use super::NetworkError;

/// A network's kind and sizes, as a configuration has them.
///
/// ```
/// use picardy_trainer::model::NetworkKind;
/// let kind: NetworkKind = serde_json::from_str(r#"{"kind": "unet1d", "widths": [32, 64]}"#)?;
/// assert_eq!(kind.architecture()?.name(), "unet1d");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NetworkKind {
    /// The residual MLP of [`picardy::nn::ResidualMlp`], for items of any shape.
    ResidualMlp {
        /// Numbers of its state, even.
        #[serde(default = "defaults::width")]
        width: usize,
        /// Residual blocks.
        #[serde(default = "defaults::mlp_blocks")]
        blocks: usize,
    },
    /// The temporal U-Net of [`picardy::nn::Unet1d`], for items `[places, channels]`.
    Unet1d {
        /// Channels of each level.
        #[serde(default = "defaults::series_widths")]
        widths: Vec<usize>,
        /// Numbers of the embedding of t, even and at least 4.
        #[serde(default = "defaults::embedding")]
        embedding: usize,
        /// Places of a convolution, odd.
        #[serde(default = "defaults::kernel")]
        kernel: usize,
        /// Groups of the norms, a divisor of every width.
        #[serde(default = "defaults::groups")]
        groups: usize,
        /// Whether the condition scales the channels, beside shifting them.
        #[serde(default)]
        scale: bool,
    },
    /// The U-Net of [`picardy::nn::Unet2d`], for images `[height, width, channels]`.
    Unet2d {
        /// Channels of each level.
        #[serde(default = "defaults::image_widths")]
        widths: Vec<usize>,
        /// Numbers of the embedding of t, even and at least 4.
        #[serde(default = "defaults::embedding")]
        embedding: usize,
        /// Residual blocks of each level.
        #[serde(default = "defaults::image_blocks")]
        blocks: usize,
        /// Groups of the norms, a divisor of every width.
        #[serde(default = "defaults::groups")]
        groups: usize,
        /// Heads of the attention, a divisor of the last width.
        #[serde(default = "defaults::heads")]
        heads: usize,
    },
}

mod defaults {
    pub(super) fn width() -> usize {
        128
    }
    pub(super) fn mlp_blocks() -> usize {
        2
    }
    pub(super) fn series_widths() -> Vec<usize> {
        vec![64, 128, 256]
    }
    pub(super) fn image_widths() -> Vec<usize> {
        vec![32, 64]
    }
    pub(super) fn embedding() -> usize {
        64
    }
    pub(super) fn kernel() -> usize {
        5
    }
    pub(super) fn groups() -> usize {
        8
    }
    pub(super) fn image_blocks() -> usize {
        1
    }
    pub(super) fn heads() -> usize {
        4
    }
}

impl Default for NetworkKind {
    /// The contrastive loss paper's network for two-dimensional data: width 128, 2 blocks.
    fn default() -> Self {
        Self::ResidualMlp { width: defaults::width(), blocks: defaults::mlp_blocks() }
    }
}

impl NetworkKind {
    /// The same as `picardy`'s own.
    ///
    /// # Errors
    /// [`NetworkError::Levels`] where a U-Net has no widths, or too many.
    pub fn architecture(&self) -> Result<Architecture, NetworkError> {
        let levels = |widths: &[usize]| Widths::new(widths).ok_or(NetworkError::Levels { got: widths.len() });
        Ok(match *self {
            Self::ResidualMlp { width, blocks } => Architecture::ResidualMlp { width, blocks },
            Self::Unet1d { ref widths, embedding, kernel, groups, scale } => {
                let widths = levels(widths)?;
                Architecture::Unet1d(Unet1d { widths, embedding, kernel, groups, scale })
            }
            Self::Unet2d { ref widths, embedding, blocks, groups, heads } => {
                let widths = levels(widths)?;
                Architecture::Unet2d(Unet2d { widths, embedding, blocks, groups, heads })
            }
        })
    }
}

/// The largest width, dimension or condition.
pub(super) const MAX_SIZE: usize = 1 << 24;

/// A network and what it is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// One item's shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Numbers of a row's condition, 0 for none.
    pub condition: usize,
    /// The network.
    pub architecture: Architecture,
}

impl NetworkConfig {
    /// How the network sees an item.
    ///
    /// # Errors
    /// [`NetworkError::Item`] where it cannot.
    pub fn item(&self) -> Result<Shape, NetworkError> {
        let item = self.architecture.item(&self.shape);
        item.ok_or_else(|| NetworkError::Item {
            network: self.architecture.name(),
            shape: self.shape.clone(),
        })
    }

    /// Rules beside those of the program: what firmware keeps without a heap, and sizes that can be added up.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        let (mut sizes, blocks) = match &self.architecture {
            Architecture::ResidualMlp { width, blocks } => (vec![*width], *blocks),
            Architecture::Unet1d(unet) => ([unet.widths.as_slice(), &[unet.embedding]].concat(), 1),
            Architecture::Unet2d(unet) => ([unet.widths.as_slice(), &[unet.embedding]].concat(), unet.blocks),
            _ => (vec![], 1),
        };
        if !(1..=MAX_BLOCKS).contains(&blocks) {
            return Err(NetworkError::Blocks { got: blocks });
        }
        sizes.extend([self.item()?.len(), self.condition]);
        match sizes.into_iter().max().filter(|&largest| largest > MAX_SIZE) {
            Some(got) => Err(NetworkError::Size { got, limit: MAX_SIZE }),
            None => Ok(()),
        }
    }
}

/// The sizes of a residual MLP for vectors without a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MlpConfig {
    /// Coordinates of an item.
    pub dim: usize,
    /// Width of the network, even.
    pub width: usize,
    /// Residual blocks, 1 to [`MAX_BLOCKS`].
    pub blocks: usize,
}

impl MlpConfig {
    /// The contrastive loss paper's network for two-dimensional data: width 128, 2 blocks.
    pub fn new(dim: usize) -> Self {
        Self { dim, width: 128, blocks: 2 }
    }
}

impl From<MlpConfig> for NetworkConfig {
    fn from(MlpConfig { dim, width, blocks }: MlpConfig) -> Self {
        Self { shape: vec![dim], condition: 0, architecture: Architecture::ResidualMlp { width, blocks } }
    }
}

impl From<&NetworkConfig> for NetworkConfig {
    fn from(config: &NetworkConfig) -> Self {
        config.clone()
    }
}
