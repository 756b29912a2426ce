//! The scale in which a solver keeps its states, where that is not the network's.

use super::placed;
use crate::{Form, Level, Node, PlanError, Prediction};

/// The process that a solver's states follow: the network's states `z` divided by `c`.
///
/// | coordinates | `c` | state | straight lines |
/// |---|---|---|---|
/// | variance exploding | `a` | `x0 + sigma eps`, `sigma = s/a` | in sigma (arXiv 2206.00364) |
/// | flow | `a + s` | `(1 - s') x0 + s' eps`, `s' = s/(a + s)` | in s' (arXiv 2210.02747) |
///
/// In both the probability flow is `dx/ds = (x - x0)/s`, so they share the formulas of Euler and Heun; what
/// differs is the curve of the states, and with it the error. Any network serves in either: it is shown `c x`
/// ([`Readout::input`](crate::Readout)), at the level it was trained on.
///
/// ```
/// use picardy::{Betas, Coordinates, Euler, Level, Node, Prediction, Solver};
/// let (mut levels, mut nodes) = ([Level::default(); 11], [Node::default(); 11]);
/// let grid = Betas::linear(1000, 1e-4, 2e-2).trailing(10, &mut levels)?;
/// let plan = Euler { coordinates: Coordinates::Ve }.plan(&grid, Prediction::Epsilon, &mut nodes)?;
/// let (node, seen) = (plan.nodes()[0], grid.levels()[0]);
/// assert_eq!(node.level.alpha, 1.0); // the state is x0 + sigma eps ...
/// assert!((node.evaluate.unwrap().input - seen.alpha).abs() < 1e-12); // ... the network is shown a times that
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coordinates {
    /// Variance exploding.
    #[default]
    Ve,
    /// Flow matching.
    Flow,
}

impl Coordinates {
    /// `c`: what a state is multiplied by to be shown to a network at `level`.
    fn scale(self, level: &Level) -> f64 {
        match self {
            Self::Ve => level.alpha,
            Self::Flow => level.alpha + level.sigma,
        }
    }

    /// A network's `level` as the states see it. Not finite in [`Ve`](Self::Ve) where `alpha = 0`.
    pub(super) fn level(self, level: &Level) -> Level {
        match self {
            Self::Ve => Level { alpha: 1.0, sigma: level.sigma / level.alpha, t: level.t },
            Self::Flow => {
                let sum = level.alpha + level.sigma;
                Level { alpha: level.alpha / sum, sigma: level.sigma / sum, t: level.t }
            }
        }
    }

    /// A node without terms at a network's `level`, evaluated there where `evaluate` says so.
    pub(super) fn node(
        self,
        index: usize,
        level: &Level,
        evaluate: Option<(Prediction, Form)>,
    ) -> Result<Node, PlanError> {
        placed(index, level, self.level(level), self.scale(level), evaluate)
    }
}
