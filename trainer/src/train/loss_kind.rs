//! The two losses by name.

use crate::loss::LossConfig;
use serde::{Deserialize, Serialize};

/// Which of the two losses of arXiv 2407.08946.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// The mean squared error of eps.
    Standard,
    /// The standard loss plus the weighted contrastive one.
    #[default]
    Contrastive,
}

impl LossKind {
    /// The name in flags, logs and model cards.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Contrastive => "contrastive",
        }
    }

    /// Its settings.
    pub fn config(self) -> LossConfig {
        match self {
            Self::Standard => LossConfig::standard(),
            Self::Contrastive => LossConfig::default(),
        }
    }

    /// Which one these settings are.
    pub fn of(loss: &LossConfig) -> Self {
        if loss.contrastive.weight == 0.0 { Self::Standard } else { Self::Contrastive }
    }

    /// What a model card says of a loss: one of the two names, or the terms that have a weight.
    pub(super) fn said(loss: &LossConfig) -> String {
        let LossConfig { denoising, contrastive, likelihood, .. } = loss;
        let terms = [
            ("denoising", denoising.weight != 0.0),
            ("contrastive", contrastive.weight != 0.0),
            ("likelihood", likelihood.weight != 0.0),
            ("physics", loss.is_informed()),
        ];
        let named: Vec<&str> = terms.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
        match named[..] {
            ["denoising"] => Self::Standard.name().to_owned(),
            ["denoising", "contrastive"] => Self::Contrastive.name().to_owned(),
            _ => named.join("+"),
        }
    }
}
