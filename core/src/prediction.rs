//! What a network's output means, and the two forms that solvers work in.

use crate::{Level, Name};
use core::fmt;
use core::str::FromStr;

/// What the network returns at `z = alpha x0 + sigma eps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// `eps` (arXiv 2006.11239).
    Epsilon,
    /// `x0`.
    Sample,
    /// `v = alpha eps - sigma x0` (arXiv 2202.00512).
    V,
    /// The velocity `u = eps - x0` of flow matching, from data to noise (arXiv 2210.02747).
    Flow,
}

/// What a solver's formulas are written in: the `m` of a [`Plan`](crate::Plan).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `m` is x0-hat, the denoised state.
    Data,
    /// `m` is eps-hat.
    Noise,
}

/// How a network's output is read: `m = state * x + output * out`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Readout {
    /// The network is shown `input * x` (1 unless states and network use different scales).
    pub input: f64,
    /// The factor of the state.
    pub state: f64,
    /// The factor of the network's output.
    pub output: f64,
}

impl Prediction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Epsilon, Self::Sample, Self::V, Self::Flow];

    /// The field's name: `epsilon`, `sample`, `v_prediction`, `flow`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::Sample => "sample",
            Self::V => "v_prediction",
            Self::Flow => "flow",
        }
    }

    /// How an output at `level` is read in `form`; `None` where that divides by zero (epsilon-prediction
    /// tells nothing of x0 at `alpha = 0`, nor x0-prediction of eps at `sigma = 0`).
    ///
    /// | output | data form | noise form |
    /// |---|---|---|
    /// | eps | `(x - s out)/a` | `out` |
    /// | x0 | `out` | `(x - a out)/s` |
    /// | v | `(a x - s out)/(a^2 + s^2)` | `(s x + a out)/(a^2 + s^2)` |
    /// | u | `(x - s out)/(a + s)` | `(x + a out)/(a + s)` |
    ///
    /// ```
    /// use picardy::{Form, Level, Prediction};
    /// let read = Prediction::V.readout(&Level::vp(0.36, 0.0), Form::Data).unwrap();
    /// assert!((read.state - 0.6).abs() < 1e-12 && (read.output + 0.8).abs() < 1e-12);
    /// ```
    pub fn readout(self, level: &Level, form: Form) -> Option<Readout> {
        let (a, s) = (level.alpha, level.sigma);
        let (norm, sum) = (a * a + s * s, a + s);
        let (state, output) = match (self, form) {
            (Self::Sample, Form::Data) | (Self::Epsilon, Form::Noise) => (0.0, 1.0),
            (Self::Epsilon, Form::Data) => (1.0 / a, -s / a),
            (Self::Sample, Form::Noise) => (1.0 / s, -a / s),
            (Self::V, Form::Data) => (a / norm, -s / norm),
            (Self::V, Form::Noise) => (s / norm, a / norm),
            (Self::Flow, Form::Data) => (1.0 / sum, -s / sum),
            (Self::Flow, Form::Noise) => (1.0 / sum, a / sum),
        };
        (state.is_finite() && output.is_finite()).then_some(Readout { input: 1.0, state, output })
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no prediction's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPrediction {
    /// The name, or the front of a long one.
    pub name: Name,
}

impl fmt::Display for UnknownPrediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no prediction `{}`; there are epsilon, sample, v_prediction and flow", self.name)
    }
}

impl core::error::Error for UnknownPrediction {}

impl FromStr for Prediction {
    type Err = UnknownPrediction;

    fn from_str(name: &str) -> Result<Self, UnknownPrediction> {
        let found = Self::ALL.into_iter().find(|prediction| prediction.name() == name);
        found.ok_or(UnknownPrediction { name: Name::new(format_args!("{name}")) })
    }
}
